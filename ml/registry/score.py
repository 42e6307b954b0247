"""A finished model as a function from a picture to the probability of each tag."""

import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import normalize

from ml.dataset.confirmed import NO_GROUP
from ml.dataset.prediction_files import Scores
from ml.dataset.transforms import shrunk
from ml.experiments.ensemble import combine
from ml.models.calibration import Scale
from ml.models.network import Batch, Network
from ml.registry.load import load_description, load_row
from ml.registry.memory import ModelMemory, memory_of
from ml.training.device import on_device
from ml.training.recipe import Recipe

TOWERS = ("tower", "image")  # the part of a network that sees the picture: of the vision rows, and of CLIP rows


class Scorer:
    """A finished model, on the GPU where there is one: a network, or the members of an ensemble.

    `scales`: the scale of each member that was fixed on validation; none for a single network. `memory`: that of a
    single network, None where it has none. Raises LoadError.
    """

    def __init__(self, key: str, models: Path, dataset: Path) -> None:
        described = load_description(models / key)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        loaded = [load_row(models / member, dataset) for member in described.get("members", [key])]
        self.members = [(network.to(self.device), recipe) for network, recipe, _ in loaded]
        self.scales = [{facet: Scale(**scale) for facet, scale in each.items()} for each in described.get("scales", [])]
        self.facets = list(described["facets"])
        network, _, tags = loaded[0]
        memory = memory_of(network) if len(loaded) == 1 else None
        self.memory = None if memory is None else ModelMemory(memory, tags, dataset)

    def scores(self, picture: Image.Image, group: int = NO_GROUP) -> dict[str, NDArray[np.floating]]:
        """Each tag's probability, by facet, in the order of the tag list. The picture is RGB, of any size.

        What a memory holds of the picture's group does not count.
        """
        members = [self._log_scores(network, recipe, picture, group) for network, recipe in self.members]
        scores = combine(members, self.scales, self.facets) if self.scales else members[0]
        return {facet: np.exp(values[0]) for facet, values in scores.items()}

    def features(self, picture: Image.Image) -> NDArray[np.floating]:
        """What the members make of a picture before they score it: their features in a row, each member's of length 1.

        Of a network without an image tower they are its log-probabilities.
        """
        return np.concatenate([self._features(network, recipe, picture) for network, recipe in self.members])

    def _features(self, network: Network, recipe: Recipe, picture: Image.Image) -> NDArray[np.floating]:
        towers = (getattr(network, name, None) for name in TOWERS)
        tower = next((tower for tower in towers if isinstance(tower, torch.nn.Module)), None)
        batch = self._batch(recipe, picture)
        with torch.inference_mode():
            if tower is None:
                found = torch.cat(list(network.log_scores(network(batch)).values()), 1)
            else:
                found = tower(batch["image"]).flatten(1)
            return normalize(found.float(), dim=1)[0].cpu().numpy()

    def _log_scores(self, network: Network, recipe: Recipe, picture: Image.Image, group: int) -> Scores:
        """Natural log of each tag's probability, 1 x tags per facet, as `ml.training.predict` gives them."""
        batch = self._batch(recipe, picture) | {"group": torch.tensor([group], device=self.device)}
        with torch.inference_mode():
            scores = network.log_scores(network(batch))
        return {facet: values.float().cpu().numpy() for facet, values in scores.items()}

    def _batch(self, recipe: Recipe, picture: Image.Image) -> Batch:
        if recipe.cache_px is not None:  # as training had it in memory
            picture = shrunk(picture, recipe.cache_px, recipe.card.input.interpolation)
        pixels = np.array(recipe.evaluation_view.apply(picture, random.Random(0)))  # noqa: S311
        return on_device({"image": torch.from_numpy(pixels)[None]}, self.device, recipe)
