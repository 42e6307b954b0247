"""Ridge regression whose penalty is chosen by the leave-one-out error: the linear probe on features."""

from dataclasses import dataclass

import numpy as np

MOST_JUDGED = 4_000  # rows on which the penalties are compared; of more, the mean error of so many is as good
PENALTIES = 10.0 ** np.arange(-4, 3)  # in units of the mean squared length of an input


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge regression of t targets on d inputs; the intercept is not penalised."""

    middle: np.ndarray  # (d,): the mean of the inputs
    weights: np.ndarray  # (d, t)
    base: np.ndarray  # (t,): the mean of the targets

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Predictions, float64 (m, t), for inputs (m, d)."""
        return (inputs - self.middle) @ self.weights + self.base


def fit_ridge(inputs: np.ndarray, targets: np.ndarray) -> Ridge:
    """The ridge regression of `targets` (n, t) on `inputs` (n, d).

    The penalty is the one of PENALTIES with the least leave-one-out error, which is known in closed form from the
    residuals and the leverages; of more than MOST_JUDGED inputs, that of so many at even distances counts.
    """
    y = targets.astype(np.float64)
    middle, base = inputs.mean(0, dtype=np.float64), y.mean(0)
    centred, y = inputs - middle, y - base
    n, d = centred.shape
    dual = n <= d
    values, vectors = np.linalg.eigh(centred @ centred.T if dual else centred.T @ centred)
    values = values.clip(0)
    scale = max(float(values.sum()) / n, 1e-12)
    judged = np.arange(n) if n <= MOST_JUDGED else np.linspace(0, n - 1, MOST_JUDGED).astype(int)
    if dual:
        basis, projected = vectors[judged], vectors.T @ y
    else:
        lengths = np.sqrt(np.maximum(values, 1e-12 * max(values.max(), 1e-300)))
        turned = vectors.T @ (centred.T @ y)
        basis, projected = centred[judged] @ vectors / lengths, turned / lengths[:, None]

    def error(penalty: float) -> float:
        shrink = values / (values + penalty * scale)
        leverage = (basis**2) @ shrink + 1 / n
        residual = y[judged] - basis @ (shrink[:, None] * projected)
        return float(((residual / np.maximum(1 - leverage, 1e-6)[:, None]) ** 2).sum())

    shrunk = (values + scale * min(PENALTIES, key=error))[:, None]
    if dual:
        return Ridge(middle, centred.T @ (vectors @ (projected / shrunk)), base)
    return Ridge(middle, vectors @ (turned / shrunk), base)
