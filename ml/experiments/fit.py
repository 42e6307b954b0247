"""What the makers of all rows share: the job, the splits, one training, the predictions, and the model folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.baselines import Baseline
from ml.dataset.batches import Images
from ml.dataset.prediction_files import Scores, write_predictions
from ml.dataset.split import ImageSplit, load_split
from ml.dataset.tag_list import TagList
from ml.models.card import NetworkCard
from ml.models.network import Network
from ml.training import checkpoints
from ml.training.activation_cache import keep_activations
from ml.training.cost import cost_of
from ml.training.device import Device, threads
from ml.training.predict import predict, quick_metrics
from ml.training.progress import Progress
from ml.training.recipe import Recipe
from ml.training.train import Position, train
from pipeline import EVALUATED_SPLITS


@dataclass(frozen=True)
class Job:
    """One row to make: which, from what, and where to."""

    row: Baseline
    recipe: Recipe
    models: Path
    predictions: Path
    weights: Path | None
    seed: int
    restart: bool = False
    held_out: str | None = None  # a data provider whose images are not trained on
    cache: Path | None = None  # where activations of frozen networks are kept for the other rows

    @property
    def folder(self) -> Path:
        """Where the model is kept."""
        return self.models / self.row.key

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished training of the row is kept."""
        return self.folder / "checkpoint.safetensors"

    def description(self, tag_list: TagList, card: NetworkCard | None = None) -> dict[str, Any]:
        """What `model.json` says of the row before it is scored; without a card it has no network of its own."""
        source = "its members'" if card is None else card.origin
        return {
            "baseline": self.row.key,
            "seed": self.seed,
            "weights": f"random (seed {self.seed})" if source == "random" else source,
            "split_hash": tag_list.split_hash,
            "tag_list_hash": tag_list.tag_list_hash,
            "facets": {facet: len(tags) for facet, tags in tag_list.facets.items()},
            "scores": "log_probability",
            "recipe": self.recipe.as_json(),
            "network": None if card is None else card.as_json(),
        }


class Splits:
    """The dataset's splits, read once, and decoded once where a recipe asks for it."""

    def __init__(self, dataset: Path, tag_list: TagList) -> None:
        self.dataset, self.tag_list = dataset, tag_list
        self._read: dict[str, ImageSplit] = {}
        self._decoded: dict[tuple[str, int, str], ImageSplit] = {}

    def get(self, name: str, recipe: Recipe | None = None) -> ImageSplit:
        """A split, with decoded pixels when the recipe asks for them."""
        if name not in self._read:
            self._read[name] = load_split(self.dataset, name, self.tag_list)
        if recipe is None or recipe.decoded_px is None:
            return self._read[name]
        interpolation = recipe.card.input.interpolation
        key = (name, recipe.decoded_px, interpolation)
        if key not in self._decoded:
            self._decoded[key] = self._read[name].decoded(recipe.decoded_px, interpolation)
        return self._decoded[key]


def evaluation_images(job: Job, model: Network, split: ImageSplit, tag_list: TagList, device: Device) -> Images:
    """The split's images as evaluation shows them; where a part of the network is frozen, its activations."""
    images = Images(split, tag_list, job.recipe.evaluation_view, job.seed)
    if job.recipe.frozen_views:
        keep_activations(model, images, job.recipe, device, views=1, cache=job.cache)
    return images


def fit(job: Job, model: Network, samples: Images, splits: Splits, device: Device, progress: Progress) -> Position:
    """Train the model in place on the samples, and leave it with the weights that were best on validation.

    Without images in validation they are those of the last epoch.
    """
    recipe, tag_list = job.recipe, samples.tag_list
    if recipe.frozen_views:
        keep_activations(model, samples, recipe, device, views=recipe.frozen_views, cache=job.cache)
    shown = evaluation_images(job, model, splits.get("validation", recipe), tag_list, device)

    def validate(evaluated: Network) -> dict[str, float]:
        if not len(shown.split):
            return {"mean": float("nan")}
        return quick_metrics(predict(evaluated, shown, recipe, device), shown.split)

    parts = [
        job.row.key,
        recipe.as_json(),
        recipe.card.as_json(),
        job.seed,
        job.held_out,
        tag_list.split_hash,
        tag_list.tag_list_hash,
    ]
    parts.append(samples.split.digest())  # a checkpoint is continued only where all of these are equal
    if job.restart:
        job.checkpoint.unlink(missing_ok=True)
    with threads(recipe.threads):
        return train(
            model,
            samples,
            recipe,
            device,
            seed=job.seed,
            identity=hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest(),
            validate=validate,
            progress=progress,
            checkpoint=job.checkpoint,
        )


def keep_scores(job: Job, scores: Scores, split: ImageSplit, tag_list: TagList, device: Device) -> dict[str, float]:
    """Write the predictions of one split, and return their quick metrics."""
    if device.first:
        folder = job.predictions / job.row.key
        write_predictions(scores, split, tag_list, folder, baseline=job.row.key, seed=job.seed)
    return quick_metrics(scores, split)


def finish(
    job: Job,
    model: Network,
    card: NetworkCard,
    splits: Splits,
    tag_list: TagList,
    device: Device,
    position: Position | None = None,
    further: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Predict the evaluated splits with a finished network and write its model folder, `model.json` last.

    `position` is where its training ended, if there was one; `further` values are kept with the costs.
    """
    metrics = {}
    for name in EVALUATED_SPLITS:
        shown = evaluation_images(job, model, splits.get(name, job.recipe), tag_list, device)
        metrics[name] = keep_scores(job, predict(model, shown, job.recipe, device), shown.split, tag_list, device)
    cost = cost_of(model, job.recipe, device) | training_cost(position)
    cost |= {"peak_memory_mb": device.peak_memory_mb()} | dict(further or {})
    if device.first:
        described = job.description(tag_list, card) | {"validation": metrics["validation"], "cost": cost}
        checkpoints.save_model(model, described, job.folder)
        job.checkpoint.unlink(missing_ok=True)
        checkpoints.previous(job.checkpoint).unlink(missing_ok=True)
    device.wait()
    return cost | {"validation": metrics["validation"]}


def training_cost(position: Position | None) -> dict[str, Any]:
    """Time, speed and best epoch of a training; none where nothing was trained."""
    if position is None or not position.seconds:
        return {"training_s": 0.0, "images_per_s": None, "data_wait": None, "best_epoch": None}
    return {
        "training_s": position.seconds,
        "images_per_s": position.images / position.seconds,
        "data_wait": position.waited / position.seconds,
        "best_epoch": position.best_epoch + 1,
    }
