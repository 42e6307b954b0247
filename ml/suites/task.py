"""One split of a collection as heads see it: scaled principal components of the features, fitted on training alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml.suites.collection import Collection
from pipeline.splits.suites import SuiteSplit

Scores = dict[str, np.ndarray]  # by facet: float32 (test images, tags of the facet)
SHRINK = 0.1  # of the mean variance, added before the components are scaled: the last ones are mostly noise


@dataclass(frozen=True)
class Task:
    """One split of a collection, with the components of the features that its heads see."""

    collection: Collection
    split: SuiteSplit
    dimensions: int
    seed: int

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Scaled principal components of training and test images, float32, fitted on the training images alone."""
        vectors = self.collection.vectors.astype(np.float32)
        fit = principal_components(vectors[self.split.train], self.dimensions)
        return fit(vectors[self.split.train]), fit(vectors[self.split.test])

    def truth(self, facet: str) -> np.ndarray:
        """The training images' tags, bool (images, tags)."""
        return self.collection.truth(facet, self.split.train)


def principal_components(
    vectors: np.ndarray, dimensions: int, *, scaled: bool = True
) -> Callable[[np.ndarray], np.ndarray]:
    """A function that gives the first principal components (float32), if `scaled` with a variance of at most one."""
    mean = vectors.mean(0)
    centred = vectors - mean
    variance, axes = np.linalg.eigh(centred.T @ centred / max(1, len(vectors) - 1))
    kept = np.argsort(variance)[::-1][:dimensions]
    scale = (
        np.ones(len(kept))
        if not scaled
        else 1 / np.sqrt(np.maximum(variance[kept], 0) + SHRINK * max(float(variance.mean()), 1e-12))
    )
    return lambda given: ((given - mean) @ axes[:, kept] * scale).astype(np.float32)
