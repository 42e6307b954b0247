"""Results of one row broken down by provider, by depth in the hierarchy, and by tag."""

from collections.abc import Iterator

import numpy as np

from ml.dataset.ground_truth import Dataset
from ml.dataset.tag_list import FacetTags
from ml.evaluation.evaluate import Row, Scored, main_columns, six_digits
from ml.evaluation.image_scores import ImageScores
from ml.evaluation.metrics import main_metrics
from pipeline.tables import IGNORE_UNSEEN

Value = tuple[str, str, float, int]  # level, metric, value, images


def breakdowns_of(scored: Scored, dataset: Dataset, depths: dict[str, dict[int, ImageScores]]) -> list[Row]:
    """Rows of `breakdowns` for one row of the benchmark on one split; unseen tags are ignored."""
    names = {"run": dataset.run, "baseline": scored.baseline, "seed": scored.seed, "split": scored.truth.name}
    rows: list[Row] = []
    for facet in scored.predicted:
        tags, scores = dataset.facets[facet], scored.facets[facet]
        for by, values in (
            ("data_provider", _by_provider(scored, scores)),
            ("depth", _by_depth(depths.get(facet, {}))),
            ("tag", _by_tag(scores, tags)),
        ):
            for level, metric, value, n in values:
                cells = {"facet": facet, "by": by, "level": level, "metric": metric, "value": six_digits(value), "n": n}
                rows.append({**names, **cells})
    return rows


def _by_provider(scored: Scored, scores: ImageScores) -> Iterator[Value]:
    values = main_columns(scores, IGNORE_UNSEEN)
    providers = scored.truth.images["data_provider"].fill_null("").to_numpy()
    for provider in sorted(set(providers)):
        of_provider = values[providers == provider]
        yield from _means(provider, main_metrics(scores.top_k), of_provider)


def _by_depth(depths: dict[int, ImageScores]) -> Iterator[Value]:
    """R-Precision and Acc@1 among the tags of each depth."""
    for depth, scores in sorted(depths.items()):
        values = np.column_stack([scores.column("r_precision"), scores.column("acc_at_1")])
        yield from _means(str(depth), ["r_precision", "acc_at_1"], values)


def _means(level: str, metrics: list[str], values: np.ndarray) -> Iterator[Value]:
    for metric, column in zip(metrics, values.T, strict=True):
        n = int((~np.isnan(column)).sum())
        if n:
            yield level, metric, float(np.nanmean(column)), n


def _by_tag(scores: ImageScores, tags: FacetTags) -> Iterator[Value]:
    """For each tag the chance that it is among the R best of an image that has it."""
    relevance = scores.relevance
    n = np.bincount(relevance.tags, minlength=len(tags))
    hits = np.bincount(relevance.tags, weights=np.nan_to_num(scores.hits), minlength=len(tags))
    for number, tag_id in enumerate(tags.tag_ids):
        if n[number]:
            yield tag_id, "tag_recall", float(hits[number] / n[number]), int(n[number])
