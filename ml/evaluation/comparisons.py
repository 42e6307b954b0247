"""Paired differences between rows on the same images, each with an interval and a p-value."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from ml.dataset.ground_truth import Dataset, EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import Scored, main_columns, mean_facets, predicted_splits, score_predictions, six_digits
from ml.evaluation.intervals import Ratios, compare_paired, holm, resample_row, sum_by_group
from ml.evaluation.metrics import main_metrics
from pipeline.settings import EvaluationSettings
from pipeline.tables import COMPARISONS, IGNORE_UNSEEN


def compare(first: Path, second: Path, dataset: Path, settings: EvaluationSettings | None = None) -> pl.DataFrame:
    """Rows of `comparisons` for two predictions folders on one dataset.

    Raises EvaluationError where either does not fit the dataset, or they have no split in common.
    """
    settings = settings or EvaluationSettings()
    loaded = load_dataset(dataset)
    splits = [split for split in predicted_splits(first) if split in predicted_splits(second)]
    if not splits:
        raise EvaluationError(f"{first} and {second} predict no split in common.")
    frames = []
    for split in splits:
        truth = load_truth(loaded, split)
        scored = [score_predictions(path, loaded, truth, settings, further=False) for path in (first, second)]
        names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        rows = dict(zip(names, map(main_ratios, scored), strict=True))
        frames.append(compare_rows(rows, [names], loaded, split, settings))
    return pl.concat(frames)


def compare_runs(
    first: Path, second: Path, dataset: Path | None = None, settings: EvaluationSettings | None = None
) -> pl.DataFrame:
    """`compare` of two predictions folders, or of all rows that two runs' storage folders have in common.

    `dataset` is by default the one beside the first predictions. Raises EvaluationError.
    """
    for run in (first, second):
        if not run.is_dir():
            raise EvaluationError(f"There is no folder {run}; name a trained row or a folder of predictions.")
    if (first / "predictions").is_dir() and (second / "predictions").is_dir():
        ours, theirs = (sorted(path.name for path in (run / "predictions").iterdir()) for run in (first, second))
        rows = [row for row in ours if row in theirs]
        if not rows:
            raise EvaluationError(f"{first} and {second} have no row in common.")
        pairs = [(first / "predictions" / row, second / "predictions" / row) for row in rows]
        return pl.concat(compare(*pair, dataset or first / "dataset", settings) for pair in pairs)
    return compare(first, second, dataset or first.parent.parent / "dataset", settings)


def main_ratios(scored: Scored) -> Ratios:
    """The paper's metrics of one row as sums by group; columns are the dataset's facets times metrics."""
    values = np.hstack([main_columns(scores, IGNORE_UNSEEN) for scores in scored.facets.values()])
    return sum_by_group(values, scored.truth.groups, int(scored.truth.groups.max()) + 1)


def compare_rows(
    rows: Mapping[str, Ratios],
    pairs: Sequence[tuple[str, str]],
    dataset: Dataset,
    split: str,
    settings: EvaluationSettings,
) -> pl.DataFrame:
    """Paired differences of the given pairs of rows; facets that either row does not predict are left out."""
    metrics, facets = main_metrics(settings.top_k), list(dataset.facets)
    resampled = {row: resample_row(ratios, settings.resamples, settings.seed) for row, ratios in rows.items()}
    counted = {row: ratios.counts.sum(0) > 0 for row, ratios in rows.items()}
    averaged = {**{facet: [facet] for facet in facets}, "mean": mean_facets(facets)}
    cells = []
    for first, second in pairs:
        for facet, members in averaged.items():
            for number, metric in enumerate(metrics):
                columns = [facets.index(member) * len(metrics) + number for member in members]
                if facet == "mean" and not np.array_equal(counted[first][columns], counted[second][columns]):
                    continue  # a mean over different facets compares nothing
                columns = [column for column in columns if counted[first][column] and counted[second][column]]
                if columns:
                    paired = compare_paired(resampled[first], resampled[second], columns, settings.confidence)
                    values = (paired.difference, paired.low, paired.high, paired.p_value)
                    cells.append((dataset.run, split, first, second, facet, metric, *map(six_digits, values), None))
    frame = pl.DataFrame(cells, schema=COMPARISONS.empty().schema, orient="row")
    parts = [
        part.with_columns(p_holm=pl.Series(holm(part["p_value"].to_list()), dtype=pl.Float64))
        for _, part in frame.group_by("facet", "metric", maintain_order=True)
    ]
    return pl.concat(parts) if parts else frame
