"""Whether two datasets put the rows of the benchmark in the same order: Kendall's tau with an interval.

`python -m ml.evaluation.agreement FIRST SECOND` compares the storage folders of two runs.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau

from ml.dataset.ground_truth import EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.comparisons import main_ratios
from ml.evaluation.evaluate import mean_facets, score_predictions
from ml.evaluation.intervals import Ratios, interval, replicate
from ml.evaluation.metrics import main_metrics
from ml.evaluation.score_run import prediction_folders
from ml.evaluation.units import least_units
from pipeline import TEST_SPLITS
from pipeline.settings import EvaluationSettings


class Means(NamedTuple):
    """The mean R-Precision over facets of every row on one split, and the same in every resample.

    All facets count that have images, also those that the report leaves out because they cannot tell.
    """

    values: np.ndarray  # (rows,)
    resamples: np.ndarray  # (resamples, rows)
    units: int  # that were resampled


class Agreement(NamedTuple):
    """Kendall's tau of two orders of the same rows; no interval where one has too few units."""

    tau: float
    low: float
    high: float
    rows: int


def agreement(first: Means, second: Means, confidence: float, least: int) -> Agreement:
    """Tau-b of two orders, with a percentile interval: both datasets are resampled independently of each other.

    A resample adds its own noise to the order, so that the interval lies rather too low. There is none where either
    has fewer than `least` units. Raises ValueError with fewer than two rows.
    """
    if len(first.values) < 2:
        raise ValueError("an order needs two rows")
    tau = _tau(first.values, second.values)
    if min(first.units, second.units) < least:
        return Agreement(tau, float("nan"), float("nan"), len(first.values))
    pairs = zip(first.resamples, second.resamples, strict=True)
    drawn = np.array([_tau(one, other) for one, other in pairs])
    low, high = interval(drawn, min(first.units, second.units), confidence)
    return Agreement(tau, float(low[0]), float(high[0]), len(first.values))


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    return float(kendalltau(first, second).statistic)


def means_of(rows: Sequence[Ratios], facets: Sequence[int], settings: EvaluationSettings, seed: int) -> Means:
    """The rows' means over these columns of their ratios, and their resamples by groups."""
    values = np.array([row.values[list(facets)].mean() for row in rows])
    drawn = [replicate(row, settings.resamples, seed)[:, list(facets)].mean(1) for row in rows]
    units = min(int((row.counts[:, list(facets)] > 0).sum(0).min()) for row in rows)
    return Means(values, np.column_stack(drawn), units)


def rows_of(storage: Path, split: str, settings: EvaluationSettings) -> tuple[dict[str, Ratios], list[int]]:
    """Every row that predicts all facets, with the columns of its R-Precision in the facets that have images.

    Sums are by group of near-duplicates; on the outer test, whose question is about museums, by provider.
    """
    dataset = load_dataset(storage / "dataset")
    truth = load_truth(dataset, split)
    averaged = mean_facets(dataset.facets)
    found = {}
    for folder in prediction_folders(storage):
        scored = score_predictions(folder, dataset, truth, settings, further=False)
        if set(averaged) <= set(scored.predicted):
            found[folder.name] = main_ratios(scored)
    width, order = len(main_metrics(settings.top_k)), list(dataset.facets)
    columns = [order.index(facet) * width for facet in averaged]
    counted = [column for column in columns if all(row.counts[:, column].sum() for row in found.values())]
    return found, counted


def compare_orders(
    first: Path, second: Path, split: str, settings: EvaluationSettings
) -> tuple[Mapping[str, tuple[float, float]], Agreement]:
    """The means of every row that both runs have, and the agreement of their orders. Raises EvaluationError."""
    (ours, columns), (theirs, other_columns) = (rows_of(storage, split, settings) for storage in (first, second))
    rows = [row for row in ours if row in theirs]
    if len(rows) < 2:
        raise EvaluationError(f"{first} and {second} have {len(rows)} rows in common; an order needs two.")
    one = means_of([ours[row] for row in rows], columns, settings, settings.seed)
    other = means_of([theirs[row] for row in rows], other_columns, settings, settings.seed + 1)
    values = zip(one.values.tolist(), other.values.tolist(), strict=True)
    agreed = agreement(one, other, settings.confidence, least_units(split, settings))
    return dict(zip(rows, values, strict=True)), agreed


def main() -> None:
    """Print both tests' means side by side, and the agreement of their orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--resamples", type=int, default=2_000)
    given = parser.parse_args()
    settings = EvaluationSettings(resamples=given.resamples)
    for split in TEST_SPLITS:
        values, agreed = compare_orders(given.first, given.second, split, settings)
        sure = "" if np.isnan(agreed.low) else f" ({agreed.low:.3f} to {agreed.high:.3f})"
        print(f"{split}: tau {agreed.tau:.3f}{sure} over {agreed.rows} rows")
        for row, (one, other) in sorted(values.items(), key=lambda item: -item[1][0]):
            print(f"  {row:<24}{one:6.3f}{other:8.3f}")


if __name__ == "__main__":
    main()
