"""The row `one`: trained, given a memory, and put on one scale, all without a test image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ml.baselines import One
from ml.dataset.batches import Images, every_image_once, loader
from ml.dataset.scope_notes import scope_notes
from ml.dataset.tag_list import TagList
from ml.experiments.fit import Job, Splits, evaluation_images, finish, fit
from ml.models.backbones import ImageTower, build
from ml.models.calibration import fit_scale, mixing_weights
from ml.models.card import NetworkCard
from ml.models.one import OneModel
from ml.models.tag_texts import tag_texts, text_vectors, vector_width
from ml.training.device import Device, network_on, on_device
from ml.training.optimization import autocast
from ml.training.progress import Progress
from ml.training.recipe import Recipe


def one_network(
    row: One, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int
) -> tuple[OneModel, NetworkCard]:
    """The network with its starting weights, and its card; texts and memory are still empty."""
    torch.manual_seed(seed)
    trunk, card = build(recipe.card, weights, recipe.size)
    model = OneModel(
        ImageTower(trunk, recipe.freeze),
        tag_list,
        row.parts,
        text_width=vector_width(recipe.text_encoder),
        k=row.k,
        drop=recipe.drop,
        rejected_weight=recipe.rejected_weight,
    )
    return model, card


def make_one(row: One, job: Job, splits: Splits, device: Device, progress: Progress) -> dict[str, Any]:
    """Train the network, fill its memory, choose scales and weights on validation; then predict."""
    tag_list, recipe = splits.tag_list.only(row.facets), job.recipe
    training = splits.get("train", recipe)
    model, card = one_network(row, recipe, tag_list, job.weights, job.seed)
    if recipe.prior_bias:
        model.start_at_prior({facet: training.n_annotated(facet) for facet in tag_list.facets})
    if row.texts:
        notes = scope_notes(splits.dataset)
        texts = [text for tags in tag_list.facets.values() for text in tag_texts(tags, notes)]
        model.text_head.keep(torch.from_numpy(text_vectors(texts, recipe.text_encoder, job.weights)))
    network = network_on(model, device.torch_device, recipe)
    samples = Images(training, tag_list, recipe.training_view, job.seed)
    position = fit(job, network, samples, splits, device, progress)
    if row.memory:
        fill_memory(model, evaluation_images(job, model, training, tag_list, device), recipe, device)
    settle(model, evaluation_images(job, model, splits.get("validation", recipe), tag_list, device), recipe, device)
    by_facet = zip(model.facets, model.weight.tolist(), strict=True)
    weights = {facet: dict(zip(row.parts, each, strict=True)) for facet, each in by_facet}
    return finish(job, network, card, splits, tag_list, device, position, {"mixing_weights": weights})


@torch.inference_mode()
def fill_memory(model: OneModel, images: Images, recipe: Recipe, device: Device) -> None:
    """Remember the images as evaluation shows them; every rank remembers all of them."""
    for batch, outputs in _outputs(model, images, recipe, device):
        model.memory.remember(outputs["features"], batch["closed"], batch["group"])


@torch.inference_mode()
def settle(model: OneModel, images: Images, recipe: Recipe, device: Device) -> None:
    """Fit the scale of each part and the weights of the parts on these images; without images they stay as they are."""
    answered = [model.part_scores(outputs) for _, outputs in _outputs(model, images, recipe, device)]
    if not answered:
        return
    scores = {part: torch.cat([each[part].float().cpu() for each in answered]) for part in model.parts}
    by_part = [each.split(model.sizes, 1) for each in scores.values()]
    for number, (facet, tags) in enumerate(images.tag_list.facets.items()):
        relevant = images.split.relevant(facet, len(tags))
        annotated = relevant.any(1)
        probabilities = []
        for at, of_part in enumerate(by_part):
            values = of_part[number].numpy()
            scale = fit_scale(values, relevant)
            model.slope[number, at], model.intercept[number, at] = scale.slope, scale.intercept
            probabilities.append(1 / (1 + np.exp(-scale.logit(values[annotated]).ravel())))
        weights = mixing_weights(np.stack(probabilities), relevant[annotated].ravel())
        model.weight[number] = torch.from_numpy(weights).to(model.weight)


def _outputs(
    model: OneModel, images: Images, recipe: Recipe, device: Device
) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Batches of the images in their order, and what the network makes of them."""
    model.eval()
    draws = every_image_once(len(images), rank=0, world=1)
    for batch in loader(images, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=device.cuda):
        moved = on_device(batch, device.torch_device, recipe)
        with autocast(recipe, device):
            yield moved, model(moved)
