"""Scores prediction files on a dataset, batch by batch, wrong values refused: rows of `results` with intervals."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ml.baselines import BASELINES
from ml.dataset.ground_truth import Dataset, EvaluationError, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import open_predictions
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import FacetTags
from ml.evaluation.image_scores import ImageScores
from ml.evaluation.informativeness import Informativeness, load_informativeness
from ml.evaluation.intervals import (
    divide,
    interval,
    jackknife_interval,
    leave_one_out,
    resample,
    sum_by_group,
    unit_weights,
)
from ml.evaluation.metrics import main_metrics
from ml.evaluation.units import least_units, unit_of, units_of
from pipeline import EVALUATED_SPLITS
from pipeline.facets import FACETS, MEAN_FACETS
from pipeline.settings import EvaluationSettings
from pipeline.tables import COUNT_UNSEEN, IGNORE_UNSEEN

Row = dict[str, object]


@dataclass(frozen=True)
class Source:
    """The scores of one row of the benchmark: prediction files, the label prior or the oracle."""

    baseline: str
    seed: int
    name: str  # in error messages
    batches: Callable[[FacetTags], Iterator[tuple[np.ndarray, np.ndarray]]]  # scores (b, tags) and their images (b,)


@dataclass(frozen=True)
class Scored:
    """One row of the benchmark on one split: every metric of every image, by facet."""

    baseline: str
    seed: int
    truth: Truth
    facets: dict[str, ImageScores]  # every facet of the dataset
    predicted: tuple[str, ...]  # the facets it has scores for; all NaN in the others


def evaluate(
    predictions: Path,
    dataset: Path,
    *,
    settings: EvaluationSettings | None = None,
    splits: Sequence[str] | None = None,
    device: str = "cpu",
) -> list[Row]:
    """Rows of `results` for a baseline's predictions folder (`<split>/<facet>.parquet`) on a dataset or release.

    Without `splits`, those that the predictions have. A row that does not predict every facet has no mean. `device` may
    be a GPU (`cuda`), with the same results. Raises EvaluationError, one sentence, for predictions that do not fit:
    other split or tag list, missing facet or image, NaN scores, repeated images, unknown tag.
    """
    settings = settings or EvaluationSettings()
    check_device(device)
    loaded = load_dataset(dataset)
    rows: list[Row] = []
    for split in splits or predicted_splits(predictions):
        truth = load_truth(loaded, split)
        scored = score_predictions(predictions, loaded, truth, settings, device=device)
        rows += results_of(scored, loaded, settings, load_informativeness(loaded, truth, settings))
    return rows


def check_device(device: str) -> None:
    """Raises EvaluationError for a device that scores cannot be ranked on."""
    if device != "cpu":
        from ml.evaluation.device_metrics import why_unavailable  # torch takes a second to import

        if problem := why_unavailable(device):
            raise EvaluationError(f"Nothing can be scored on {device} ({problem}); leave the device out.")


def facets_of(baseline: str) -> tuple[str, ...]:
    """The facets a baseline predicts: all of them, except for a row with a single head."""
    row = BASELINES.get(baseline)
    return FACETS if row is None else row.facets


def mean_facets(facets: Iterable[str]) -> list[str]:
    """Those of a dataset's facets that means over facets count."""
    return [facet for facet in facets if facet in MEAN_FACETS]


def predicted_splits(predictions: Path) -> list[str]:
    """The splits a predictions folder has scores for; EvaluationError when there is none."""
    splits = [split for split in EVALUATED_SPLITS if (predictions / split).is_dir()]
    if not splits:
        raise EvaluationError(f"{predictions} holds no predictions; it needs a folder inner_test or outer_test.")
    return splits


