"""A row against others over several seeds: `python -m ml.evaluation.over_seeds --seeds FOLDER --dataset … --row …`.

`FOLDER` is what `python -m ml.experiments.seeds` wrote. Every figure is computed from the predictions in it: seeds are
averaged for each image first, so that an interval is one over the units of the test and not over seeds.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.dataset.ground_truth import Dataset, EvaluationError, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.comparisons import main_ratios
from ml.evaluation.evaluate import Scored, calibration_gaps, score_predictions
from ml.evaluation.informativeness import load_informativeness
from ml.evaluation.intervals import Ratios, divide, holm, interval, resample
from ml.evaluation.metrics import main_metrics
from ml.evaluation.units import least_units, unit_of, units_of
from pipeline import TEST_SPLITS
from pipeline.settings import EvaluationSettings

FIGURES = ("r_precision", "calibration_error")


@dataclass(frozen=True)
class OverSeeds:
    """One figure of a row minus that of another, seeds averaged; NaN where a test has too few units.

    The p-values are one-sided, from the same resamples as the interval: that the row is not better, and that it is
    worse by the margin or more.
    """

    split: str
    figure: str
    against: str
    value: float
    other: float
    low: float
    high: float
    p_superior: float
    p_not_inferior: float

    @property
    def difference(self) -> float:
        """The row's figure minus the other's."""
        return self.value - self.other


@dataclass(frozen=True)
class Totals:
    """What a row's figures follow from: sums over the images of each unit (units, facets)."""

    sums: np.ndarray  # R-Precision, the mean of the seeds
    counts: np.ndarray
    gaps: np.ndarray  # (seeds, units, facets, bins), see calibration_gaps


def compare_over_seeds(
    seeds: Path, dataset: Path, row: str, against: Sequence[str], margin: float, settings: EvaluationSettings
) -> Iterator[OverSeeds]:
    """Every figure on both tests against each other row. Raises EvaluationError without predictions of a row."""
    loaded = load_dataset(dataset)
    folders = sorted(path for path in seeds.glob("seed-*/predictions") if (path / row).is_dir())
    if not folders:
        raise EvaluationError(f"{seeds} has no predictions of {row}: run python -m ml.experiments.seeds first.")
    for split in TEST_SPLITS:
        truth = load_truth(loaded, split)
        averaged = load_informativeness(loaded, truth, settings).averaged
        members = [list(loaded.facets).index(facet) for facet in averaged]
        totals = {
            name: totals_of([folder / name for folder in folders], loaded, truth, settings) for name in (row, *against)
        }
        for other in against:
            for figure in FIGURES:
                yield _compared(split, figure, row, other, totals, members, margin, settings)


