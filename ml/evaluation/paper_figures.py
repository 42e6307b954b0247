"""The paper's figures of rows on the published splits, without their leaked images, and on the mended splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ml.dataset.ground_truth import Dataset, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import Scored, main_columns, mean_facets, score_predictions, six_digits
from ml.evaluation.intervals import (
    Ratios,
    divide,
    interval,
    jackknife_interval,
    leave_one_out,
    replicate,
    sum_by_group,
    unit_weights,
)
from ml.evaluation.metrics import main_metrics
from ml.evaluation.score_run import prediction_folders
from ml.evaluation.units import least_units, unit_of
from pipeline import TEST_SPLITS
from pipeline.settings import EvaluationSettings
from pipeline.tables import IGNORE_UNSEEN, PAPER_FIGURES, SPLIT_TABLE

PUBLISHED, WITHOUT_LEAKS, MENDED = "published", "without_leaks", "mended"
SEEN_IN_TRAINING = ("train", "validation")  # validation chooses the epoch


@dataclass(frozen=True)
class Test:
    """One row's metrics of every image of a test (n, facets * metrics), NaN where one does not count, and its units."""

    values: np.ndarray
    units: pl.Series

    def ratios(self, units: Sequence[str] | None = None) -> Ratios:
        """Sums and counts by unit, in the order of the given names or of its own."""
        names = self.units.unique().sort().to_list() if units is None else units
        numbers = self.units.replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
        return sum_by_group(self.values, numbers, len(names))


def paper_figures(
    storage: Path, settings: EvaluationSettings, rows: Sequence[str], mended_rows: Sequence[str] = ()
) -> pl.DataFrame:
    """PAPER_FIGURES of rows with predictions in a storage folder whose `dataset` has the published splits.

    `without_leaks` are the same scores without the test images whose group is in training or validation too. `mended`
    are the figures of `mended_rows`, which were trained and are tested on the mended splits, in `storage/mended`. A
    mean counts all facets that are annotated, as the paper's does. Raises EvaluationError.
    """
    dataset = load_dataset(storage / "dataset")
    mended = load_dataset(storage / "mended" / "dataset") if mended_rows else None
    found: list[dict[str, object]] = []
    for split in TEST_SPLITS:
        truth = load_truth(dataset, split)
        if truth.images.is_empty():
            continue
        for folder in prediction_folders(storage, rows):
            scored = score_predictions(folder, dataset, truth, settings, further=False)
            of_row = {PUBLISHED: _test(scored, truth)}
            of_row[WITHOUT_LEAKS] = _without(of_row[PUBLISHED], leaked_images(dataset, truth))
            if mended is not None and folder.name in mended_rows:
                again, other = storage / "mended" / "predictions" / folder.name, load_truth(mended, split)
                of_row[MENDED] = _test(score_predictions(again, mended, other, settings, further=False), other)
            named = {"baseline": scored.baseline, "split": split}
            found += [named | row for row in _rows(of_row, dataset, scored.predicted, split, settings)]
    return PAPER_FIGURES.frame(found).sort(PAPER_FIGURES.key)


def leaked_images(dataset: Dataset, truth: Truth) -> np.ndarray:
    """For each image of a test whether its group has images in training or validation too."""
    splits = SPLIT_TABLE.read(dataset.folder / "splits.parquet", ["group_id", "split"])
    seen = splits.filter(pl.col("split").is_in(SEEN_IN_TRAINING))["group_id"].unique()
    return truth.images["group_id"].is_in(seen.implode()).to_numpy()


def _test(scored: Scored, truth: Truth) -> Test:
    values = np.hstack([main_columns(scores, IGNORE_UNSEEN) for scores in scored.facets.values()])
    column = "data_provider" if unit_of(truth.name) == "provider" else "group_id"
    return Test(values, truth.images[column].fill_null(""))


def _without(test: Test, images: np.ndarray) -> Test:
    return Test(np.where(images[:, None], np.nan, test.values), test.units)


