"""How one row is made: its network, its training and its predictions, from a dataset folder."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ml import checkpoints
from ml.backbones import ImageTower, build
from ml.baselines import Baseline, Clip, Ensemble, Recipe, Vision
from ml.cost import cost_of
from ml.data import EVALUATED_SPLITS, Images, ImageSplit, View, load_split
from ml.ensemble import combine, fit_scale
from ml.frozen import keep_activations
from ml.network import Network
from ml.place import Place, threads
from ml.predict import figures, predict, read_predictions, write_predictions
from ml.progress import Progress
from ml.tags import TagList
from ml.train import Position, train
from ml.vision import VisionModel


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


def make_row(job: Job, splits: Splits, place: Place, progress: Progress) -> dict[str, Any]:
    """Train the row where it is trainable, predict the three evaluated splits; the figures of the run."""
    if isinstance(job.row, Ensemble):
        return _make_ensemble(job, job.row, splits, place)
    tag_list = splits.tag_list.only(job.row.facets) if isinstance(job.row, Vision) else splits.tag_list
    model, source = network_of(job.row, job.recipe, tag_list, job.weights, job.seed, splits)
    model = model.to(place.device)
    if job.recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    position, mixed = None, {}
    if not isinstance(job.row, Clip) or job.row.trained:
        position = train_row(job, model, tag_list, splits, place, progress)
    elif job.row.wise is not None:
        from ml.wise import mix_weights

        mixed = mix_weights(job, model, splits, place, progress)
    view = View(job.recipe.image_size, part=job.recipe.eval_part)
    scored = {}
    for name in EVALUATED_SPLITS:
        split = splits.get(name, pixels_of(job.recipe))
        shown = Images(split, tag_list, view, job.seed)
        if job.recipe.frozen_views:
            keep_activations(model, shown, job.recipe, place, views=1, cache=job.cache)
        scores = predict(model, shown, job.recipe, place)
        scored[name] = figures(scores, split)
        if place.first:
            folder = job.predictions / job.row.key
            write_predictions(scores, split, tag_list, folder, baseline=job.row.key, seed=job.seed)
    outcome = cost_of(model, job.recipe, place) | _training_figures(position, place) | mixed
    if place.first:
        described = _description(job, tag_list, source) | {"validation": scored["validation"], "cost": outcome}
        checkpoints.save_model(model, described, job.folder)
        _checkpoint_file(job).unlink(missing_ok=True)
        checkpoints.previous(_checkpoint_file(job)).unlink(missing_ok=True)
    place.wait()
    return outcome | {"validation": scored["validation"]}


def stands(job: Job, tag_list: TagList) -> bool:
    """Whether this very row (recipe, seed, split, tags) was made before; `model.json` is the last that is written.

    Never so for an ensemble: its members may be new, and it is made in seconds.
    """
    if isinstance(job.row, Ensemble) or not (job.folder / "model.json").is_file():
        return False
    told = checkpoints.read_description(job.folder)
    mine = json.loads(json.dumps(_description(job, tag_list, told["weights"])))  # as it would be read
    return all(told[name] == mine[name] for name in ("recipe", "seed", "split_hash", "tag_list_hash"))


def network_of(
    row: Vision | Clip, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int, splits: Splits | None = None
) -> tuple[Network, str]:
    """The row's network with its starting weights, and a sentence on where they come from."""
    torch.manual_seed(seed)
    model: Network
    if isinstance(row, Clip):
        from ml.clip_rows import clip_of

        model, source = clip_of(row, recipe, tag_list, weights)
    else:
        trunk, source = build(recipe.backbone, weights, recipe.pretrained, recipe.image_size)
        vision = VisionModel(
            ImageTower(trunk, recipe.freeze),
            tag_list,
            row.head,
            class_weights=row.class_weights,
            drop=recipe.drop,
            rejected_weight=recipe.rejected_weight,
        )
        if recipe.prior_bias and splits is not None:
            training = splits.get("train")
            vision.start_at_prior({facet: training.n_annotated(facet) for facet in tag_list.facets})
        model = vision
    return model, f"random (seed {seed})" if source == "random" else source


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
    checkpoint = _checkpoint_file(job)
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
        from ml.clip_rows import samples_of

        return samples_of(job.row, job.recipe, training, tag_list, view, job.seed)
    return Images(training, tag_list, view, job.seed)


def _checkpoint_file(job: Job) -> Path:
    return job.folder / "checkpoint.safetensors"


def _identity(job: Job, tag_list: TagList, training: ImageSplit) -> str:
    """What must be equal for a checkpoint to be continued."""
    parts = [job.row.key, job.recipe.as_json(), job.seed, job.held_out, tag_list.split_hash, tag_list.tag_list_hash]
    parts.append(training.digest())
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _description(job: Job, tag_list: TagList, source: str) -> dict[str, Any]:
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


def _training_figures(position: Position | None, place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"training_s": 0.0, "images_per_s": None, "data_wait": None, "best_epoch": None}
    if position is not None and position.seconds:
        found = {
            "training_s": position.seconds,
            "images_per_s": position.images / position.seconds,
            "data_wait": position.waited / position.seconds,
            "best_epoch": position.best_epoch + 1,
        }
    return found | {"peak_memory_mb": place.peak_memory_mb()}


def _make_ensemble(job: Job, row: Ensemble, splits: Splits, place: Place) -> dict[str, Any]:
    """Fit each member's scale on validation, then average the three splits."""
    began, tag_list = time.perf_counter(), splits.tag_list
    folders = [job.predictions / member for member in row.members]
    validation = splits.get("validation")
    members = [read_predictions(folder, validation, tag_list) for folder in folders]
    scales = [
        {facet: fit_scale(matrix, validation.relevant(facet, matrix.shape[1])) for facet, matrix in scores.items()}
        for scores in members
    ]
    scored = {}
    for name in EVALUATED_SPLITS:
        split = splits.get(name)
        scores = combine(
            [read_predictions(folder, split, tag_list) for folder in folders], scales, list(tag_list.facets)
        )
        scored[name] = figures(scores, split)
        if place.first:
            folder = job.predictions / row.key
            write_predictions(scores, split, tag_list, folder, baseline=row.key, seed=job.seed)
    cost = _sum_of_costs([checkpoints.read_description(job.models / member)["cost"] for member in row.members])
    cost["training_s"] += time.perf_counter() - began
    if place.first:
        described = _description(job, tag_list, "its members'") | {
            "members": list(row.members),
            "scales": [{facet: vars(scale) for facet, scale in each.items()} for each in scales],
            "validation": scored["validation"],
            "cost": cost,
        }
        checkpoints.write_json(described, job.folder / "model.json")
    return cost | {"validation": scored["validation"]}


def _sum_of_costs(costs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the members cost together."""
    names = ("parameters_m", "gflop_per_image", "ms_per_image", "training_s")
    return {name: sum(cost[name] or 0.0 for cost in costs) for name in names}
