"""The claims of the paper's section 5.3, tested with the paired differences of this run."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ml.evaluation.evaluate import facets_of
from ml.evaluation.tells import TELLS
from ml.evaluation.verdicts import Difference, difference_of, turned
from ml.report.results import SPLIT_TITLES, lookup, points, title
from pipeline.facets import ALL_FACETS, FACET_OF
from pipeline.settings import EvaluationSettings

Verdict = Literal["holds", "fails", "undecided", "not tested"]
VISION = ("multilabel", "softmax", "softmax_wce", "hsoftmax_nodes", "hsoftmax_levels")
TUNED_CLIP = ("clip_1_tag", "clip_all_tags", "clip_1_tag_prompt")
GROUPS = {"best vision model": VISION, "best CLIP": TUNED_CLIP}  # of this run, on the split of the pair
SINGLE_HEAD = "multilabel_materials"
SINGLE_HEAD_CLAIM = "One head for materials alone does as well as a head for every facet."
ONE, ENSEMBLES, ONE_WITHIN = "one", ("ensemble_ml_s", "ensemble_ml_s_clip"), 0.01  # docs/experiments/one-model.md
ONE_CLAIM = "Ours, not the paper's: one network in one pass is not worse than the ensembles of two and three."
ONE_SHOWN = "As it was registered, on three datasets with five seeds, it was not shown (docs/experiments/one-model.md)."
CLAIMS = tomllib.loads(Path(__file__).with_name("claims.toml").read_text(encoding="utf-8"))["claim"]


@dataclass(frozen=True)
class Finding:
    """A claim, the verdict of this run, and the differences it rests on."""

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
    """Every claim with its verdict. `comparisons` has all pairs of rows on both tests.

    `costs` are the rows' parameters and times, for the claims that weigh them.
    """
    pairs = _Pairs(comparisons, results)
    single_head = pairs.get("multilabel", SINGLE_HEAD, "inner_test", facets_of(SINGLE_HEAD)[0])
    tested = [_equal(SINGLE_HEAD_CLAIM, single_head, settings.equal_within)]
    for claim in CLAIMS:
        finding = _ahead(claim["text"], [pairs.get(*pair) for pair in claim["pairs"]])
        if "price" in claim:
            row, single, split = claim["price"]
            finding = _with_cost(finding, row, pairs.row(single, split), costs or {})
        tested.append(finding)
    tested.append(_rare(results, settings))
    if ONE in results["baseline"]:
        tested.append(_not_inferior([pairs.get(ONE, other, "inner_test") for other in ENSEMBLES]))
    return tested


class _Pairs:
    """R-Precision differences by pair of rows, in either order."""

    def __init__(self, comparisons: pl.DataFrame, results: pl.DataFrame) -> None:
        rows = comparisons.filter(pl.col("metric") == "r_precision").iter_rows(named=True)
        self.rows = {(r["first"], r["second"], r["split"], r["facet"]): r for r in rows}
        self.cells = lookup(results)

    def row(self, name: str, split: str) -> str | None:
        """The row of that name; for a name of GROUPS its best row by mean R-Precision, None without one."""
        if name not in GROUPS:
            return name
        cells = [(self.cells.get((row, split, "mean", "r_precision")), row) for row in GROUPS[name]]
        values = {row: cell.value for cell, row in cells if cell and cell.value is not None}
        return max(values, key=values.__getitem__, default=None)

    def get(self, first_name: str, second_name: str, split: str, facet: str = "mean") -> Difference | str:
        """The difference, or the reason why there is none."""
        first, second = self.row(first_name, split), self.row(second_name, split)
        if first is None or second is None:
            return "this run has no row for one side of it"
        test = SPLIT_TITLES[split].lower()
        known = None
        if r := self.rows.get((first, second, split, facet)):
            known = difference_of(r)
        elif r := self.rows.get((second, first, split, facet)):
            known = turned(difference_of(r))
        if known is None:
            return f"this run does not have both {title(first)} and {title(second)} on the {test}"
        if known.verdict == "cannot tell":
            return f"the {test} carries no verdict"
        return known


def _ahead(claim: str, differences: Sequence[Difference | str]) -> Finding:
    """Holds if every interval lies above 0, fails if one lies below, else undecided."""
    known = tuple(entry for entry in differences if isinstance(entry, Difference))
    against = [d for d in known if d.verdict == "worse"]
    if against:
        worst = min(against, key=lambda d: d.difference)
        return Finding(claim, "fails", f"{_name(worst.second)} is surely better than {_name(worst.first)}.", known)
    if missing := next((entry for entry in differences if isinstance(entry, str)), None):
        return Finding(claim, "not tested", f"It cannot be tested in full: {missing}.", known)
    open_ = [d for d in known if d.verdict != "better"]
    if open_:
        closest = min(open_, key=lambda d: d.difference)
        because = f"{_name(closest.first)} and {_name(closest.second)} are too close for these images to decide."
        return Finding(claim, "undecided", because, known)
    return Finding(claim, "holds", "Every interval lies above zero.", known)


def _with_cost(finding: Finding, row: str, single: str | None, costs: Mapping[str, Mapping[str, Any]]) -> Finding:
    """The finding with the cost of the row beside that of a single model, if both are known."""
    both = [costs.get(row, {}), costs.get(single or "", {})]
    numbers = [(cost.get("parameters_m"), cost.get("ms_per_image")) for cost in both]
    if single is None or any(number is None for pair in numbers for number in pair):
        return finding
    (size, time), (size_of_one, time_of_one) = numbers
    price = (
        f"It costs {time:.3g} ms an image and {size:.3g} million parameters, where {title(single)} alone costs "
        f"{time_of_one:.3g} ms and {size_of_one:.3g} million."
    )
    return replace(finding, because=f"{finding.because} {price}")


def _equal(claim: str, difference: Difference | str, within: float) -> Finding:
    """Holds if the whole interval lies within the margin, fails if it lies outside, else undecided."""
    if isinstance(difference, str):
        return Finding(claim, "not tested", f"It cannot be tested: {difference}.", ())
    margin = f"{100 * within:g} points"
    low, high = difference.ends
    if -within <= low and high <= within:
        return Finding(claim, "holds", f"The difference is surely smaller than {margin}.", (difference,))
    if low > within or high < -within:
        return Finding(claim, "fails", f"The difference is surely larger than {margin}.", (difference,))
    return Finding(claim, "undecided", f"The interval reaches beyond {margin} and does not exclude it.", (difference,))


def _not_inferior(differences: Sequence[Difference | str]) -> Finding:
    """Holds if every interval lies above the margin below 0, fails if one lies below it, else undecided."""
    known = tuple(entry for entry in differences if isinstance(entry, Difference))
    if missing := next((entry for entry in differences if isinstance(entry, str)), None):
        return Finding(ONE_CLAIM, "not tested", f"It cannot be tested in full: {missing}. {ONE_SHOWN}", known)
    margin = f"{100 * ONE_WITHIN:g} point"
    if any(d.ends[1] < -ONE_WITHIN for d in known):
        return Finding(ONE_CLAIM, "fails", f"It is surely worse by more than {margin}. {ONE_SHOWN}", known)
    if all(d.ends[0] > -ONE_WITHIN for d in known):
        return Finding(ONE_CLAIM, "holds", f"In this run it is surely not worse by {margin}. {ONE_SHOWN}", known)
    return Finding(ONE_CLAIM, "undecided", f"These images do not exclude a loss of {margin}. {ONE_SHOWN}", known)


def _rare(results: pl.DataFrame, settings: EvaluationSettings) -> Finding:
    """Parents of rare tags are found more often than the tags: a hierarchy helps where the exact tag is missed.

    The paper shows it for the first facet.
    """
    facet = ALL_FACETS[0]
    claim = (
        f"For tags with at most {settings.rare_tag_images} training images, their parent term is found more often "
        "than the tag itself."
    )
    gains = results.filter(
        pl.col("baseline").is_in(VISION) & pl.col("value").is_not_null() & pl.col("low").is_not_null(),
        metric="rare_tag_parent_gain",
        split="inner_test",
        facet=facet.key,
    )
    differences = [
        Difference(f"{r['baseline']}: parents", "the tags", r["split"], r["facet"], r["value"], r["low"], r["high"])
        for r in gains.sort("baseline").iter_rows(named=True)
        if (r["tells"] or TELLS) == TELLS
    ]
    if not differences:
        missing = f"no vision row has enough rare {facet.plural} with a parent on the inner test"
        return Finding(claim, "not tested", f"It cannot be tested: {missing}.", ())
    finding = _ahead(claim, differences)
    if finding.verdict == "fails":
        against = [_name(d.first).partition(":")[0] for d in differences if d.verdict == "worse"]
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
        where = f"{where}, {FACET_OF[difference.facet].plural}"
    low, high = difference.ends
    return (
        f"{_name(difference.first)} − {_name(difference.second)} ({where}): {points(difference.difference)} points, "
        f"95 % interval {points(low)} to {points(high)}"
    )
