"""Activations of a frozen network, made once per view of an image instead of once per epoch."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
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

    Kept as float16 (images x views x the activation's size) in `cache`, where the other rows of the same network find
    them, and read from that file as they are needed; in memory without `cache`. The views do not depend on the
    training's seed.
    """
    tower = next(module for module in model.modules() if isinstance(module, ImageTower))
    if isinstance(tower.frozen, nn.Identity) or not len(images.split):
        return
    batches = _made(tower, images, recipe, device, views)
    file = _file(cache, tower, images, recipe, views) if cache is not None else None
    kept = _read(file) if file is not None else None
    if kept is None and file is not None and device.first:
        _write(file, batches, len(images.split) * views)
        kept = _read(file)
    if kept is None:
        kept = torch.from_numpy(np.concatenate(list(batches)))
    images.activations = kept.unflatten(0, (-1, views))


@torch.inference_mode()
def _made(
    tower: ImageTower, images: Images, recipe: Recipe, device: Device, views: int
) -> Iterator[NDArray[np.float16]]:
    """The activations batch by batch: the views of the first image, then those of the second."""
    tower.eval()
    for first, split in _decoded(images.split, recipe):
        shown = Images(split, images.tag_list, images.view, seed=0)
        draws = [Draw(place, first + place << 8 | view) for place in range(len(split)) for view in range(views)]
        for batch in loader(shown, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=device.cuda):
            with autocast(recipe, device):
                activations = tower.frozen_part(on_device(batch, device.torch_device, recipe)["image"])
            yield activations.half().cpu().contiguous().numpy()


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


def _write(file: Path, batches: Iterator[NDArray[np.float16]], rows: int) -> None:
    """Write the batches as they are made: those of the paper's training images take 2 GB and more."""
    with whole_file(file) as temporary, temporary.open("wb") as opened:
        for number, batch in enumerate(batches):
            if number == 0:
                header = {"descr": "<f2", "fortran_order": False, "shape": (rows, *batch.shape[1:])}
                np.lib.format.write_array_header_1_0(opened, header)
            opened.write(batch.tobytes())


def _read(file: Path) -> Tensor | None:
    """What was kept earlier, mapped into memory; None where nothing was, or the file is damaged."""
    try:
        return torch.from_numpy(np.load(file, mmap_mode="c"))  # writable for torch, but nothing reaches the file
    except (OSError, ValueError, EOFError):
        return None


def _file(cache: Path, tower: ImageTower, images: Images, recipe: Recipe, views: int) -> Path:
    """Where they are kept; the name is a hash of everything the activations depend on."""
    split, view = images.split, images.view
    pictures = hashlib.sha256(
        "\n".join(f"{r}#{v}" for r, v in zip(split.record_ids, split.views, strict=True)).encode()
    )
    pictures.update(images.tag_list.split_hash.encode())
    parts = [pictures.hexdigest(), _probe(tower), recipe.backbone.name, recipe.freeze, recipe.cache_px, views]
    parts += [view.size, view.crop_scale, view.flip, view.part, view.interpolation, view.fit, view.fill]
    return cache / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]}.npy"


@torch.inference_mode()
def _probe(tower: ImageTower) -> str:
    """A hash of the frozen part, code and weights: what it makes of one fixed image, to two digits."""
    tower.eval()
    weight = next(iter(tower.frozen.state_dict().values()), torch.zeros(0))
    image = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64).sin().to(weight.device)
    answer = tower.frozen_part(image).float().cpu()
    rounded = (answer / answer.abs().max().clamp(min=1e-6) * 100).round().to(torch.int16)
    return hashlib.sha256(repr(answer.shape).encode() + rounded.numpy().tobytes()).hexdigest()
