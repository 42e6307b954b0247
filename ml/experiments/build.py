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
    from ml.models.lora import add_adapters

    torch.manual_seed(seed)
    if recipe.card.library == "open_clip":
        model, card = published(recipe.card, weights, recipe.size)
    else:
        trunk, card = build(recipe.card, weights, recipe.size)
        tower = ImageTower(trunk, recipe.freeze)
        if recipe.text_encoder is not None:
            return _beside_encoder(row, recipe, tower, card, tag_list, weights)
        model = from_towers(tower, recipe.text_tower, tag_list)
        card = replace(card, text=model.text_input)
    if row.lora:
        add_adapters(model, row.lora)
    model.positives, model.prompt, model.tag_list = recipe.positives, row.prompt, tag_list
    return model, card


def _beside_encoder(
    row: Clip, recipe: Recipe, tower: ImageTower, card: NetworkCard, tag_list: TagList, weights: Path | None
) -> tuple[Network, NetworkCard]:
    """The two towers where the text tower is a pretrained sentence encoder."""
    from ml.models.sentence_clip import beside_encoder
    from ml.models.sentence_encoder import card_of

    name, size = str(recipe.text_encoder), recipe.text_tower
    sizes = {"embed": size.embed, "context": size.context}
    model = beside_encoder(
        tower, name, tag_list, weights, **sizes, pretrained=recipe.pretrained, locked=recipe.text_locked
    )
    model.positives, model.prompt = recipe.positives, row.prompt
    model.keep_tokens()
    return model, replace(card, text=card_of(name, size.context, recipe.pretrained))