def score_predictions(
    predictions: Path,
    dataset: Dataset,
    truth: Truth,
    settings: EvaluationSettings,
    facets: Sequence[str] | None = None,
    *,
    further: bool = True,
    device: str = "cpu",
) -> Scored:
    """All metrics of all images of one split, from files read in batches; `further` as in ImageScores.

    Without `facets`, those of the baseline that the folder is named after.
    """
    facets = facets or facets_of(predictions.name)
    lists = [tags for facet, tags in dataset.facets.items() if facet in facets and len(tags)]
    files = {tags.facet: open_predictions(predictions, dataset, truth, tags) for tags in lists}
    if not files:
        raise EvaluationError(f"{dataset.folder} has an empty tag list; nothing can be scored.")
    first = next(iter(files.values()))
    source = Source(
        first.baseline, first.seed, str(predictions), lambda tags: files[tags.facet].batches(settings.batch_rows)
    )
    scored = score_source(source, dataset, truth, settings, facets, further=further, device=device)
    for facet, file in files.items():
        if file.logarithms:
            column = scored.facets[facet].column("confidence")
            np.exp(column, out=column)
    return scored


def score_source(
    source: Source,
    dataset: Dataset,
    truth: Truth,
    settings: EvaluationSettings,
    facets: Sequence[str] = FACETS,
    *,
    further: bool = True,
    device: str = "cpu",
) -> Scored:
    """All metrics of all images of one split; a facet ranks only the images that are annotated in it."""
    by_facet = {}
    for facet, tags in dataset.facets.items():
        scores = by_facet[facet] = ImageScores(truth.relevance[facet], settings.top_k, further)
        if facet not in facets:
            continue
        add = _adder(scores, device)
        annotated = np.diff(scores.relevance.starts) + scores.relevance.unseen > 0
        for batch, images in source.batches(tags) if len(tags) else [_no_scores(len(annotated))]:
            wanted, name = annotated[images], f"{source.name}/{truth.name}/{facet}.parquet"
            try:
                add(batch[wanted], images[wanted], tags.parents)
            except ValueError:
                _refuse_nan(batch, images, truth, name)
                raise
            _refuse_nan(batch[~wanted], images[~wanted], truth, name)
    return Scored(source.baseline, source.seed, truth, by_facet, tuple(facet for facet in by_facet if facet in facets))


def _adder(scores: ImageScores, device: str) -> Callable[[np.ndarray, np.ndarray, Sequence[int]], None]:
    """`scores.add`, or the same on a GPU."""
    if device == "cpu":
        return scores.add
    from ml.evaluation.device_metrics import rank_on  # torch takes a second to import

    return partial(rank_on, device, scores)


