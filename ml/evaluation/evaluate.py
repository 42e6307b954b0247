"""From predictions and a dataset to rows of `results`: every metric with its interval, and breakdowns of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.baselines import BASELINES, Vision
from ml.dataset.ground_truth import Dataset, EvaluationError, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import FacetTags
from ml.evaluation.image_scores import ImageScores
from ml.evaluation.intervals import Ratios, divide, interval, resample, sum_by_group
from ml.evaluation.metrics import COUNT_UNSEEN, IGNORE_UNSEEN, main_metrics
from ml.evaluation.prediction_reader import open_predictions
from pipeline import EVALUATED_SPLITS, FACETS
from pipeline.settings import EvaluationSettings

# (scores, images) batches of one facet: what a prediction file, the label prior and the oracle have in common
Source = Callable[[FacetTags], Iterator[tuple[np.ndarray, np.ndarray]]]
Row = dict[str, object]


@dataclass(frozen=True)
class Scored:
    """One row of the benchmark on one split: every metric of every image, by facet."""

    baseline: str
    seed: int
    truth: Truth
    facets: dict[str, ImageScores]
    predicted: tuple[str, ...] = FACETS  # the facets it has scores for; all NaN in the others


def evaluate(
    predictions: Path,
    dataset: Path,
    *,
    settings: EvaluationSettings | None = None,
    splits: Sequence[str] | None = None,
    facets: Sequence[str] | None = None,
    device: str = "cpu",
) -> list[Row]:
    """Rows of `results` for a baseline's predictions folder (`<split>/<facet>.parquet`) on a dataset or release.

    Without `splits`, those that the predictions have; without `facets`, all four, but for the paper's single-head row.
    A row with fewer facets has no mean. `device` may be a GPU (`cuda`): the same figures. Raises EvaluationError, one
    sentence, for predictions that do not fit: other split or tag list, missing facet or image, NaN scores, repeated
    images, unknown tag.
    """
    settings = settings or EvaluationSettings()
    if device != "cpu":
        from ml.evaluation.device_metrics import lacking

        if problem := lacking(device):
            raise EvaluationError(f"Nothing can be scored on {device} ({problem}); leave the device out.")
    loaded = load_dataset(dataset)
    facets = facets or facets_of(predictions.name)
    rows: list[Row] = []
    for split in splits or predicted_splits(predictions):
        scored = score_predictions(predictions, loaded, load_truth(loaded, split), settings, facets, device=device)
        rows += results_of(scored, loaded, settings)
    return rows


def facets_of(baseline: str) -> tuple[str, ...]:
    """The facets a baseline predicts: all four, but for the paper's single head."""
    row = BASELINES.get(baseline)
    return row.facets if isinstance(row, Vision) else FACETS


def predicted_splits(predictions: Path) -> list[str]:
    """The splits a predictions folder has scores for; EvaluationError when there is none."""
    found = [split for split in EVALUATED_SPLITS if (predictions / split).is_dir()]
    if not found:
        raise EvaluationError(f"{predictions} holds no predictions; it needs a folder inner_test or outer_test.")
    return found


def score_predictions(
    predictions: Path,
    dataset: Dataset,
    truth: Truth,
    settings: EvaluationSettings,
    facets: Sequence[str] = FACETS,
    *,
    further: bool = True,
    device: str = "cpu",
) -> Scored:
    """All metrics of all images of one split, from files read in batches; `further`, `device` as in ImageScores."""
    lists = [dataset.tag_lists[facet] for facet in FACETS if facet in facets]
    files = {tags.facet: open_predictions(predictions, dataset, truth, tags) for tags in lists if len(tags)}
    if not files:
        raise EvaluationError(f"{dataset.folder} has an empty tag list; nothing can be scored.")
    first = next(iter(files.values()))

    def batches(tags: FacetTags) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return files[tags.facet].batches(settings.batch_rows)

    scored = score_source(
        first.baseline, first.seed, dataset, truth, batches, settings, str(predictions), facets, further, device
    )
    for facet, file in files.items():
        if file.logarithms:
            column = scored.facets[facet].column("confidence")
            np.exp(column, out=column)
    return scored


