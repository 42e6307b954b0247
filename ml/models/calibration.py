"""Scores as probabilities: Platt's scale for each kind of score, and the weights with which several kinds are mixed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 50  # Newton steps at most; a dozen suffice
MIXING_STEPS = 500  # of the EM for mixing weights, which is cheap and ends early
MIXING_CHANGE = 1e-6  # of a weight in one step, below which the EM ends


@dataclass(frozen=True)
class Scale:
    """P(tag is right | score) = sigmoid(slope * score + intercept), for one row and one facet."""

    slope: float
    intercept: float

    def logit(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """The score as log-odds."""
        return self.slope * scores.astype(np.float64) + self.intercept


def fit_scale(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> Scale:
    """Platt scaling (1999): a logistic regression of relevance on one row's log-scores, over the annotated images.

    Newton's method with Platt's smoothed targets; the slope is kept positive, so that no row's ranking changes.
    """
    annotated = relevant.any(1)
    x, y = scores[annotated].astype(np.float64).ravel(), relevant[annotated].ravel()
    if not y.any() or y.all() or x.std() == 0:
        return Scale(1.0, 0.0)
    centre, spread = x.mean(), x.std()
    z = (x - centre) / spread
    n_true = y.sum()
    target = np.where(y, (n_true + 1) / (n_true + 2), 1 / (len(y) - n_true + 2))
    design = np.stack([z, np.ones_like(z)])
    weights = np.array([1.0, np.log(target.mean() / (1 - target.mean()))])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-weights @ design))
        gradient = design @ (p - target) + 1e-6 * weights
        hessian = (design * (p * (1 - p))) @ design.T + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    slope = max(float(weights[0]), 1e-3) / spread
    return Scale(slope, float(weights[1]) - slope * centre)


def mixing_weights(probabilities: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The weights (parts,), summing to 1, under which the mean of the parts' probabilities is most likely.

    `probabilities` (parts, n) are those that each part gives to n pairs of image and tag, `right` (n,) which of them
    are so. The likelihood is concave in the weights, so that EM from equal ones ends at the best (Dempster, Laird and
    Rubin 1977, section 4.3). Without pairs the weights are equal.
    """
    weights = np.full(len(probabilities), 1 / len(probabilities))
    if not len(right):
        return weights
    likely = np.where(right, probabilities, 1 - probabilities).clip(min=1e-12)
    for _ in range(MIXING_STEPS):
        shares = weights[:, None] * likely
        after = (shares / shares.sum(0)).mean(1)
        change = np.abs(after - weights).max()
        weights = after
        if change < MIXING_CHANGE:
            break
    return weights