def _no_scores(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The batch of a facet without a tag in the list: its tags can only be missed."""
    return np.empty((n, 0), np.float32), np.arange(n)


def _refuse_nan(batch: np.ndarray, images: np.ndarray, truth: Truth, name: str) -> None:
    bad = np.isnan(batch).any(1)
    if bad.any():
        record = truth.images["record_id"][int(images[np.flatnonzero(bad)[0]])]
        raise EvaluationError(f"{name} has NaN scores for {record}; predict again with finite scores.")


class Estimate(NamedTuple):
    """One metric of a facet with its resamples, and how many images and units it counts."""

    value: float
    resamples: np.ndarray  # (resamples,); on the outer test (units,): without each provider
    images: int
    units: int
    weights: np.ndarray  # (units,): the share of each unit


def results_of(scored: Scored, dataset: Dataset, settings: EvaluationSettings, told: Informativeness) -> list[Row]:
    """Rows of `results`: each facet's metrics, then their unweighted mean over the facets that can tell something.

    Where no facet can tell, the mean is over all of them. A figure of too few units has no interval.
    """
    tables = [_facet_metrics(scored, tags, settings) for tags in dataset.facets.values()]
    estimates = dict(zip(dataset.facets, _estimates(tables, scored.truth.name, settings), strict=True))
    has_mean = set(mean_facets(dataset.facets)) <= set(scored.predicted)
    names = {"run": dataset.run, "baseline": scored.baseline, "seed": scored.seed, "split": scored.truth.name}
    rows: list[Row] = []
    for number, (metric, policy) in enumerate(tables[0].names):
        cells = [(facet, [facet], estimates[facet][number]) for facet in scored.predicted]
        mean = _mean([estimates[facet][number] for facet in told.averaged] if has_mean else [])
        for facet, counted, estimate in [*cells, ("mean", told.averaged, mean)]:
            low, high = _interval(estimate, scored.truth.name, settings)
            figures: dict[str, float | None] = {"value": estimate.value, "low": low, "high": high}
            figures["ignored_share"] = _ignored_share(scored, counted, policy)
            row = {**names, "facet": facet, "metric": metric, "policy": policy}
            row |= {"n": estimate.images, "units": estimate.units}
            figures |= told.beside(facet)
            rows.append(row | {k: six_digits(v) for k, v in figures.items()} | {"tells": told.word(facet)})
    return rows


def _interval(estimate: Estimate, split: str, settings: EvaluationSettings) -> tuple[float, float]:
    """The interval over the units that the split varies; NaN with too few of them."""
    if estimate.units < least_units(split, settings):
        return np.nan, np.nan
    if unit_of(split) == "provider":
        return jackknife_interval(estimate.value, estimate.resamples, estimate.weights, settings.confidence)
    low, high = interval(estimate.resamples, estimate.units, settings.confidence)
    return float(low[0]), float(high[0])


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """The unweighted mean of those that count images; NaN where none does."""
    known = [estimate for estimate in estimates if not np.isnan(estimate.value)]
    if not known:
        return Estimate(np.nan, np.full(1, np.nan), 0, 0, np.zeros(1))
    values, resamples, images, units, weights = zip(*known, strict=True)
    return Estimate(
        float(np.mean(values)), np.mean(resamples, axis=0), sum(images), min(units), np.mean(weights, axis=0)
    )


def six_digits(value: float | None) -> float | None:
    """A number as published tables hold it: six significant digits, null for what does not exist."""
    return None if value is None or np.isnan(value) else float(f"{value:.6g}")


@dataclass(frozen=True)
class _FacetMetrics:
    """A facet's metrics as sums and counts by unit, with the images each one counts; calibration error is the last.

    `gaps` is None where the scores are no probabilities.
    """

    names: list[tuple[str, str]]  # (metric, policy)
    sums: np.ndarray  # (units, metrics - 1)
    counts: np.ndarray
    gaps: np.ndarray | None  # (units, bins)
    images: np.ndarray  # (metrics,)


def _facet_metrics(scored: Scored, tags: FacetTags, settings: EvaluationSettings) -> _FacetMetrics:
    scores, units = scored.facets[tags.facet], units_of(scored.truth)
    n_units = int(units.max()) + 1
    kept = [number for number, (name, _) in enumerate(scores.names) if name != "confidence"]
    values = scores.values[:, kept]
    per_image = sum_by_group(values, units, n_units)
    pairs, pair_names = _pair_metrics(scores.relevance, scores.hits, tags, settings)
    per_pair = sum_by_group(pairs, units[scores.relevance.images], n_units)
    images = [(~np.isnan(column)).sum() for column in values.T]
    images += [len(np.unique(scores.relevance.images[~np.isnan(column)])) for column in pairs.T]
    return _FacetMetrics(
        [scores.names[n] for n in kept] + [(name, IGNORE_UNSEEN) for name in (*pair_names, "calibration_error")],
        np.hstack([per_image.sums, per_pair.sums]),
        np.hstack([per_image.counts, per_pair.counts]),
        calibration_gaps(scored, tags.facet, units, settings),
        np.array([*images, images[0]]),
    )


def _pair_metrics(
    relevance: Relevance, hits: np.ndarray, tags: FacetTags, settings: EvaluationSettings
) -> tuple[np.ndarray, list[str]]:
    """Recall within the R best of head, medium and tail tags, and of rare tags against their parents.

    Head, medium and tail are thirds of the tag list by training images. Values per pair of image and relevant tag,
    NaN where a pair does not belong; shape (pairs, 6).
    """
    n_train, parents = np.array(tags.n_train, np.int64), np.array(tags.parents, np.int64)
    third = thirds(n_train)[relevance.tags] if len(tags) else np.empty(0, int)
    columns = [np.where(third == number, hits, np.nan) for number in range(3)]
    has_parent = parents[relevance.tags] >= 0
    rare = has_parent & (n_train[relevance.tags] <= settings.rare_tag_images)
    columns.append(np.where(rare, hits, np.nan))
    columns.append(np.where(rare, hits_of_parents(relevance, hits, parents), np.nan))
    columns.append(columns[-1] - columns[-2])
    names = ["head_recall", "medium_recall", "tail_recall"]
    names += ["rare_tag_recall", "rare_tag_parent_recall", "rare_tag_parent_gain"]
    return np.column_stack(columns), names


def thirds(n_train: np.ndarray) -> np.ndarray:
    """0 for the third of the tags with most training images, 1, and 2 for the third with fewest; ties by list order."""
    rank = np.empty(len(n_train), np.int64)
    rank[np.argsort(-n_train, kind="stable")] = np.arange(len(n_train))
    return rank * 3 // max(1, len(n_train))


def hits_of_parents(relevance: Relevance, hits: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """For every pair of image and relevant tag, the hit of the same image and the tag's parent; NaN without one."""
    if not len(hits):
        return hits
    first_key = relevance.images.astype(np.int64) * len(parents)
    keys, parent = first_key + relevance.tags, parents[relevance.tags]  # keys ascend by construction
    at = np.searchsorted(keys, first_key + parent).clip(max=len(keys) - 1)
    return np.where((parent >= 0) & (keys[at] == first_key + parent), hits[at], np.nan)


def _estimates(tables: Sequence[_FacetMetrics], split: str, settings: EvaluationSettings) -> list[list[Estimate]]:
    """The metrics of every facet, all from the same resamples, so that means over facets can be resampled too."""
    no_gaps = np.zeros((len(tables[0].sums), 1))
    parts = [part for table in tables for part in (table.sums, table.counts)]
    parts += [no_gaps if table.gaps is None else table.gaps for table in tables]
    stacked = np.hstack(parts)
    by_provider = unit_of(split) == "provider"
    again = leave_one_out(stacked) if by_provider else resample(stacked, settings.resamples, settings.seed)
    totals = np.vstack([stacked.sum(0), again])
    parted = np.split(totals, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)
    estimates = []
    for number, table in enumerate(tables):
        sums, counts, gaps = parted[2 * number], parted[2 * number + 1], parted[2 * len(tables) + number]
        error = np.full(len(totals), np.nan) if table.gaps is None else divide(np.abs(gaps).sum(1), counts[:, 0])
        metrics = np.column_stack([divide(sums, counts), error])
        weights = [unit_weights(table.counts[:, [number]]) for number in [*range(table.counts.shape[1]), 0]]
        columns = zip(metrics.T, table.images, weights, strict=True)
        estimates.append([Estimate(column[0], column[1:], int(n), int((w > 0).sum()), w) for column, n, w in columns])
    return estimates


def calibration_gaps(scored: Scored, facet: str, units: np.ndarray, settings: EvaluationSettings) -> np.ndarray | None:
    """Per unit and bin, best score minus right answer, summed over images; None where scores are no probabilities.

    Guo et al. 2017: images fall into bins of equal width by the best tag's score; the expected calibration error is
    the mean over images of the absolute gap of their bin.
    """
    scores = scored.facets[facet]
    confidence, right = scores.column("confidence"), scores.column("acc_at_1")
    counted = ~np.isnan(confidence)
    if not counted.any() or confidence[counted].min() < 0 or confidence[counted].max() > 1:
        return None
    n_bins, n_units = settings.calibration_bins, int(units.max()) + 1
    bins = np.minimum((confidence[counted] * n_bins).astype(int), n_bins - 1)
    cells = units[counted] * n_bins + bins
    gaps = np.bincount(cells, weights=confidence[counted] - right[counted], minlength=n_units * n_bins)
    return gaps.reshape(n_units, n_bins)


def _ignored_share(scored: Scored, facets: Sequence[str], policy: str) -> float | None:
    """Share of the relevant tags that the policy leaves out; null where there is no relevant tag."""
    known = sum(len(scored.facets[facet].relevance.tags) for facet in facets)
    unseen = sum(int(scored.facets[facet].relevance.unseen.sum()) for facet in facets)
    if known + unseen == 0:
        return None
    return 0.0 if policy == COUNT_UNSEEN else unseen / (known + unseen)


def main_columns(scores: ImageScores, policy: str) -> np.ndarray:
    """The paper's metrics of all images under one policy, shape (n, metrics)."""
    return np.column_stack([scores.column(metric, policy) for metric in main_metrics(scores.top_k)])
