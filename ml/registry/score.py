"""A finished model as a function from a picture to the probability of each tag."""

import random
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ml.dataset.prediction_files import Scores
from ml.dataset.transforms import View, shrunk
from ml.experiments.ensemble import Scale, combine
from ml.registry.load import load_description, load_row
from ml.training.device import on_device


class Scorer(Protocol):
    """A finished model."""

    def scores(self, picture: Image.Image) -> dict[str, NDArray[np.floating]]:
        """Each tag's probability, by facet, in the order of the tag list. The picture is RGB, of any size."""


def load_scorer(key: str, models: Path, dataset: Path) -> Scorer:
    """A model of the folder `models`, on the GPU where there is one. Raises LoadError."""
    description = load_description(models / key)
    if "members" in description:
        return EnsembleScorer(description, models, dataset)
    return NetworkScorer(models / key, dataset)


class NetworkScorer:
    """A row with a network of its own."""

    def __init__(self, model: Path, dataset: Path) -> None:
        self.network, self.recipe, _ = load_row(model, dataset)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network.to(self.device)
        self.view = View(self.recipe.image_size, part=self.recipe.eval_part)

    def log_scores(self, picture: Image.Image) -> Scores:
        """Natural log of each tag's probability, 1 x tags per facet, as `ml.training.predict` gives them."""
        if self.recipe.cache_px is not None:  # as training had it in memory
            picture = shrunk(picture, self.recipe.cache_px)
        pixels = np.array(self.view.apply(picture, random.Random(0)))  # noqa: S311
        with torch.inference_mode():
            batch = on_device({"image": torch.from_numpy(pixels)[None]}, self.device, self.recipe)
            scores = self.network.log_scores(self.network(batch))
        return {facet: values.float().cpu().numpy() for facet, values in scores.items()}

    def scores(self, picture: Image.Image) -> dict[str, NDArray[np.floating]]:
        """Each tag's probability."""
        return {facet: np.exp(values[0]) for facet, values in self.log_scores(picture).items()}


class EnsembleScorer:
    """The members of an ensemble, and the scale of each that was fixed on validation."""

    def __init__(self, description: dict[str, Any], models: Path, dataset: Path) -> None:
        self.members = [NetworkScorer(models / key, dataset) for key in description["members"]]
        self.scales = [{facet: Scale(**scale) for facet, scale in each.items()} for each in description["scales"]]
        self.facets = list(description["facets"])

    def scores(self, picture: Image.Image) -> dict[str, NDArray[np.floating]]:
        """The mean probability of each tag over the members."""
        members = [member.log_scores(picture) for member in self.members]
        return {facet: np.exp(values[0]) for facet, values in combine(members, self.scales, self.facets).items()}