def score_source(
    baseline: str,
    seed: int,
    dataset: Dataset,
    truth: Truth,
    source: Source,
    settings: EvaluationSettings,
    name: str,
    facets: Sequence[str] = FACETS,
    further: bool = True,
    device: str = "cpu",
) -> Scored:
    """All metrics of all images of one split; only images annotated in a facet are ranked there."""
    by_facet = {}
    for facet in FACETS:
        tags, relevance = dataset.tag_lists[facet], truth.relevance[facet]
        scores = ImageScores(relevance, settings.top_k, further, device)
        by_facet[facet] = scores
        if facet not in facets:
            continue
        annotated = np.diff(relevance.starts) + relevance.unseen > 0
        batches = source(tags) if len(tags) else _no_scores(len(relevance))
        for batch, images in batches:
            wanted = annotated[images]
            try:
                scores.add(batch[wanted], images[wanted], tags.parents)
            except ValueError:
                _refuse_nan(batch, images, truth, f"{name}/{truth.split}/{facet}.parquet")
                raise
            _refuse_nan(batch[~wanted], images[~wanted], truth, f"{name}/{truth.split}/{facet}.parquet")
    return Scored(baseline, seed, truth, by_facet, tuple(facets))


def _no_scores(n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A facet without a tag in the list: its tags can only be missed."""
    yield np.empty((n, 0), np.float32), np.arange(n)


def _refuse_nan(batch: np.ndarray, images: np.ndarray, truth: Truth, name: str) -> None:
    bad = np.isnan(batch).any(1)
    if bad.any():
        record = truth.images["record_id"][int(images[np.flatnonzero(bad)[0]])]
        raise EvaluationError(f"{name} has NaN scores for {record}; predict again with finite scores.")


def results_of(scored: Scored, dataset: Dataset, settings: EvaluationSettings) -> list[Row]:
    """Rows of `results`: each facet's metrics, then their unweighted mean over the facets that have images."""
    tables = [_facet_metrics(scored, dataset.tag_lists[facet], settings) for facet in FACETS]
    gaps = [_calibration_gaps(scored, facet, settings) for facet in FACETS]
    values, samples = _with_resamples(tables, gaps, settings)
    names = [*tables[0].names, ("calibration_error", IGNORE_UNSEEN)]
    images = [np.append(table.images, table.images[0]) for table in tables]
    groups = [np.append(table.groups, table.groups[0]) for table in tables]
    rows: list[Row] = []
    for column, (metric, policy) in enumerate(names):
        known = [f for f in range(len(FACETS)) if not np.isnan(values[f][column])]
        for f, facet in enumerate(FACETS):
            if facet not in scored.predicted:
                continue
            low, high = interval(samples[f][:, column], int(groups[f][column]), settings.confidence)
            share = _ignored_share(scored, [facet], policy)
            cells = (values[f][column], low[0], high[0], int(images[f][column]), share)
            rows.append(_row(scored, dataset, facet, metric, policy, cells))
        cells = (np.nan, np.nan, np.nan, 0, _ignored_share(scored, FACETS, policy))
        if known and len(scored.predicted) == len(FACETS):
            fewest = min(int(groups[f][column]) for f in known)
            mean = np.mean([samples[f][:, column] for f in known], axis=0)
            low, high = interval(mean, fewest, settings.confidence)
            n = int(sum(images[f][column] for f in known))
            cells = (float(np.mean([values[f][column] for f in known])), low[0], high[0], n, cells[4])
        rows.append(_row(scored, dataset, "mean", metric, policy, cells))
    return rows


def _row(
    scored: Scored,
    dataset: Dataset,
    facet: str,
    metric: str,
    policy: str,
    cells: tuple[float, float, float, int, float | None],
) -> Row:
    value, low, high, n, share = cells
    return {
        "run": dataset.run,
        "baseline": scored.baseline,
        "seed": scored.seed,
        "split": scored.truth.split,
        "facet": facet,
        "metric": metric,
        "policy": policy,
        "value": six_digits(value),
        "low": six_digits(low),
        "high": six_digits(high),
        "n": n,
        "ignored_share": six_digits(share),
    }


def six_digits(value: float | None) -> float | None:
    """A figure as published tables hold it: six significant digits, null for what does not exist."""
    return None if value is None or np.isnan(value) else float(f"{value:.6g}")


@dataclass(frozen=True)
class _FacetMetrics:
    """A facet's metrics as sums by group, with how many images and groups each one counts."""

    names: list[tuple[str, str]]
    ratios: Ratios
    images: np.ndarray
    groups: np.ndarray


def _facet_metrics(scored: Scored, tags: FacetTags, settings: EvaluationSettings) -> _FacetMetrics:
    scores, groups = scored.facets[tags.facet], scored.truth.groups
    n_groups = int(groups.max()) + 1
    kept = [number for number, (name, _) in enumerate(scores.names) if name != "confidence"]
    values = scores.values[:, kept]
    whole = sum_by_group(values, groups, n_groups)
    pairs, names = _pair_metrics(scores.relevance, scores.hits, tags, settings)
    pair_groups = groups[scores.relevance.images]
    parts = sum_by_group(pairs, pair_groups, n_groups)
    ratios = Ratios(np.hstack([whole.sums, parts.sums]), np.hstack([whole.counts, parts.counts]))
    images = [(~np.isnan(column)).sum() for column in values.T]
    images += [len(np.unique(scores.relevance.images[~np.isnan(column)])) for column in pairs.T]
    all_names = [scores.names[number] for number in kept] + [(name, IGNORE_UNSEEN) for name in names]
    return _FacetMetrics(all_names, ratios, np.array(images), (ratios.counts > 0).sum(0))


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
    n_tags = len(parents)
    keys = relevance.images.astype(np.int64) * max(1, n_tags) + relevance.tags  # ascending by construction
    parent = parents[relevance.tags]
    wanted = relevance.images.astype(np.int64) * max(1, n_tags) + parent
    at = np.searchsorted(keys, wanted).clip(0, max(0, len(keys) - 1))
    found = (parent >= 0) & (keys[at] == wanted) if len(keys) else np.empty(0, bool)
    return np.where(found, hits[at] if len(keys) else hits, np.nan)


def _with_resamples(
    tables: Sequence[_FacetMetrics], gaps: Sequence[np.ndarray | None], settings: EvaluationSettings
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per facet the metrics (metrics + 1,) and their resamples (resamples, metrics + 1); the last is calibration.

    One set of draws serves all facets, so that the resamples of their mean belong together.
    """
    nothing = np.zeros((len(tables[0].ratios.sums), 1))
    columns = [part for table in tables for part in (table.ratios.sums, table.ratios.counts)]
    widths = [part.shape[1] for part in columns]
    columns += [nothing if gap is None else gap for gap in gaps]
    stacked = np.hstack(columns)
    totals = np.vstack([stacked.sum(0), resample(stacked, settings.resamples, settings.seed)])
    values, samples, start = [], [], 0
    calibration = sum(widths)
    for number, gap in enumerate(gaps):
        width = widths[2 * number]
        counts = totals[:, start + width : start + 2 * width]
        figures = divide(totals[:, start : start + width], counts)
        start += 2 * width
        error = np.full((len(totals), 1), np.nan)
        if gap is not None:
            error = divide(np.abs(totals[:, calibration : calibration + gap.shape[1]]).sum(1), counts[:, 0])[:, None]
        calibration += nothing.shape[1] if gap is None else gap.shape[1]
        figures = np.hstack([figures, error])
        values.append(figures[0])
        samples.append(figures[1:])
    return values, samples


def _calibration_gaps(scored: Scored, facet: str, settings: EvaluationSettings) -> np.ndarray | None:
    """Per group and bin, best score minus right answer, summed over images; None where scores are no probabilities.

    Guo et al. 2017: images fall into bins of equal width by the best tag's score; the expected calibration error is
    the mean over images of the absolute gap of their bin.
    """
    scores = scored.facets[facet]
    confidence, right = scores.column("confidence"), scores.column("acc_at_1")
    counted = ~np.isnan(confidence)
    if not counted.any() or confidence[counted].min() < 0 or confidence[counted].max() > 1:
        return None
    n_bins, n_groups = settings.calibration_bins, int(scored.truth.groups.max()) + 1
    bins = np.minimum((confidence[counted] * n_bins).astype(int), n_bins - 1)
    cells = scored.truth.groups[counted] * n_bins + bins
    gaps = np.bincount(cells, weights=confidence[counted] - right[counted], minlength=n_groups * n_bins)
    return gaps.reshape(n_groups, n_bins)


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
