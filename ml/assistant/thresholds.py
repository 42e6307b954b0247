"""The score per facet from which a model is sure, fixed on the validation images."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import EvaluationError, read_predictions
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import TagListError, load_tag_list

SURE_PRECISION = 0.8  # ours: the share of right tags among those at or above the threshold


def sure_from(predictions: Path, keys: Iterable[str], dataset: Path) -> dict[str, dict[str, float]]:
    """The threshold per facet of each model, from the log-probabilities that it predicted for validation.

    Models without predictions, or with predictions for other images or another tag list, are left out.
    """
    try:
        tag_list, truth = load_tag_list(dataset), load_truth(load_dataset(dataset), "validation")
    except (TagListError, EvaluationError):
        return {}
    thresholds = {}
    for key in keys:
        try:
            scores = read_predictions(predictions / key, truth, tag_list)
        except EvaluationError:
            continue
        values = {facet: _threshold_of(of_facet, truth.relevance[facet]) for facet, of_facet in scores.items()}
        thresholds[key] = {facet: value for facet, value in values.items() if value is not None}
    return thresholds


def _threshold_of(log_scores: NDArray[np.floating], relevance: Relevance) -> float | None:
    relevant = np.zeros(log_scores.shape, dtype=bool)
    relevant[relevance.images, relevance.tags] = True
    return threshold(np.exp(log_scores), relevant, SURE_PRECISION)


def threshold(scores: NDArray[np.floating], relevant: NDArray[np.bool_], precision: float) -> float | None:
    """The lowest score with a share of right tags of at least `precision` among those at or above it.

    Scores and relevance are images x tags; images without tags are ignored. 1.0 if no score reaches the precision,
    None if no image has tags.
    """
    annotated = relevant.any(1)
    if not annotated.any():
        return None
    flat, right = scores[annotated].ravel(), relevant[annotated].ravel()
    order = np.argsort(-flat, kind="stable")
    flat, right = flat[order], right[order]
    share = np.cumsum(right) / np.arange(1, len(right) + 1)
    last_of_score = np.append(flat[1:] != flat[:-1], True)  # a threshold cannot separate equal scores
    good = np.flatnonzero((share >= precision) & last_of_score)
    return float(f"{flat[good[-1]]:.6g}") if len(good) else 1.0
