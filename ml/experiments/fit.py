"""One row's training: its samples, its validation, its checkpoint."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.baselines import Baseline, Clip
from ml.dataset.batches import Images
from ml.dataset.split import ImageSplit, load_split
from ml.dataset.tag_list import TagList
from ml.dataset.transforms import View
from ml.models.network import Network
from ml.training.activation_cache import keep_activations
from ml.training.device import Place, threads
from ml.training.image_texts import samples_of
from ml.training.predict import figures, predict
from ml.training.progress import Progress
from ml.training.recipe import Recipe
from ml.training.train import Position, train


@dataclass(frozen=True)
class Job:
    """One row to make: what, from where, to where."""

    row: Baseline
    recipe: Recipe
    dataset: Path
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


class Splits:
    """The dataset's splits, read once, and decoded once where a recipe asks for it."""

    def __init__(self, dataset: Path, tag_list: TagList) -> None:
        self.dataset, self.tag_list = dataset, tag_list
        self._read: dict[tuple[str, int | None], ImageSplit] = {}

    def get(self, name: str, cache_px: int | None = None) -> ImageSplit:
        """A split, with decoded pixels when `cache_px` is given."""
        if (name, None) not in self._read:
            self._read[name, None] = load_split(self.dataset, name, self.tag_list)
        if (name, cache_px) not in self._read:
            self._read[name, cache_px] = self._read[name, None].decoded(cache_px)  # type: ignore[arg-type]
        return self._read[name, cache_px]


def pixels_of(recipe: Recipe) -> int | None:
    """The side at which images are decoded beforehand; not where only their activations are needed."""
    return None if recipe.frozen_views else recipe.cache_px


def train_row(
    job: Job, model: Network, tag_list: TagList, splits: Splits, place: Place, progress: Progress
) -> Position:
    """Train the model in place on the row's samples; those of `job.held_out` are left out."""
    recipe = job.recipe
    training = splits.get("train", pixels_of(recipe))
    if job.held_out is not None:
        training = training.keep(np.array([provider != job.held_out for provider in training.providers]))
    samples = _samples(job, training, tag_list)
    validation = splits.get("validation", pixels_of(recipe))
    shown = Images(validation, tag_list, View(recipe.image_size, part=recipe.eval_part), job.seed)
    if recipe.frozen_views:
        keep_activations(model, samples, recipe, place, views=recipe.frozen_views, cache=job.cache)
        keep_activations(model, shown, recipe, place, views=1, cache=job.cache)
    checkpoint = checkpoint_file(job)
    if job.restart:
        checkpoint.unlink(missing_ok=True)
    with threads(recipe.threads):
        return train(
            model,
            samples,
            recipe,
            place,
            seed=job.seed,
            identity=_identity(job, tag_list, training),
            validate=lambda evaluated: figures(predict(evaluated, shown, recipe, place), validation),
            progress=progress,
            checkpoint=checkpoint,
        )


def _samples(job: Job, training: ImageSplit, tag_list: TagList) -> Images:
    view = View(job.recipe.image_size, crop_scale=(job.recipe.crop_scale_min, 1.0))
    if isinstance(job.row, Clip):
        return samples_of(job.row.prompt, job.recipe, training, tag_list, view, job.seed)
    return Images(training, tag_list, view, job.seed)


def checkpoint_file(job: Job) -> Path:
    """Where an unfinished training of the row is kept."""
    return job.folder / "checkpoint.safetensors"


def _identity(job: Job, tag_list: TagList, training: ImageSplit) -> str:
    """What must be equal for a checkpoint to be continued."""
    parts = [job.row.key, job.recipe.as_json(), job.seed, job.held_out, tag_list.split_hash, tag_list.tag_list_hash]
    parts.append(training.digest())
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def description(job: Job, tag_list: TagList, source: str) -> dict[str, Any]:
    """What `model.json` says of the row before any figure is known."""
    return {
        "baseline": job.row.key,
        "seed": job.seed,
        "weights": source,
        "split_hash": tag_list.split_hash,
        "tag_list_hash": tag_list.tag_list_hash,
        "facets": {facet: len(tags) for facet, tags in tag_list.facets.items()},
        "scores": "log_probability",
        "recipe": job.recipe.as_json(),
    }
