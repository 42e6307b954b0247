"""What is measured of a row on one split: rankings by facet, and AUROC and AP by provider and tag."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import rankdata

from ml.dataset.relevance import Relevance
from ml.evaluation.image_scores import score_images
from ml.suites.rows import SuiteRow
from ml.suites.task import Scores, Task
from pipeline.settings import SuiteSettings

Figure = dict[str, object]  # the columns of suite_results from `facet` on
NOT_RANKED = "not ranked: these tags have no training image"


def ranking(task: Task, scores: Scores, row: SuiteRow, settings: SuiteSettings) -> Iterator[Figure]:
    """R-Precision and accuracy at 1 by facet, among the asked tags that have training images.

    Where a split asks for new tags, they are ranked among each other by the rows that can; for the others the figures
    are null, with the reason. `support` is the share of the asked pairs of image and tag that have training images.
    """
    del settings
    for facet, listed, truth, n_train in _asked(task):
        ranked = np.ones(len(listed), bool) if task.split.new else n_train > 0
        pairs = truth.sum()
        support = float(truth[:, n_train > 0].sum() / pairs) if pairs else None
        cells: Figure = {"facet": facet, "support": support}
        counted = int(truth[:, ranked].any(1).sum())
        if task.split.new and not row.ranks_new:
            yield from ({**cells, "metric": m, "n": counted, "note": NOT_RANKED} for m in ("r_precision", "acc_at_1"))
            continue
        relevance = Relevance.from_lists([np.flatnonzero(image).tolist() for image in truth[:, ranked]])
        columns = np.ascontiguousarray(scores[facet][:, listed[ranked]])
        measured = score_images(columns, relevance, top_k=(1,), further=False)
        for metric in ("r_precision", "acc_at_1"):
            values = measured.column(metric)
            value = float(np.nanmean(values)) if counted else None
            yield {**cells, "metric": metric, "value": value, "n": counted}


def within_provider(task: Task, scores: Scores, row: SuiteRow, settings: SuiteSettings) -> Iterator[Figure]:
    """AUROC and average precision of every tag among the test images of one provider that are annotated in the facet.

    A ranking that is the same for all images of a provider has an AUROC of one half. A tag counts where at least
    `least_of_each` images have it and as many do not.
    """
    del row
    providers = task.collection.annotated.providers[task.split.test]
    for facet, listed, truth, n_train in _asked(task):
        annotated = truth.any(1)
        for name in np.unique(providers):
            own = annotated & (providers == name)
            with_tag = truth[own].sum(0)
            enough = (with_tag >= settings.least_of_each) & (own.sum() - with_tag >= settings.least_of_each)
            for at in np.flatnonzero(enough & (n_train > 0)):
                values, right = scores[facet][own, listed[at]], truth[own, at]
                cells: Figure = {
                    "facet": facet,
                    "provider": str(name),
                    "n": int(right.sum()),
                    "without": int((~right).sum()),
                }
                cells["tag_id"] = task.collection.facets[facet].tags.tag_ids[listed[at]]
                yield {**cells, "metric": "auroc", "value": auroc(values, right)}
                yield {**cells, "metric": "average_precision", "value": average_precision(values, right)}


MEASURES: dict[str, Callable[[Task, Scores, SuiteRow, SuiteSettings], Iterator[Figure]]] = {
    "ranking": ranking,
    "within_provider": within_provider,
}


def _asked(task: Task) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """For every facet with asked tags: their places in the facet, the test images that have them, training counts."""
    for facet, known in task.collection.facets.items():
        listed = np.flatnonzero(np.isin(known.columns, task.split.asked))
        truth = task.collection.truth(facet, task.split.test)[:, listed]
        if truth.any():
            yield facet, listed, truth, task.truth(facet)[:, listed].sum(0)


def auroc(scores: np.ndarray, right: np.ndarray) -> float:
    """The chance that an image with the tag scores above one without; a tie counts half."""
    n = int(right.sum())
    ranks = rankdata(scores)
    return float((ranks[right].sum() - n * (n + 1) / 2) / (n * (len(right) - n)))


def average_precision(scores: np.ndarray, right: np.ndarray) -> float:
    """The mean over images with the tag of the precision among the images that score at least as high."""
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    last = np.searchsorted(-descending, -descending, side="right")  # where the block of ties ends, counted from 1
    precision = np.cumsum(right[order])[last - 1] / last
    return float(precision[right[order]].mean())
