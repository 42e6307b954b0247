"""Proof of life of published weights: what our code makes of pictures against what the publisher's library makes.

Nothing of ours decides the other side but the file itself, and for a file of weights.toml what is said there of its
pictures: timm.create_model with timm.data.create_transform, or open_clip.create_model_and_transforms with
open_clip.get_tokenizer.
"""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ml.models.backbones import build
from ml.models.card import NetworkCard, Weights
from ml.models.cards import LOCAL
from ml.models.weights import WeightsError, find_published, known_file, read_weights
from ml.training.device import on_device
from ml.training.recipe import Recipe

TOLERANCE = 1e-3  # ours: of logits, and of an image network's features, in float32
TEXTS = ("A bronze statuette.", "porcelain_vase, blue & white", "an Oil Painting of a landscape near the river", "coin")
SIDES = ((300, 300), (523, 311), (211, 640))  # square, wide, and high


def difference(card: NetworkCard, folder: Path | None = None) -> float:
    """The largest difference between our answer by this card and the library's by the same file, over drawn pictures.

    Of a model of open_clip the logits of every picture and text; of an image network its features. Raises WeightsError.
    """
    if card.weights is None:
        raise WeightsError(f"{card.architecture} begins with random weights: there is nothing to compare.")
    file, _ = find_published(card.weights, folder)
    with torch.inference_mode():
        if card.library == "open_clip":
            ours, theirs = _our_logits(card, folder), _their_logits(card.weights.name, file)
        else:
            ours, theirs = _our_features(card, folder), _their_features(card, card.weights, file)
    return float((ours - theirs).abs().max())


def drawn_pictures() -> list[Image.Image]:
    """Pictures with edges, colours and noise in three shapes, the same everywhere."""
    pictures = []
    for number, (width, height) in enumerate(SIDES):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.blend(Image.new("RGB", (width, height), (180, 150, 90)), Image.fromarray(noise), 0.35)
        draw = ImageDraw.Draw(picture)
        draw.ellipse((width // 8, height // 6, width // 2, height - 20), fill=(30, 60, 200), outline=(255, 255, 255))
        for x in range(0, width, 7):
            draw.line((x, 0, width - x, height), fill=(x % 256, 40, 20))
        pictures.append(picture)
    return pictures


def _our_pictures(card: NetworkCard) -> Tensor:
    """As evaluation shows them to the network."""
    recipe = Recipe(network=card)
    pixels = [recipe.evaluation_view.apply(picture, random.Random(0)) for picture in drawn_pictures()]  # noqa: S311
    batch = {"image": torch.from_numpy(np.stack(pixels))}
    return on_device(batch, torch.device("cpu"), recipe)["image"]


def _our_features(card: NetworkCard, folder: Path | None) -> Tensor:
    network, _ = build(card, folder, card.input.size)
    return network.eval()(_our_pictures(card))


def _our_logits(card: NetworkCard, folder: Path | None) -> Tensor:
    from ml.models.clip import published
    from ml.models.tokens import tokenize

    model, _ = published(card, folder, card.input.size)
    tokens = tokenize(list(TEXTS), model.text_input)
    images, texts, scale, bias = model.eval()({"image": _our_pictures(card), "tokens": tokens})
    logits = scale * images @ texts.T  # type: ignore[union-attr]
    return logits if bias is None else logits + bias


def _their_features(card: NetworkCard, weights: Weights, file: Path) -> Tensor:
    import timm

    known = known_file(weights)
    name = card.architecture if known or Path(weights.name) == file else weights.name  # a file has no name in timm
    overlay = {"state_dict": read_weights(file)} | (dict(known.input) if known else {})
    model = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **card.options)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    return model.eval()(_stacked(transform))


def _their_logits(name: str, file: Path) -> Tensor:
    import open_clip

    with _from_file(name, file) as arguments, warnings.catch_warnings():
        warnings.filterwarnings("error", message="QuickGELU mismatch")
        model, _, transform = open_clip.create_model_and_transforms(**arguments)
    tokenizer = open_clip.get_tokenizer(arguments["model_name"])
    return model.eval().get_logits(_stacked(transform), tokenizer(list(TEXTS)))[0]


@contextmanager
def _from_file(name: str, file: Path) -> Iterator[dict[str, Any]]:
    """What open_clip is called with, so that it reads this file for the name instead of asking the hub."""
    if file.parent.joinpath("open_clip_config.json").is_file():
        yield {"model_name": f"{LOCAL}{file.parent}"}
        return
    from open_clip import get_pretrained_cfg

    architecture, _, tag = name.partition(":")
    published = get_pretrained_cfg(architecture, tag)
    published["file"] = str(file)  # open_clip's own name for it
    try:
        quick = bool(published.get("quick_gelu"))
        yield {"model_name": architecture, "pretrained": tag, "force_quick_gelu": quick, "weights_only": True}
    finally:
        del published["file"]


def _stacked(transform: Any) -> Tensor:
    return torch.stack([transform(picture) for picture in drawn_pictures()])
