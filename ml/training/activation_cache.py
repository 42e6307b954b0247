"""Activations of a frozen network, made once per view of an image instead of once per epoch."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ml.dataset.batches import Draw, Images, loader
from ml.dataset.split import ImageSplit
from ml.models.backbones import ImageTower
from ml.training.device import Device, on_device
from ml.training.optimization import autocast
from ml.training.recipe import Recipe
from pipeline.files import whole_file

DECODED_BATCHES = 64  # whose pictures are decoded at a time


def keep_activations(
    model: nn.Module, images: Images, recipe: Recipe, device: Device, *, views: int, cache: Path | None = None
) -> None:
    """Let the images be drawn from `views` augmented views each, that already passed the model's frozen part.

    Kept in memory as float16 (images x views x the activation's size), and in `cache`, where the other rows of the
    same network find them. The views do not depend on the training's seed.
    """
    tower = next(module for module in model.modules() if isinstance(module, ImageTower))
    if isinstance(tower.frozen, nn.Identity) or not len(images.split):
        return
    file = cache / f"{_name(tower, images, recipe, views)}.safetensors" if cache is not None else None
    kept = _read(file)
    if kept is None:
        kept = _made(tower, images, recipe, device, views)
        if file is not None and device.first:
            with whole_file(file) as temporary:
                save_file({"activations": kept}, temporary)
    images.activations = kept


@torch.inference_mode()
def _made(tower: ImageTower, images: Images, recipe: Recipe, device: Device, views: int) -> Tensor:
    tower.eval()
    parts = []
    for first, split in _decoded(images.split, recipe):
        shown = Images(split, images.tag_list, images.view, seed=0)
        draws = [Draw(place, first + place << 8 | view) for place in range(len(split)) for view in range(views)]
        for batch in loader(shown, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=device.cuda):
            with autocast(recipe, device):
                parts.append(tower.frozen_part(on_device(batch, device.torch_device, recipe)["image"]).half().cpu())
    kept = torch.cat(parts)
    return kept.reshape(len(images.split), views, *kept.shape[1:]).contiguous()


def _decoded(split: ImageSplit, recipe: Recipe) -> Iterator[tuple[int, ImageSplit]]:
    """Parts of the split, decoded where the recipe says so, and the number of each one's first image.

    All decoded pictures of the paper's training images would take 20 GB. A part fills whole batches, so that dividing
    changes no figure.
    """
    if recipe.cache_px is None:
        yield 0, split
        return
    size = DECODED_BATCHES * recipe.eval_batch
    for first in range(0, len(split), size):
        part = np.zeros(len(split), dtype=bool)
        part[first : first + size] = True
        yield first, split.keep(part).decoded(recipe.cache_px, recipe.card.input.interpolation)


def _read(file: Path | None) -> Tensor | None:
    """What an earlier row kept; a damaged file is made anew."""
    if file is None or not file.exists():
        return None
    try:
        return load_file(file)["activations"]
    except (SafetensorError, KeyError, OSError):
        return None


def _name(tower: ImageTower, images: Images, recipe: Recipe, views: int) -> str:
    """Everything the activations depend on."""
    split, view = images.split, images.view
    pictures = hashlib.sha256(
        "\n".join(f"{r}#{v}" for r, v in zip(split.record_ids, split.views, strict=True)).encode()
    )
    pictures.update(images.tag_list.split_hash.encode())
    parts = [pictures.hexdigest(), _probe(tower), recipe.backbone.name, recipe.freeze, recipe.cache_px, views]
    parts += [view.size, view.crop_scale, view.flip, view.part, view.interpolation, view.fit, view.fill]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


@torch.inference_mode()
def _probe(tower: ImageTower) -> str:
    """A hash of the frozen part, code and weights: what it makes of one fixed image, to two digits."""
    tower.eval()
    weight = next(iter(tower.frozen.state_dict().values()), torch.zeros(0))
    image = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64).sin().to(weight.device)
    answer = tower.frozen_part(image).float().cpu()
    rounded = (answer / answer.abs().max().clamp(min=1e-6) * 100).round().to(torch.int16)
    return hashlib.sha256(repr(answer.shape).encode() + rounded.numpy().tobytes()).hexdigest()
