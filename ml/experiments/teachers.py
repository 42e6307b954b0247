"""What finished ensembles say of training images, as targets for another network."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ml.baselines import Clip, Vision, baseline
from ml.dataset.batches import Draw, Images
from ml.dataset.prediction_files import Scores
from ml.dataset.tag_list import TagList
from ml.experiments.build import clip_network, vision_network
from ml.experiments.ensemble import combine
from ml.experiments.fit import Job, Splits, evaluation_images
from ml.models.calibration import Scale
from ml.models.network import Network
from ml.training import checkpoints
from ml.training.device import Device, network_on
from ml.training.predict import predict
from ml.training.recipe import BaselineError
from ml.training.stored import recipe_from


class TaughtImages(Images):
    """Images whose batches hold `teacher` too: float32, (n, tags), the teachers' probabilities."""

    teacher: NDArray[np.float32]  # images x tags of all facets

    def __getitems__(self, draws: Sequence[Draw]) -> dict[str, torch.Tensor]:
        """A whole batch at once, as Images gives it, with `teacher`."""
        rows = [draw.image for draw in draws]
        return super().__getitems__(draws) | {"teacher": torch.from_numpy(self.teacher[rows])}


def teach(ensembles: Sequence[str], job: Job, splits: Splits, tag_list: TagList, device: Device) -> NDArray[np.float32]:
    """The ensembles' mean probability of every tag for the training images as evaluation shows them, images x tags.

    Raises CheckpointError where a member is not trained, BaselineError where it has no image network.
    """
    described = {key: checkpoints.read_description(job.models / key) for key in ensembles}
    members = sorted({member for each in described.values() for member in each["members"]})
    said = {member: _member_scores(member, job, splits, device) for member in members}
    answers = []
    for each in described.values():
        scales = [{facet: Scale(**scale) for facet, scale in by_facet.items()} for by_facet in each["scales"]]
        scores = combine([said[member] for member in each["members"]], scales, list(tag_list.facets))
        answers.append(np.exp(np.concatenate([scores[facet] for facet in tag_list.facets], 1)))
    return np.mean(answers, axis=0, dtype=np.float32)


def _member_scores(key: str, job: Job, splits: Splits, device: Device) -> Scores:
    row, folder = baseline(key), job.models / key
    stored = recipe_from(checkpoints.read_description(folder))
    recipe = replace(stored, network=replace(stored.card, weights=None))  # its own weights replace the published ones
    tag_list = splits.tag_list.only(row.facets)
    network: Network
    if isinstance(row, Vision):
        network, _ = vision_network(row, recipe, tag_list, None, job.seed)
    elif isinstance(row, Clip):
        network, _ = clip_network(row, recipe, tag_list, None, job.seed)
    else:
        raise BaselineError(f"{key} cannot teach: it has no image network.")
    checkpoints.load_model(network, folder)
    network = network_on(network, device.torch_device, recipe)
    its_job = replace(job, row=row, recipe=recipe)
    shown = evaluation_images(its_job, network, splits.get("train", recipe), tag_list, device)
    return predict(network, shown, recipe, device)
