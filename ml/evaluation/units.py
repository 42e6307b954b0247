"""What the images of a test are drawn from: groups of near-duplicates inside, providers outside."""

from typing import Literal

import numpy as np

from ml.dataset.ground_truth import EvaluationError, Truth
from pipeline.settings import EvaluationSettings

Unit = Literal["group", "provider"]


def unit_of(split: str) -> Unit:
    """The unit that a split varies. The question of the outer test is about museums, so a museum counts once."""
    return "provider" if split == "outer_test" else "group"


def units_of(truth: Truth) -> np.ndarray:
    """For each image its unit, int64, numbered from 0. Raises EvaluationError for a split without images."""
    if truth.images.is_empty():
        raise EvaluationError(f"{truth.name} has no images: nothing can be scored on it; choose a split that has some.")
    if unit_of(truth.name) == "group":
        return truth.groups
    return providers_of(truth)


def providers_of(truth: Truth) -> np.ndarray:
    """For each image its provider, int64, numbered from 0 by name; images without a provider are one provider."""
    names = truth.images["data_provider"].fill_null("")
    return names.rank("dense").to_numpy().astype(np.int64) - 1


def least_units(split: str, settings: EvaluationSettings) -> int:
    """With fewer units than these a figure has no interval (docs/experiments/intervals-over-providers.md)."""
    return settings.least_providers if unit_of(split) == "provider" else settings.least_groups
