"""The one way back from a model folder to a network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ml.baselines import baseline
from ml.dataset.tag_list import TagList, load_tag_list
from ml.experiments.make import network_of
from ml.models.network import Network
from ml.training.checkpoints import CheckpointError, load_model, read_description
from ml.training.recipe import BaselineError, Recipe
from ml.training.stored import recipe_from


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
