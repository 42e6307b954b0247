"""How far two people agree: percent agreement, Cohen's kappa and Krippendorff's alpha, with intervals.

Sources: Cohen, A coefficient of agreement for nominal scales (1960); Krippendorff, Content Analysis (2004), chapter 11.
The library for alpha, `krippendorff`, is under the GPL, which this project's licence excludes; tests hold both figures
against slow references written from these texts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.assistant.opinions import Rating

RESAMPLES = 1_000  # ours: of images, as tags of one image are not independent
SEED = 340
LEVEL = 0.95
MEASURES = ("agreement", "kappa", "alpha")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The four cells of two people's judgements: both say yes, only the first, only the second, neither."""

    both: Floats
    only_first: Floats
    only_second: Floats
    neither: Floats

    @property
    def n(self) -> Floats:
        """The number of judged tags."""
        return self.both + self.only_first + self.only_second + self.neither


def agreement(table: Table) -> Floats:
    """The share of tags on which both say the same."""
    return _ratio(table.both + table.neither, table.n)


def kappa(table: Table) -> Floats:
    """Cohen's kappa: agreement beyond what the two people's own frequencies give by chance. NaN if both never vary."""
    first, second = table.both + table.only_first, table.both + table.only_second
    by_chance = _ratio(first * second + (table.n - first) * (table.n - second), table.n**2)
    return _ratio(agreement(table) - by_chance, 1 - by_chance)


def alpha(table: Table) -> Floats:
    """Krippendorff's alpha for two values and two people: 1 - observed by expected disagreement. NaN without variation.

    All judgements of both people together give the expectation, without replacement.
    """
    yes = 2 * table.both + table.only_first + table.only_second
    no, n = 2 * table.n - yes, 2 * table.n
    observed = table.only_first + table.only_second
    return 1 - _ratio(observed * (n - 1), yes * no)


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 1e-12, above / below, np.nan)


def agreement_of(ratings: Sequence[Rating]) -> pl.DataFrame:
    """One row for all tags, one per facet and one per tag: counts, and each measure with its 95 % interval.

    The intervals are from a bootstrap over images. They are null for fewer than two images, a measure is null where
    nothing varies.
    """
    groups: defaultdict[tuple[str, str], list[Rating]] = defaultdict(list)
    for each in ratings:
        for group in (("all", "all"), (each.facet, "all"), (each.facet, each.tag_id)):
            groups[group].append(each)
    order = sorted(groups, key=lambda group: (group[1] != "all", group[0] != "all", group))
    rows = [{"facet": facet, "tag_id": tag} | _row(groups[facet, tag]) for facet, tag in order]
    figures = {f"{name}{end}": pl.Float64 for name in MEASURES for end in ("", "_low", "_high")}
    return pl.DataFrame(rows, schema={"facet": pl.String, "tag_id": pl.String, "images": pl.Int64, **COUNTS, **figures})


COUNTS = dict.fromkeys(("tags", "both", "only_first", "only_second", "neither"), pl.Int64)


def _row(ratings: Sequence[Rating]) -> dict[str, float | int | None]:
    image_ids = sorted({each.image_id for each in ratings})
    cells = np.zeros((len(image_ids), 4))
    place = {image: number for number, image in enumerate(image_ids)}
    for each in ratings:
        cells[place[each.image_id], 2 * (not each.first) + (not each.second)] += 1
    counts = [int(count) for count in cells.sum(0)]
    row: dict[str, float | int | None] = {"images": len(image_ids), "tags": len(ratings)}
    row |= dict(zip(("both", "only_first", "only_second", "neither"), counts, strict=True))
    whole, resampled = Table(*cells.sum(0)), _resampled(cells)
    for name, measure in zip(MEASURES, (agreement, kappa, alpha), strict=True):
        row[name] = _known(measure(whole))
        row[f"{name}_low"], row[f"{name}_high"] = _interval(measure(resampled)) if len(image_ids) > 1 else (None, None)
    return row


def _resampled(cells: Floats) -> Table:
    n = len(cells)
    draws = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return Table(*(draws @ cells).T)


def _interval(values: Floats) -> tuple[float | None, float | None]:
    """Percentiles of the resamples in which the measure exists."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _known(low), _known(high)


def _known(value: np.floating | Floats) -> float | None:
    """The figure at 6 significant digits, None for NaN."""
    return None if np.isnan(value) else float(f"{float(value):.6g}")
