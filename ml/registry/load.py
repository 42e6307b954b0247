"""The one way back from a model folder to a network."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ml.baselines import baseline
from ml.dataset.tag_list import TagList, load_tag_list
from ml.experiments.make import network_of
from ml.models.architectures import Backbone
from ml.models.card import ImageInput, NetworkCard, TextInput
from ml.models.network import Network
from ml.models.prompts import TextTower
from ml.training.checkpoints import CheckpointError, load_model, read_description
from ml.training.recipe import BaselineError, Recipe


class LoadError(RuntimeError):
    """A model folder that cannot be used; the message names it and says what to do."""


def load_description(model: Path) -> dict[str, Any]:
    """`model.json`. Raises LoadError when there is no finished model."""
    try:
        return read_description(model)
    except CheckpointError as error:
        raise LoadError(str(error)) from error


def load_row(model: Path, dataset: Path) -> tuple[Network, Recipe, TagList]:
    """A finished model with its weights, on the CPU, ready to score; the tag list has the facets that it scores.

    Raises LoadError for a row without a network of its own, for another tag list, and for damaged files.
    """
    description, tag_list = load_description(model), load_tag_list(dataset)
    if description["tag_list_hash"] != tag_list.tag_list_hash:
        raise LoadError(f"{model.name} was trained for another tag list than {dataset} has: train it again.")
    try:
        row, recipe = baseline(description["baseline"]), recipe_from(description)
        tag_list = tag_list.only(row.facets)
        # What it started from is not looked for: on another machine it may be missing.
        bare = replace(recipe, network=replace(recipe.card, weights=None))
        network, _ = network_of(row, bare, tag_list, None, int(description["seed"]))
        load_model(network, model)
    except (BaselineError, CheckpointError) as error:
        raise LoadError(str(error)) from error
    return network.eval(), recipe, tag_list


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
