"""How each kind of row is made, from a dataset folder to a model and predictions; `KINDS` lists them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ml.baselines import Baseline, Clip, Ensemble, Neighbours, One, Title, Vision
from ml.dataset.batches import Images
from ml.dataset.tag_list import TagList
from ml.experiments.build import clip_network, vision_network
from ml.experiments.ensemble import make_ensemble
from ml.experiments.fit import Job, Splits, finish, fit
from ml.experiments.neighbours import make_neighbours, neighbours_network
from ml.experiments.one import make_one, one_network
from ml.experiments.title import make_title
from ml.experiments.wise_ft import mix_weights
from ml.models.card import NetworkCard, TextInput
from ml.models.network import Network
from ml.training import checkpoints
from ml.training.device import Device, network_on
from ml.training.image_texts import ImageTexts
from ml.training.progress import Progress
from ml.training.recipe import BaselineError, Recipe


def make_vision(row: Vision, job: Job, splits: Splits, device: Device, progress: Progress) -> dict[str, Any]:
    """Train an image network with one head per facet, then predict."""
    tag_list, training = splits.tag_list.only(row.facets), splits.get("train", job.recipe)
    model, card = vision_network(row, job.recipe, tag_list, job.weights, job.seed)
    if job.recipe.prior_bias:
        model.start_at_prior({facet: training.n_annotated(facet) for facet in tag_list.facets})
    network = network_on(model, device.torch_device, job.recipe)
    samples = Images(training, tag_list, job.recipe.training_view, job.seed)
    position = fit(job, network, samples, splits, device, progress)
    return finish(job, network, card, splits, tag_list, device, position)


def make_clip(row: Clip, job: Job, splits: Splits, device: Device, progress: Progress) -> dict[str, Any]:
    """Train CLIP on images with texts, or mix fine-tuned weights with it, or neither (zero-shot); then predict."""
    tag_list, position, mix = splits.tag_list, None, {}
    model, card = clip_network(row, job.recipe, tag_list, job.weights, job.seed)
    model = network_on(model, device.torch_device, job.recipe)
    if row.trained:
        training = splits.get("train", job.recipe)
        view = job.recipe.training_view
        texts = cast(TextInput, model.text_input)
        samples = ImageTexts(training, tag_list, view, job.seed, job.recipe, row.prompt, texts)
        position = fit(job, model, samples, splits, device, progress)
    elif row.wise is not None:
        mix = mix_weights(row, job, model, splits, device, progress)
    return finish(job, model, card, splits, tag_list, device, position, mix)


@dataclass(frozen=True)
class Kind:
    """A kind of row."""

    # Makes the row: model.json and predictions of every evaluated split; returns the metrics and costs of the run.
    make: Callable[[Any, Job, Splits, Device, Progress], dict[str, Any]]
    # The network with its starting weights; None: rows of this kind have none of their own.
    network: Callable[[Any, Recipe, TagList, Path | None, int], tuple[Network, NetworkCard]] | None = None


KINDS: dict[type[Baseline], Kind] = {
    Vision: Kind(make_vision, vision_network),
    Clip: Kind(make_clip, clip_network),
    Neighbours: Kind(make_neighbours, neighbours_network),
    Title: Kind(make_title),
    Ensemble: Kind(make_ensemble),
    One: Kind(make_one, one_network),
}


def make_row(job: Job, splits: Splits, device: Device, progress: Progress) -> dict[str, Any]:
    """Make the row of a job; the metrics and costs of the run."""
    return KINDS[type(job.row)].make(job.row, job, splits, device, progress)


def network_of(
    row: Baseline, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int
) -> tuple[Network, NetworkCard]:
    """The row's network with its starting weights, and its card. Raises BaselineError without one."""
    network = KINDS[type(row)].network
    if network is None:
        instead = f"use its members, {', '.join(row.needs)}" if row.needs else "it reads titles, not pictures"
        raise BaselineError(f"{row.key} has no network of its own: {instead}.")
    return network(row, recipe, tag_list, weights, seed)


def is_made(job: Job, tag_list: TagList) -> bool:
    """Whether this very row (recipe, seed, split, tags) was made before; `model.json` is written last.

    A row without a network of its own is always made again: its members may be new, and it takes seconds.
    """
    if KINDS[type(job.row)].network is None or not (job.folder / "model.json").is_file():
        return False
    stored = checkpoints.read_description(job.folder)
    wanted = json.loads(json.dumps(job.description(tag_list, job.recipe.card)))  # as it would be read
    same = all(stored[name] == wanted[name] for name in ("recipe", "seed", "split_hash", "tag_list_hash"))
    return same and _same_network(stored.get("network"), wanted["network"])


def _same_network(stored: Any, wanted: Any) -> bool:
    """Whether two cards are of one network.

    A file that was not seen on this machine may have any hash. A text tower beside an image network is on the card of
    the finished model only; the recipe, which is compared too, says which it is.
    """
    if isinstance(stored, dict) and isinstance(wanted, dict):
        unknown = {name for name in ("sha256", "revision", "text") if wanted.get(name, "") is None}
        return stored.keys() == wanted.keys() and all(
            _same_network(stored[name], wanted[name]) for name in wanted.keys() - unknown
        )
    return stored == wanted
