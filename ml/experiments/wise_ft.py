"""WiSE-FT (arXiv 2109.01903): weights between zero-shot and fine-tuned, for museums unlike those in training.

How far between is chosen on validation and on a provider that a second fine-tuning never saw; outer is never looked at.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ml.baselines import Clip, baseline
from ml.dataset.batches import Images
from ml.dataset.split import DataError, ImageSplit
from ml.dataset.transforms import View
from ml.experiments.fit import Job, Splits, pixels_of, train_row
from ml.models.network import Network
from ml.training import checkpoints
from ml.training.activation_cache import keep_activations
from ml.training.device import Place
from ml.training.predict import figures, predict
from ml.training.progress import Progress

SHARES = tuple(step / 10 for step in range(11))  # ours: of the fine-tuned weights, as in the paper's curves
MOST_HELD_OUT = 0.25  # ours: a provider with more of the training images is not held out


def mix_weights(job: Job, model: Network, splits: Splits, place: Place, progress: Progress) -> dict[str, Any]:
    """Leave `model`, which has its starting weights, with the chosen mix; how it was chosen.

    Raises CheckpointError when the fine-tuned row is not there, and DataError without a provider to hold out.
    """
    assert isinstance(job.row, Clip)
    assert job.row.wise is not None
    fine_tuned = job.models / job.row.wise
    checkpoints.read_description(fine_tuned)  # before the long part
    training = splits.get("train", pixels_of(job.recipe))
    provider = held_out_provider(training)
    theirs = np.array([name == provider for name in training.providers])
    start = copy_of(model)

    trial = replace(job, row=baseline(job.row.wise), held_out=provider, models=job.folder / "trial")
    position = train_row(trial, model, splits.tag_list, splits, place, progress)
    tuned = copy_of(model)
    asked = {"validation": splits.get("validation", pixels_of(job.recipe)), "held_out": training.keep(theirs)}
    shown = {name: _shown(job, model, split, splits, place) for name, split in asked.items()}
    scored = {}
    for share in SHARES:
        model.load_state_dict(mixed(start, tuned, share))
        model.train()  # weights have changed: the tags' embeddings are made anew
        scored[share] = {
            name: figures(predict(model, images, job.recipe, place), images.split)["mean"]
            for name, images in shown.items()
        }
    chosen = best_share(scored)

    checkpoints.load_model(model, fine_tuned)
    model.load_state_dict(mixed(start, copy_of(model), chosen))
    model.train()
    return {
        "wise_share": chosen,
        "wise_held_out": provider,
        "wise_scores": {f"{share:g}": each for share, each in scored.items()},
        "training_s": position.seconds,
    }


def best_share(scored: Mapping[float, Mapping[str, float]]) -> float:
    """The share with the best mean over the judges; of equals the one nearest to the start."""
    return max(sorted(scored), key=lambda share: float(np.mean(list(scored[share].values()))))


def mixed(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the way from `start` to `end`; what is no number with a fraction (a counter, an index) is `end`'s."""
    return {
        name: torch.lerp(start[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def copy_of(model: Network) -> dict[str, Tensor]:
    """The weights as they are now."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def held_out_provider(training: ImageSplit) -> str:
    """The training provider with the most images that still leaves three quarters for training; by name when equal."""
    names, counts = np.unique(np.array(training.providers), return_counts=True)
    few = counts <= MOST_HELD_OUT * len(training)
    if not few.any():
        raise DataError("No training provider is small enough to be held out for WiSE-FT: it needs several providers.")
    return str(names[few][int(np.argmax(counts[few]))])


def _shown(job: Job, model: Network, split: ImageSplit, splits: Splits, place: Place) -> Images:
    images = Images(split, splits.tag_list, View(job.recipe.image_size, part=job.recipe.eval_part), job.seed)
    if job.recipe.frozen_views:
        keep_activations(model, images, job.recipe, place, views=1, cache=job.cache)
    return images