def totals_of(folders: Sequence[Path], dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Totals:
    """The totals of one row from its prediction folders, one for each seed."""
    scored = [score_predictions(folder, dataset, truth, settings) for folder in folders]
    ratios = [r_precision_ratios(each, settings) for each in scored]
    gaps = np.stack([_gaps(each, settings) for each in scored])
    return Totals(np.mean([each.sums for each in ratios], axis=0), ratios[0].counts, gaps)


def r_precision_ratios(scored: Scored, settings: EvaluationSettings) -> Ratios:
    """R-Precision alone, by unit and facet."""
    every, metrics = main_ratios(scored), main_metrics(settings.top_k)
    at = slice(metrics.index("r_precision"), None, len(metrics))
    return Ratios(every.sums[:, at], every.counts[:, at])


def _gaps(scored: Scored, settings: EvaluationSettings) -> np.ndarray:
    """The gaps of every facet, (units, facets, bins); 0 in a facet that no image of the split is annotated in."""
    units = units_of(scored.truth)
    found = np.zeros((int(units.max()) + 1, len(scored.facets), settings.calibration_bins))
    for number, (facet, scores) in enumerate(scored.facets.items()):
        if np.isnan(scores.column("acc_at_1")).all():
            continue
        gaps = calibration_gaps(scored, facet, units, settings)
        if gaps is None:
            raise EvaluationError(f"The {facet} of {scored.baseline} are no probabilities: no calibration error.")
        found[:, number] = gaps
    return found


def figure_of(figure: str, sums: np.ndarray, counts: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """A figure for draws of units, from their sums and counts (draws, facets) and gaps (seeds, draws, facets, bins).

    The mean over the facets that a draw has images of, NaN where it has none of any. The calibration error is that of
    each seed, then their mean.
    """
    if figure == "r_precision":
        return np.nanmean(divide(sums, counts), axis=1)
    return np.nanmean(divide(np.abs(gaps).sum(-1).mean(0), counts), axis=1)


def _compared(
    split: str,
    figure: str,
    row: str,
    other: str,
    totals: Mapping[str, Totals],
    members: list[int],
    margin: float,
    settings: EvaluationSettings,
) -> OverSeeds:
    drawn = {name: _draws(totals[name], figure, members, settings) for name in (row, other)}
    value, against = float(drawn[row][0]), float(drawn[other][0])
    units = int((totals[row].counts[:, members] > 0).sum(0).min())
    if unit_of(split) == "provider" or units < least_units(split, settings):
        return OverSeeds(split, figure, other, value, against, *[float("nan")] * 4)
    differences = drawn[row][1:] - drawn[other][1:]
    low, high = interval(differences, units, settings.confidence)
    better = differences if figure == "r_precision" else -differences
    return OverSeeds(
        split, figure, other, value, against, float(low[0]), float(high[0]), _share(better, 0), _share(better, -margin)
    )


def _draws(totals: Totals, figure: str, members: list[int], settings: EvaluationSettings) -> np.ndarray:
    """The figure itself, then of every resample of the units; equal draws for every row."""
    n_seeds, n_units, _, n_bins = totals.gaps.shape
    sums, counts = totals.sums[:, members], totals.counts[:, members]
    gaps = totals.gaps[:, :, members].transpose(1, 0, 2, 3).reshape(n_units, -1)
    stacked = np.hstack([sums, counts, gaps])
    again = np.vstack([stacked.sum(0), resample(stacked, settings.resamples, settings.seed)])
    k = len(members)
    parted = again[:, 2 * k :].reshape(-1, n_seeds, k, n_bins).transpose(1, 0, 2, 3)
    return figure_of(figure, again[:, :k], again[:, k : 2 * k], parted)


def _share(better: np.ndarray, threshold: float) -> float:
    """The share of resamples that are not above the threshold, with the figure itself as one more (never 0)."""
    return float((1 + (better <= threshold).sum()) / (1 + len(better)))


def family(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's corrected p-value of each hypothesis; a NaN stays one, and does not count."""
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def main() -> None:
    """Print a table of the comparisons, and the corrected p-values of hypotheses that are given as NAME=P."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=Path, required=True, help="folder with seed-0/, seed-1/ …")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--row", required=True)
    parser.add_argument("--against", nargs="+", required=True)
    parser.add_argument("--margin", type=float, default=0.01)
    parser.add_argument("--family", nargs="*", default=[], metavar="NAME=P", help="corrected together by Holm")
    given = parser.parse_args()
    settings = EvaluationSettings()
    print("| test | figure | against | row | other | difference (95 %) | p better | p not inferior |")
    print("|---|---|---|---|---|---|---|---|")
    for each in compare_over_seeds(given.seeds, given.dataset, given.row, given.against, given.margin, settings):
        sure = "" if np.isnan(each.low) else f" ({each.low:+.3f} to {each.high:+.3f})"
        cells = f"{each.value:.3f} | {each.other:.3f} | {each.difference:+.3f}{sure}"
        print(
            f"| {each.split} | {each.figure} | {each.against} | {cells} "
            f"| {each.p_superior:.4f} | {each.p_not_inferior:.4f} |"
        )
    named = {name: float(p) for name, _, p in (each.partition("=") for each in given.family)}
    for name, p in family(named).items():
        print(f"{name}: p {named[name]:.4f}, after Holm {p:.4f}")


if __name__ == "__main__":
    main()
