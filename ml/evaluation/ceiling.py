"""What a test could tell: the best ranking that looks at no picture, and linear probes that do."""

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment

from ml.dataset.relevance import Relevance
from ml.evaluation.image_scores import score_images
from ml.evaluation.ridge import fit_ridge
from pipeline.settings import EvaluationSettings
from pipeline.splits.order import seeded_order


def best_constant(relevance: Relevance, n_tags: int) -> float:
    """The best R-Precision of one ranking for all images, chosen on the test itself; NaN where no image counts.

    A tag at position p is a hit of 1/R for each image that has it and at least p right tags, so that the best ranking
    is an assignment of tags to positions.
    """
    sizes = np.diff(relevance.starts)
    counted = sizes > 0
    if not counted.any():
        return float("nan")
    size = sizes[relevance.images]
    gains = np.zeros((n_tags, int(sizes.max())))
    np.add.at(gains, (relevance.tags, size - 1), 1 / size)
    gains = gains[:, ::-1].cumsum(1)[:, ::-1]  # an image with R right tags counts hits at the positions 1 to R
    tags, positions = linear_sum_assignment(gains, maximize=True)
    return float(gains[tags, positions].sum() / counted.sum())


def probe_ceiling(
    vectors: np.ndarray, relevance: Relevance, n_tags: int, groups: np.ndarray, settings: EvaluationSettings
) -> float:
    """R-Precision of a linear probe trained inside the test by folds that divide no group; NaN without two groups.

    `vectors` (n, d) are features of the images, `groups` (n,) their groups. The mean over `settings.probe_repeats`
    divisions into `settings.probe_folds` folds; more than `settings.probe_repeated_up_to` images are divided once.
    """
    known = np.flatnonzero(np.diff(relevance.starts) > 0)
    present = np.unique(relevance.tags)
    if len(np.unique(groups[known])) < 2:
        return float("nan")
    x, y = vectors[known].astype(np.float64), relevance.dense(n_tags)[np.ix_(known, present)]
    found = []
    for repeat in range(settings.probe_repeats if len(known) <= settings.probe_repeated_up_to else 1):
        folds = whole_groups(groups[known], settings.probe_folds, settings.seed + repeat)
        scores = np.full((len(relevance), n_tags), -np.inf, np.float32)
        for fold in np.unique(folds):
            test = folds == fold
            scores[np.ix_(known[test], present)] = fit_ridge(x[~test], y[~test]).predict(x[test])
        column = score_images(scores, relevance, further=False).column("r_precision")
        found.append(column[known].mean())
    return float(np.mean(found))


def probe(vectors: np.ndarray, relevance: Relevance, train_vectors: np.ndarray, train: Relevance, n_tags: int) -> float:
    """R-Precision of a linear probe trained on the training images; NaN where none has a tag."""
    if not len(train.tags):
        return float("nan")
    scores = probe_scores(vectors, train_vectors, train, n_tags)
    return float(np.nanmean(score_images(scores.astype(np.float32), relevance, further=False).column("r_precision")))


def probe_scores(vectors: np.ndarray, train_vectors: np.ndarray, train: Relevance, n_tags: int) -> np.ndarray:
    """Scores, float64 (n, n_tags), by a linear probe trained on the training images that have a tag; 0 without any."""
    known = np.flatnonzero(np.diff(train.starts) > 0)
    if not len(known):
        return np.zeros((len(vectors), n_tags))
    return fit_ridge(train_vectors[known], train.dense(n_tags)[known]).predict(vectors.astype(np.float64))


def whole_groups(groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """The fold of each image, with whole groups in folds of about equal size; at most as many folds as groups."""
    names, sizes = np.unique(groups, return_counts=True)
    order = np.argsort(seeded_order(seed, pl.Series(names.astype(str))), kind="stable")
    fold_of, filled = np.empty(len(names), np.int64), np.zeros(min(n_folds, len(names)))
    for at in order:
        fold_of[at] = filled.argmin()
        filled[fold_of[at]] += sizes[at]
    return fold_of[np.searchsorted(names, groups)]
