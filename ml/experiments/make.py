"""How one row is made: its network, its training and its predictions, from a dataset folder."""

import json
from typing import Any

import torch

from ml.baselines import Clip, Ensemble, Vision
from ml.dataset.batches import Images
from ml.dataset.prediction_files import write_predictions
from ml.dataset.tag_list import TagList
from ml.dataset.transforms import View
from ml.experiments.build import network_of
from ml.experiments.ensemble import make_ensemble
from ml.experiments.fit import Job, Splits, checkpoint_file, description, pixels_of, train_row
from ml.experiments.wise_ft import mix_weights
from ml.training import checkpoints
from ml.training.activation_cache import keep_activations
from ml.training.cost import cost_of
from ml.training.device import Place
from ml.training.predict import figures, predict
from ml.training.progress import Progress
from ml.training.train import Position
from pipeline import EVALUATED_SPLITS


def make_row(job: Job, splits: Splits, place: Place, progress: Progress) -> dict[str, Any]:
    """Train the row where it is trainable, predict the three evaluated splits; the figures of the run."""
    if isinstance(job.row, Ensemble):
        return make_ensemble(job, job.row, splits, place)
    tag_list = splits.tag_list.only(job.row.facets) if isinstance(job.row, Vision) else splits.tag_list
    model, source = network_of(job.row, job.recipe, tag_list, job.weights, job.seed, splits)
    model = model.to(place.device)
    if job.recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    position, mixed = None, {}
    if not isinstance(job.row, Clip) or job.row.trained:
        position = train_row(job, model, tag_list, splits, place, progress)
    elif job.row.wise is not None:
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
        described = description(job, tag_list, source) | {"validation": scored["validation"], "cost": outcome}
        checkpoints.save_model(model, described, job.folder)
        checkpoint_file(job).unlink(missing_ok=True)
        checkpoints.previous(checkpoint_file(job)).unlink(missing_ok=True)
    place.wait()
    return outcome | {"validation": scored["validation"]}


def stands(job: Job, tag_list: TagList) -> bool:
    """Whether this very row (recipe, seed, split, tags) was made before; `model.json` is the last that is written.

    Never so for an ensemble: its members may be new, and it is made in seconds.
    """
    if isinstance(job.row, Ensemble) or not (job.folder / "model.json").is_file():
        return False
    told = checkpoints.read_description(job.folder)
    mine = json.loads(json.dumps(description(job, tag_list, told["weights"])))  # as it would be read
    return all(told[name] == mine[name] for name in ("recipe", "seed", "split_hash", "tag_list_hash"))


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
