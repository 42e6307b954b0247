"""The recipe of a finished model, as its `model.json` has it."""

from dataclasses import fields
from typing import Any

from ml.models.architectures import Backbone
from ml.models.card import ImageInput, NetworkCard, TextInput
from ml.models.prompts import TextTower
from ml.training.recipe import Recipe


def recipe_from(description: dict[str, Any]) -> Recipe:
    """The recipe of `model.json`, with its network, without pretrained weights: the model's own replace them."""
    described = description["recipe"]
    values = {name: described[name] for name in described.keys() & {field.name for field in fields(Recipe)}}
    backbone = Backbone(**{field.name: described["backbone"][field.name] for field in fields(Backbone)})
    network = _former_card(described) if "network" not in description else None
    if description.get("network") is not None:
        network = NetworkCard.from_json(description["network"])
    values |= {"backbone": backbone, "text_tower": TextTower(**values["text_tower"]), "pretrained": False}
    return Recipe(**(values | {"betas": tuple(values["betas"]), "network": network}))


def _former_card(recipe: dict[str, Any]) -> NetworkCard:
    """The network of a model from before cards: every picture was resized bilinearly, every activation was GELU."""
    backbone, size, part = recipe["backbone"], recipe["image_size"], recipe["eval_part"]
    mean, std = tuple(backbone["mean"]), tuple(backbone["std"])
    image = ImageInput(size, mean, std, "bilinear", "box", part, fixed="vit" in backbone["name"])
    if recipe["open_clip"] is not None:
        return NetworkCard("open_clip", recipe["open_clip"], {}, None, None, image, TextInput("clip", 77))
    library: Any = "eufcc" if backbone["name"] == "gabor" else "timm"
    return NetworkCard(library, backbone["name"].partition(".")[0], backbone["options"], None, None, image)
