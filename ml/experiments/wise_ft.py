"""WiSE-FT (arXiv 2109.01903): weights between zero-shot and fine-tuned, for museums unlike those in training.

The mixing weight is chosen on training images that a second fine-tuning, the trial, never saw: a tenth of them, and one
provider. Neither a test decides, nor validation: that chose the epoch of the fine-tuned row, and is reported.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.baselines import Clip, baseline
from ml.dataset.split import DataError, ImageSplit
from ml.experiments.fit import Job, Splits, evaluation_images, fit
from ml.models.card import TextInput
from ml.models.network import Network
from ml.training import checkpoints
from ml.training.device import Device
from ml.training.image_texts import ImageTexts
from ml.training.predict import predict, quick_metrics
from ml.training.progress import Progress

SHARES = tuple(step / 10 for step in range(11))  # ours: of the fine-tuned weights, as in the paper's curves
JUDGE_PART = 0.1  # ours: of the other training images, those that judge the mixture and are not trained on in the trial
MOST_HELD_OUT = 0.25  # ours: a provider with more of the training images is not held out


def mix_weights(
    row: Clip, job: Job, model: Network, splits: Splits, device: Device, progress: Progress
) -> dict[str, Any]:
    """Give `model`, which has its starting weights, the chosen mix; returns how it was chosen.

    Raises CheckpointError when the fine-tuned row is not there, and DataError without a provider to hold out.
    """
    tuned_row = baseline(str(row.wise))
    fine_tuned, recipe, tag_list = job.models / tuned_row.key, job.recipe, splits.tag_list
    checkpoints.read_description(fine_tuned)  # before the long part
    training = splits.get("train", recipe)
    provider = held_out_provider(training)
    held_out = np.array([name == provider for name in training.providers])
    alike = judging_images(training) & ~held_out
    start = copy_of(model)

    trial = replace(job, row=tuned_row, held_out=provider, models=job.folder / "trial")
    view, texts = recipe.training_view, cast(TextInput, model.text_input)
    samples = ImageTexts(training.keep(~held_out & ~alike), tag_list, view, job.seed, recipe, row.prompt, texts)
    position = fit(trial, model, samples, splits, device, progress)
    tuned = copy_of(model)
    judges = {"alike": training.keep(alike), "held_out": training.keep(held_out)}
    shown = {name: evaluation_images(job, model, split, tag_list, device) for name, split in judges.items()}
    scored = {}
    for share in SHARES:
        model.load_state_dict(mixed(start, tuned, share))
        model.train()  # weights have changed: the tags' embeddings are made anew
        scored[share] = {
            name: quick_metrics(predict(model, images, recipe, device), images.split)["mean"]
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
    """The mixing weight with the best mean on both judges; the smallest on ties."""
    return max(sorted(scored), key=lambda share: float(np.mean(list(scored[share].values()))))


def judging_images(training: ImageSplit) -> NDArray[np.bool_]:
    """A tenth of the training images, in whole groups of near-duplicates, the same for every row and seed."""
    shares = [int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8 for group in training.groups]
    return np.array(shares) < JUDGE_PART


def mixed(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the way from `start` to `end`, in float32; integer tensors (counters, indices) are those of `end`."""
    return {
        name: torch.lerp(start[name].float(), tensor.float(), share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def copy_of(model: Network) -> dict[str, Tensor]:
    """A copy of the current weights."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def held_out_provider(training: ImageSplit) -> str:
    """The provider with the most training images that still leaves three quarters of them; the first by name on ties.

    Raises DataError when every provider has more than a quarter.
    """
    names, counts = np.unique(np.array(training.providers), return_counts=True)
    few = counts <= MOST_HELD_OUT * len(training)
    if not few.any():
        raise DataError("No training provider is small enough to be held out for WiSE-FT: it needs several providers.")
    return str(names[few][int(np.argmax(counts[few]))])
