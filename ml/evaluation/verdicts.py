"""Whether a row is surely better than what needs no eyes: the one rule behind every ✓."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import polars as pl

from ml.baselines import PRIOR, PROVIDER
from ml.evaluation.exchanged import EXCHANGED
from ml.evaluation.tells import TELLS

Verdict = Literal["better", "worse", "not surely", "cannot tell"]
TO_BEAT = (PRIOR, PROVIDER, EXCHANGED)


@dataclass(frozen=True)
class Difference:
    """A paired difference on the same images: first minus second, in R-Precision; no interval with too few units."""

    first: str
    second: str
    split: str
    facet: str  # mean, or one facet
    difference: float
    low: float | None
    high: float | None
    tells: str = TELLS  # whether the test carries a verdict at all

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval; NaN without one."""
        return (math.nan if self.low is None else self.low, math.nan if self.high is None else self.high)

    @property
    def verdict(self) -> Verdict:
        """Whether the first row is better or worse than the second, if the whole interval says so."""
        if self.low is None or self.high is None or self.tells != TELLS:
            return "cannot tell"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not surely"


def verdict_of(differences: Iterable[Difference]) -> Verdict:
    """The verdict on a row from its differences to TO_BEAT on one split and facet.

    Better: surely above the label prior, above the museum's name alone, and above its own scores with the pictures
    exchanged. Worse: surely below the label prior. A row that merely knows the museum, or that has a lucky ranking
    for all images, is not better.
    """
    words = {difference.second: difference.verdict for difference in differences}
    if "cannot tell" in words.values() or PRIOR not in words or EXCHANGED not in words:
        return "cannot tell"
    if words[PRIOR] == "worse":
        return "worse"
    return "better" if set(words.values()) == {"better"} else "not surely"


def differences_to(
    comparisons: pl.DataFrame, seconds: Iterable[str] = TO_BEAT
) -> dict[tuple[str, str, str], dict[str, Difference]]:
    """By row, split and facet the differences in R-Precision to each of the `seconds` that is there."""
    rows = comparisons.filter(pl.col("second").is_in(list(seconds)), metric="r_precision")
    found: dict[tuple[str, str, str], dict[str, Difference]] = {}
    for row in rows.filter(pl.col("difference").is_not_null()).iter_rows(named=True):
        found.setdefault((row["first"], row["split"], row["facet"]), {})[row["second"]] = difference_of(row)
    return found


def difference_of(row: Mapping[str, Any]) -> Difference:
    """A row of `comparisons`."""
    return Difference(**{field.name: row[field.name] for field in fields(Difference)})


def turned(difference: Difference) -> Difference:
    """The second row minus the first."""
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    names = {"first": difference.second, "second": difference.first}
    return replace(difference, **names, difference=-difference.difference, low=low, high=high)


@dataclass(frozen=True)
class Standing:
    """How a row stands on one split: its differences to TO_BEAT, of the mean or of a single head's facet."""

    row: str
    split: str
    facet: str
    differences: Mapping[str, Difference]

    @property
    def verdict(self) -> Verdict:
        """The verdict of `verdict_of`."""
        return verdict_of(self.differences.values())


def standings(comparisons: pl.DataFrame) -> dict[tuple[str, str], Standing]:
    """By row and split how the row stands, by its mean, or by its only facet where it has no mean."""
    found: dict[tuple[str, str], Standing] = {}
    by_facet = differences_to(comparisons)
    for (row, split, facet), differences in sorted(by_facet.items(), key=lambda item: (item[0][2] == "mean", item[0])):
        if row != PRIOR and EXCHANGED in differences:
            found[row, split] = Standing(row, split, facet, differences)  # the mean comes last and wins
    return found
