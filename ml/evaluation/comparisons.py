"""Paired differences between rows on the same images, each with an interval and a p-value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from ml.dataset.ground_truth import Dataset, EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import Scored, main_columns, predicted_splits, score_predictions, six_digits
from ml.evaluation.informativeness import Informativeness, load_informativeness
from ml.evaluation.intervals import Paired, Ratios, Resampled, compare_paired, holm, resample_row, sum_by_group
from ml.evaluation.metrics import main_metrics
from ml.evaluation.units import least_units, unit_of, units_of
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
        told = load_informativeness(loaded, truth, settings)
        frames.append(compare_rows(rows, [names], loaded, told, split, settings))
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
    """The paper's metrics of one row as sums by unit; columns are the dataset's facets times metrics."""
    values = np.hstack([main_columns(scores, IGNORE_UNSEEN) for scores in scored.facets.values()])
    units = units_of(scored.truth)
    return sum_by_group(values, units, int(units.max()) + 1)


def compare_rows(
    rows: Mapping[str, Ratios],
    pairs: Sequence[tuple[str, str]],
    dataset: Dataset,
    told: Informativeness,
    split: str,
    settings: EvaluationSettings,
) -> pl.DataFrame:
    """Paired differences of the given pairs of rows; facets that either row does not predict are left out.

    The mean is over the facets that can tell something. A difference over too few units has no interval.
    """
    jackknife = unit_of(split) == "provider"
    resampled = {
        row: resample_row(ratios, settings.resamples, settings.seed, jackknife=jackknife)
        for row, ratios in rows.items()
    }
    counted = {row: ratios.counts.sum(0) > 0 for row, ratios in rows.items()}
    wanted = np.any(list(counted.values()), axis=0) if counted else np.zeros(0, bool)
    cells = []
    for first, second in pairs:
        for facet, metric, columns in _columns(dataset, told, settings):
            if facet == "mean" and (counted[first] & counted[second] != wanted)[columns].any():
                continue  # a mean over other facets compares nothing
            columns = [column for column in columns if counted[first][column] and counted[second][column]]
            if columns:
                paired, units = _paired(resampled[first], resampled[second], columns, split, settings)
                values = (paired.difference, paired.low, paired.high, paired.p_value)
                row = (dataset.run, split, first, second, facet, metric, *map(six_digits, values), None)
                cells.append((*row, units, told.word(facet)))
    frame = pl.DataFrame(cells, schema=COMPARISONS.empty().schema, orient="row")
    parts = [
        part.with_columns(p_holm=pl.Series(holm(part["p_value"].to_list()), dtype=pl.Float64))
        for _, part in frame.group_by("facet", "metric", maintain_order=True)
    ]
    return pl.concat(parts) if parts else frame


def _columns(
    dataset: Dataset, told: Informativeness, settings: EvaluationSettings
) -> Iterator[tuple[str, str, list[int]]]:
    """Every facet, and the mean, with every metric, and the columns of `main_ratios` that it is the mean of."""
    metrics, facets = main_metrics(settings.top_k), list(dataset.facets)
    averaged = {**{facet: [facet] for facet in facets}, "mean": told.averaged}
    for facet, members in averaged.items():
        for number, metric in enumerate(metrics):
            yield facet, metric, [facets.index(member) * len(metrics) + number for member in members]


def _paired(
    first: Resampled, second: Resampled, columns: list[int], split: str, settings: EvaluationSettings
) -> tuple[Paired, int]:
    """The paired difference, without an interval where there are too few units, and the number of units."""
    paired = compare_paired(first, second, columns, settings.confidence)
    units = int(first.n_groups[columns].min())
    if units < least_units(split, settings):
        paired = replace(paired, low=np.nan, high=np.nan)
    return paired, units
