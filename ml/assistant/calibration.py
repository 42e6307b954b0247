"""What a score was worth on the validation images: the share of right tags among suggestions with this score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

SUGGESTED = 10  # paper: suggestions shown per facet; only their scores are calibrated


@dataclass(frozen=True)
class Calibration:
    """Scores in ascending order and the share of right tags at each; between them the share changes evenly."""

    scores: NDArray[np.float64]
    shares: NDArray[np.float64]

    def share(self, score: float) -> float:
        """The share of right tags among suggestions with this score."""
        return float(np.interp(score, self.scores, self.shares))


def calibrate(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> Calibration | None:
    """The calibration on images x tags, by isotonic regression on the suggestions of the images that have tags.

    None if no image has tags.
    """
    annotated = relevant.any(1)
    if not annotated.any():
        return None
    values, right = np.asarray(scores[annotated], dtype=np.float64), relevant[annotated]
    best = np.argsort(-values, axis=1, kind="stable")[:, :SUGGESTED]
    flat = np.take_along_axis(values, best, 1).ravel()
    hits = np.take_along_axis(right, best, 1).ravel()
    each, place, count = np.unique(flat, return_inverse=True, return_counts=True)
    share = np.bincount(place, weights=hits) / count
    fitted = np.asarray(isotonic_regression(share, weights=count).x)
    # A level of the staircase is told by its two ends.
    ends = np.r_[True, fitted[1:] != fitted[:-1]] | np.r_[fitted[1:] != fitted[:-1], True]
    return Calibration(each[ends], fitted[ends])


def calibrated(calibrations: "dict[str, Calibration] | None", facet: str, score: float) -> float:
    """The share of right tags for a facet's score; the score itself where there was no validation."""
    known = (calibrations or {}).get(facet)
    return known.share(score) if known is not None else score