def _rows(
    tests: dict[str, Test], dataset: Dataset, predicted: Sequence[str], split: str, settings: EvaluationSettings
) -> Iterator[dict[str, object]]:
    """The figures of one row on one test, each with its interval and its change from the published splits."""
    published = tests[PUBLISHED]
    for splits, test in tests.items():
        alone = _Resampled(test.ratios(), split, settings)
        both: list[_Resampled] = []
        if splits != PUBLISHED:
            units = sorted({*published.units, *test.units})  # of both: they are drawn together
            both = [_Resampled(each.ratios(units), split, settings) for each in (test, published)]
        for facet, metric, columns in _columns(dataset, predicted, published.ratios(), settings):
            value, low, high = alone.figure(columns)
            change = both[0].minus(both[1], columns) if both else (np.nan,) * 3
            figures = (value, low, high, *change)
            names = ("value", "low", "high", "change", "change_low", "change_high")
            yield {
                "splits": splits,
                "facet": facet,
                "metric": metric,
                **dict(zip(names, map(six_digits, figures), strict=True)),
                "facets": len(columns),
                "images": int(alone.ratios.counts[:, columns].sum()),
                "units": alone.units(columns),
            }


def _columns(
    dataset: Dataset, predicted: Sequence[str], published: Ratios, settings: EvaluationSettings
) -> Iterator[tuple[str, str, list[int]]]:
    """Every facet that the row predicts, and the mean where it predicts all, with the columns of each metric."""
    metrics, facets = main_metrics(settings.top_k), list(dataset.facets)
    in_mean = mean_facets(facets)
    known = published.counts.sum(0) > 0
    for number, metric in enumerate(metrics):
        at = {facet: facets.index(facet) * len(metrics) + number for facet in facets}
        yield from ((facet, metric, [at[facet]]) for facet in predicted)
        annotated = [at[facet] for facet in in_mean if known[at[facet]]]
        if set(in_mean) <= set(predicted) and annotated:
            yield "mean", metric, annotated


class _Resampled:
    """A row's metrics with resamples of their units: by bootstrap, or by leaving out one provider at a time."""

    def __init__(self, ratios: Ratios, split: str, settings: EvaluationSettings) -> None:
        self.ratios, self.split, self.settings = ratios, split, settings
        if unit_of(split) == "provider":
            self.again = divide(leave_one_out(ratios.sums), leave_one_out(ratios.counts))
        else:
            self.again = replicate(ratios, settings.resamples, settings.seed)

    def units(self, columns: list[int]) -> int:
        """The units that count, of the column with fewest."""
        return int((self.ratios.counts[:, columns] > 0).sum(0).min())

    def figure(self, columns: list[int]) -> tuple[float, float, float]:
        """The mean of the columns, and its interval."""
        value = float(self.ratios.values[columns].mean())
        weights = unit_weights(self.ratios.counts[:, columns])
        return value, *self._ends(value, self.again[:, columns].mean(1), weights, self.units(columns))

    def minus(self, other: "_Resampled", columns: list[int]) -> tuple[float, float, float]:
        """The difference of the means of the columns, with the interval over the units of both."""
        value = float((self.ratios.values[columns] - other.ratios.values[columns]).mean())
        again = (self.again[:, columns] - other.again[:, columns]).mean(1)
        weights = unit_weights(np.hstack([self.ratios.counts[:, columns], other.ratios.counts[:, columns]]))
        return value, *self._ends(value, again, weights, min(self.units(columns), other.units(columns)))

    def _ends(self, value: float, again: np.ndarray, weights: np.ndarray, units: int) -> tuple[float, float]:
        if np.isnan(value) or units < least_units(self.split, self.settings):
            return np.nan, np.nan
        if unit_of(self.split) == "provider":
            return jackknife_interval(value, again, weights, self.settings.confidence)
        low, high = interval(again, units, self.settings.confidence)
        return float(low[0]), float(high[0])
