"""Rows of the nearest training images: nothing is trained, the training images are remembered."""

from pathlib import Path
from typing import Any

import torch

from ml.baselines import Neighbours
from ml.dataset.batches import every_image_once, loader
from ml.dataset.tag_list import TagList
from ml.experiments.fit import Job, Splits, evaluation_images, finish
from ml.models.backbones import ImageTower, build
from ml.models.card import NetworkCard
from ml.models.neighbours import NeighboursNetwork
from ml.training.device import Device, network_on, on_device
from ml.training.optimization import autocast
from ml.training.progress import Progress
from ml.training.recipe import Recipe


def neighbours_network(
    row: Neighbours, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int
) -> tuple[NeighboursNetwork, NetworkCard]:
    """A network that remembers nothing yet, and its card."""
    torch.manual_seed(seed)
    trunk, card = build(recipe.card, weights, recipe.size)
    return NeighboursNetwork(ImageTower(trunk, recipe.freeze), tag_list, row.k), card


@torch.inference_mode()
def make_neighbours(row: Neighbours, job: Job, splits: Splits, device: Device, _: Progress) -> dict[str, Any]:
    """Remember the training images as evaluation shows them, then predict. Every rank looks at all of them."""
    tag_list, recipe = splits.tag_list.only(row.facets), job.recipe
    model, card = neighbours_network(row, recipe, tag_list, job.weights, job.seed)
    network = network_on(model, device.torch_device, recipe).eval()
    images = evaluation_images(job, network, splits.get("train", recipe), tag_list, device)
    features, closed = [], []
    draws = every_image_once(len(images), rank=0, world=1)
    for batch in loader(images, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=device.cuda):
        moved = on_device(batch, device.torch_device, recipe)
        with autocast(recipe, device):
            features.append(network(moved))
        closed.append(moved["closed"])
    model.features, model.closed = torch.cat(features), torch.cat(closed)
    return finish(job, network, card, splits, tag_list, device)
