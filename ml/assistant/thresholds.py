"""What a model's scores are worth: from which score it is sure, and how often it is right; by the validation images."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.assistant.calibration import Calibration, calibrate
from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import EvaluationError, read_predictions
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import TagListError, load_tag_list

SURE_PRECISION = 0.8  # ours: the share of right tags among those at or above the threshold


@dataclass(frozen=True)
class OnValidation:
    """What a model's scores were worth on the validation images, by facet."""

    sure_from: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)


def on_validation(predictions: Path, keys: Iterable[str], dataset: Path) -> dict[str, OnValidation]:
    """Threshold and calibration per facet of each model, from the log-probabilities that it predicted for validation.

    Models without predictions, or with predictions for other images or another tag list, are left out.
    """
    try:
        tag_list, truth = load_tag_list(dataset), load_truth(load_dataset(dataset), "validation")
    except (TagListError, EvaluationError):
        return {}
    known = {}
    for key in keys:
        try:
            scores = read_predictions(predictions / key, truth, tag_list)
        except EvaluationError:
            continue
        known[key] = worth = OnValidation()
        for facet, log_scores in scores.items():
            of_facet, relevant = np.exp(log_scores), _as_matrix(truth.relevance[facet], log_scores.shape)
            sure, calibration = threshold(of_facet, relevant, SURE_PRECISION), calibrate(of_facet, relevant)
            if sure is not None and calibration is not None:
                worth.sure_from[facet], worth.calibration[facet] = sure, calibration
    return known


def _as_matrix(relevance: Relevance, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    relevant = np.zeros(shape, dtype=bool)
    relevant[relevance.images, relevance.tags] = True
    return relevant


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
