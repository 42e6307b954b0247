"""The claims of the paper's section 5.3, each held against this run's paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from ml.report.results import FACET_TITLES, SPLIT_TITLES, lookup, points, title
from pipeline.settings import EvaluationSettings

Verdict = Literal["holds", "fails", "undecided", "not tested"]
VISION = ("multilabel", "softmax", "softmax_wce", "hsoftmax_nodes", "hsoftmax_levels")
TUNED_CLIP = ("clip_1_tag", "clip_all_tags", "clip_1_tag_prompt")


@dataclass(frozen=True)
class Difference:
    """One paired difference behind a finding: first minus second, in R-Precision."""

    first: str
    second: str
    split: str
    facet: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """A claim, what this run says to it, and the differences it rests on."""

    claim: str
    verdict: Verdict
    because: str
    differences: tuple[Difference, ...]


def findings(
    comparisons: pl.DataFrame,
    results: pl.DataFrame,
    settings: EvaluationSettings,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """Every claim with its verdict. `comparisons` has all pairs of rows on both tests, `results` the figures.

    `costs` are the rows' parameters and times, for the claim that weighs them.
    """
    pairs = _Pairs(comparisons)
    best_vision = {split: _best(results, VISION, split) for split in SPLIT_TITLES}
    best_clip = {split: _best(results, TUNED_CLIP, split) for split in SPLIT_TITLES}
    others = [row for row in VISION if row != "softmax"]
    return [
        _equal(
            "One head for materials alone does as well as a head for every facet.",
            pairs.get("multilabel", "multilabel_materials", "inner_test", "materials"),
            settings.equal_within,
        ),
        _ahead(
            "Softmax is the best single vision model on the inner test.",
            [pairs.get("softmax", row, "inner_test") for row in others],
        ),
        _ahead(
            "Every fine-tuned CLIP is better than CLIP without training, on both tests.",
            [pairs.get(row, "clip_zero_shot", split) for split in ("inner_test", "outer_test") for row in TUNED_CLIP],
        ),
        _ahead(
            "Among the CLIP rows, the one trained with a prompt is best on the inner test.",
            [pairs.get("clip_1_tag_prompt", row, "inner_test") for row in TUNED_CLIP[:2]],
        ),
        _ahead(
            "On the inner test the best vision model is ahead of the best CLIP.",
            [pairs.get(best_vision["inner_test"], best_clip["inner_test"], "inner_test")],
        ),
        _ahead(
            "On the outer test, at museums never seen in training, the best CLIP is ahead of the best vision model.",
            [pairs.get(best_clip["outer_test"], best_vision["outer_test"], "outer_test")],
        ),
        _with_cost(
            _ahead(
                "Ensembles are balanced: the one with CLIP is ahead of the best CLIP on the inner test and of the best "
                "vision model on the outer test.",
                [
                    pairs.get("ensemble_ml_s_clip", best_clip["inner_test"], "inner_test"),
                    pairs.get("ensemble_ml_s_clip", best_vision["outer_test"], "outer_test"),
                ],
            ),
            "ensemble_ml_s_clip",
            best_vision["outer_test"],
            costs or {},
        ),
        _with_cost(
            _ahead(
                "The ensemble of two vision models is ahead of its better member on the inner test.",
                [pairs.get("ensemble_ml_s", row, "inner_test") for row in ("multilabel", "softmax")],
            ),
            "ensemble_ml_s",
            "softmax",
            costs or {},
        ),
        _rare(results, settings),
    ]


class _Pairs:
    """R-Precision differences by pair of rows, in either order."""

    def __init__(self, comparisons: pl.DataFrame) -> None:
        rows = comparisons.filter(pl.col("metric") == "r_precision").iter_rows(named=True)
        self.found = {(r["first"], r["second"], r["split"], r["facet"]): r for r in rows}

    def get(self, first: str | None, second: str | None, split: str, facet: str = "mean") -> Difference | str:
        """The difference, or the sentence that says why there is none."""
        if first is None or second is None:
            return "this run has no row for one side of it"
        if (first, second, split, facet) in self.found:
            r = self.found[first, second, split, facet]
            return Difference(first, second, split, facet, r["difference"], r["low"], r["high"])
        if (second, first, split, facet) in self.found:
            r = self.found[second, first, split, facet]
            return Difference(first, second, split, facet, -r["difference"], -r["high"], -r["low"])
        return f"this run does not have both {title(first)} and {title(second)} on the {SPLIT_TITLES[split].lower()}"


def _best(results: pl.DataFrame, rows: Sequence[str], split: str) -> str | None:
    cells = lookup(results)
    values = {
        row: cell.value
        for row in rows
        if (cell := cells.get((row, split, "mean", "r_precision"))) and cell.value is not None
    }
    return max(values, key=lambda row: values[row] or 0.0) if values else None


def _missing(differences: Sequence[Difference | str]) -> str | None:
    return next((entry for entry in differences if isinstance(entry, str)), None)


def _ahead(claim: str, differences: Sequence[Difference | str]) -> Finding:
    """Holds when every interval lies above 0, fails when one lies below, else undecided."""
    known = tuple(entry for entry in differences if isinstance(entry, Difference))
    against = [d for d in known if d.high < 0]
    if against:
        worst = min(against, key=lambda d: d.difference)
        return Finding(claim, "fails", f"{_name(worst.second)} is surely better than {_name(worst.first)}.", known)
    missing = _missing(differences)
    if missing:
        return Finding(claim, "not tested", f"It cannot be tested in full: {missing}.", known)
    open_ = [d for d in known if d.low <= 0]
    if open_:
        closest = min(open_, key=lambda d: d.difference)
        because = f"{_name(closest.first)} and {_name(closest.second)} are too close for these images to decide."
        return Finding(claim, "undecided", because, known)
    return Finding(claim, "holds", "Every interval lies above zero.", known)


def _with_cost(finding: Finding, row: str, single: str | None, costs: Mapping[str, Mapping[str, Any]]) -> Finding:
    """The finding with what the row costs beside a single model, where both say it."""
    both = [costs.get(row, {}), costs.get(single or "", {})]
    figures = [(each.get("parameters_m"), each.get("ms_per_image")) for each in both]
    if single is None or any(figure is None for pair in figures for figure in pair):
        return finding
    (size, time), (size_of_one, time_of_one) = figures
    price = (
        f"It costs {time:.3g} ms an image and {size:.3g} million parameters, where {title(single)} alone costs "
        f"{time_of_one:.3g} ms and {size_of_one:.3g} million."
    )
    return replace(finding, because=f"{finding.because} {price}")


def _equal(claim: str, difference: Difference | str, within: float) -> Finding:
    """Holds when the whole interval lies within the margin, fails when it lies outside, else undecided."""
    if isinstance(difference, str):
        return Finding(claim, "not tested", f"It cannot be tested: {difference}.", ())
    margin = f"{100 * within:g} points"
    if -within <= difference.low and difference.high <= within:
        return Finding(claim, "holds", f"The difference is surely smaller than {margin}.", (difference,))
    if difference.low > within or difference.high < -within:
        return Finding(claim, "fails", f"The difference is surely larger than {margin}.", (difference,))
    return Finding(claim, "undecided", f"The interval reaches beyond {margin} and does not exclude it.", (difference,))


def _rare(results: pl.DataFrame, settings: EvaluationSettings) -> Finding:
    """Where a tag is rare, its parent is found more often: a hierarchy helps even where the exact tag is missed."""
    claim = (
        f"For tags with at most {settings.rare_tag_images} training images, their parent term is found more often "
        "than the tag itself."
    )
    gains = results.filter(
        (pl.col("metric") == "rare_tag_parent_gain")
        & pl.col("baseline").is_in(VISION)
        & (pl.col("split") == "inner_test")
        & (pl.col("facet") == "object_types")
        & pl.col("value").is_not_null()
    ).sort("baseline")
    found = [
        Difference(f"{r['baseline']}: parents", "the tags", r["split"], r["facet"], r["value"], r["low"], r["high"])
        for r in gains.iter_rows(named=True)
    ]
    if not found:
        missing = "no vision row has rare object types with a parent on the inner test"
        return Finding(claim, "not tested", f"It cannot be tested: {missing}.", ())
    finding = _ahead(claim, found)
    if finding.verdict == "fails":
        against = [_name(d.first).partition(":")[0] for d in found if d.high < 0]
        return replace(finding, because=f"With {', '.join(against)} the tags are surely found more often.")
    if finding.verdict == "undecided":
        return replace(finding, because="At least one interval holds zero: too close for these images to decide.")
    return finding


def _name(row: str) -> str:
    baseline, colon, rest = row.partition(":")
    return f"{title(baseline)}{colon}{rest}"


def describe(difference: Difference) -> str:
    """The difference as a sentence, in points of R-Precision."""
    where = SPLIT_TITLES[difference.split].lower()
    if difference.facet != "mean":
        where = f"{where}, {FACET_TITLES[difference.facet].lower()}"
    return (
        f"{_name(difference.first)} − {_name(difference.second)} ({where}): {points(difference.difference)} points, "
        f"95 % interval {points(difference.low)} to {points(difference.high)}"
    )
