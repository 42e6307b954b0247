"""Scores of every image of a split, and the metrics that choose a checkpoint."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.dataset.batches import Images, every_image_once, loader
from ml.dataset.prediction_files import Scores
from ml.dataset.split import ImageSplit
from ml.models.network import Network
from ml.training.device import Device, on_device
from ml.training.optimization import autocast, memory_explained
from ml.training.recipe import Recipe


@torch.inference_mode()
def predict(model: Network, images: Images, recipe: Recipe, device: Device) -> Scores:
    """Natural log of every tag's probability, images x tags per facet, on every rank; each image is seen once."""
    model.eval()
    draws = every_image_once(len(images.split), device.rank, device.world)
    batches = loader(images, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=device.cuda)
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for batch in batches:
        with memory_explained(recipe, device), autocast(recipe, device):
            moved = on_device(batch, device.torch_device, recipe)
            scores = model.log_scores(model(moved))
        for facet, values in scores.items():
            parts.setdefault(facet, []).append(values.float().cpu().numpy())
    own = {facet: np.concatenate(values) for facet, values in parts.items()}
    everyone: list[Any] = device.gathered((own, [draw.image for draw in draws]))
    return {
        facet: _in_order([(scores[facet], rows) for scores, rows in everyone if rows], len(images.split), len(tags))
        for facet, tags in images.tag_list.facets.items()
    }


def _in_order(parts: list[tuple[NDArray[np.float32], list[int]]], n: int, n_tags: int) -> NDArray[np.float32]:
    whole_split = np.full((n, n_tags), np.nan, dtype=np.float32)
    for scores, rows in parts:
        whole_split[rows] = scores
    return whole_split


def r_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Mean over annotated images of the share of relevant tags among the top R (paper); NaN when none is annotated.

    Ties go to the earlier tag: this one only chooses a checkpoint. `ml.evaluation` makes the published figures.
    """
    annotated = relevant.any(1)
    if not annotated.any():
        return float("nan")
    scores, relevant = scores[annotated], relevant[annotated]
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    size = relevant.sum(1)
    top = np.arange(hits.shape[1])[None, :] < size[:, None]
    return float(((hits & top).sum(1) / size).mean())


def quick_metrics(scores: Scores, split: ImageSplit) -> dict[str, float]:
    """R-Precision per facet, and the unweighted `mean` over the facets that have annotated images."""
    values = {facet: r_precision(matrix, split.relevant(facet, matrix.shape[1])) for facet, matrix in scores.items()}
    known = [value for value in values.values() if value == value]
    return values | {"mean": float(np.mean(known)) if known else 0.0}
