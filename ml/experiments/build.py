"""The network of a row with its starting weights, and its card."""

from dataclasses import replace
from pathlib import Path

import torch

from ml.baselines import Clip, Vision
from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower, build
from ml.models.card import NetworkCard
from ml.models.network import Network
from ml.models.vision import VisionModel
from ml.training.recipe import Recipe


def vision_network(
    row: Vision, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int
) -> tuple[VisionModel, NetworkCard]:
    """One image network with a head per facet, and its card."""
    torch.manual_seed(seed)
    trunk, card = build(recipe.card, weights, recipe.size)
    model = VisionModel(
        ImageTower(trunk, recipe.freeze),
        tag_list,
        row.head,
        class_weights=row.class_weights,
        drop=recipe.drop,
        rejected_weight=recipe.rejected_weight,
    )
    return model, card


def clip_network(
    row: Clip, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int
) -> tuple[Network, NetworkCard]:
    """The image and text towers, and their card."""
    from ml.models.clip import from_towers, published  # open_clip takes a second, and vision rows do without

    torch.manual_seed(seed)
    if recipe.card.library == "open_clip":
        model, card = published(recipe.card, weights, recipe.size)
    else:
        trunk, card = build(recipe.card, weights, recipe.size)
        model = from_towers(ImageTower(trunk, recipe.freeze), recipe.text_tower, tag_list)
        card = replace(card, text=model.text_input)
    model.positives, model.prompt, model.tag_list = recipe.positives, row.prompt, tag_list
    return model, card
