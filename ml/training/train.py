"""The training loop, in one function because its order is its meaning."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ml.dataset.batches import EpochSampler, Images, loader
from ml.models.network import Network
from ml.training import checkpoints
from ml.training.device import Device, on_device
from ml.training.gradients import add_gradients
from ml.training.optimization import compiles, cosine, in_steps, memory_explained, optimizer_for
from ml.training.progress import Progress
from ml.training.recipe import Recipe

Validate = Callable[[Network], dict[str, float]]


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why and what to change."""


@dataclass
class Position:
    """Where a training is: everything a resumed run needs besides tensors."""

    identity: str
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = float("-inf")
    best_epoch: int = -1
    seconds: float = 0.0
    waited: float = 0.0
    images: int = 0
    finished: bool = False


@dataclass
class State:
    """The tensors of a training; `best` are the weights that validated best so far."""

    model: Network
    optimizer: torch.optim.Optimizer
    ema: ModelEmaV3 | None
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def evaluated(self) -> Network:
        """The network that is validated and kept: the moving average where there is one, never the compiled one."""
        return self.model if self.ema is None else self.ema.module


def train(
    model: Network,
    images: Images,
    recipe: Recipe,
    device: Device,
    *,
    seed: int,
    identity: str,
    validate: Validate,
    progress: Progress,
    checkpoint: Path,
) -> Position:
    """Train the model in device, and leave it with the weights that were best on validation.

    `validate` gives figures by name; `mean` decides. A checkpoint of the same `identity` is continued, so that a killed
    run ends with the same bits as an undisturbed one on a CPU. Raises TrainingError and CheckpointError.
    """
    torch.manual_seed(seed + device.rank)
    device.forget_peak()
    ranks = {"rank": device.rank, "world": device.world}
    sampler = EpochSampler(len(images), step_size=recipe.batch, seed=seed, repeats=recipe.repeats, **ranks)
    micro_batch = _micro_batch(sampler.step_size, recipe, device)
    batches = loader(images, sampler, batch=micro_batch, workers=recipe.workers, pin=device.cuda)
    ema = ModelEmaV3(model, decay=recipe.ema_decay) if recipe.ema_decay else None
    state = State(model, optimizer_for(model, recipe, device), ema)
    schedule = cosine(state.optimizer, recipe, sampler.steps)
    position = _resumed(checkpoint, state, device, identity) or Position(identity)
    network: Any = torch.compile(model) if compiles(recipe, device) else model
    if device.world > 1:
        network = DistributedDataParallel(network, device_ids=[device.torch_device.index] if device.cuda else None)
    saved_at = time.perf_counter()
    done = position.epoch * sampler.steps + position.step
    progress.begin(recipe.epochs * sampler.steps, done, position.epoch)

    while position.epoch < recipe.epochs and not position.finished:
        model.train()
        sampler.resume(position.epoch, position.step)
        began, seen, waited = time.perf_counter(), 0, 0.0
        loss_sum = torch.tensor(position.loss_sum / device.world, dtype=torch.float64, device=device.torch_device)
        for micro_batches, wait in in_steps(batches, recipe.accumulate):
            schedule.step_update(position.epoch * sampler.steps + position.step)
            with memory_explained(recipe, device):
                moved = [on_device(batch, device.torch_device, recipe) for batch in micro_batches]
                loss_sum += add_gradients(model, network, moved, recipe, device)
                if recipe.clip_norm is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
                state.optimizer.step()
                state.optimizer.zero_grad(set_to_none=True)
                model.after_step()
            position.step += 1
            if ema is not None:
                ema.update(model, step=position.epoch * sampler.steps + position.step)
            seen += sum(len(batch["image"]) for batch in micro_batches) * device.world
            waited += wait
            progress.step()
            if _due(recipe, device, saved_at):
                position.loss_sum = float(device.total(loss_sum.clone()))
                _save(checkpoint, state, position, device)
                saved_at = time.perf_counter()

        seconds = time.perf_counter() - began
        position.seconds, position.waited = position.seconds + seconds, position.waited + waited
        position.images += seen
        mean_loss = float(device.total(loss_sum)) / sampler.steps
        if not math.isfinite(mean_loss):
            raise TrainingError(
                f"The loss of epoch {position.epoch + 1} is no number: lower the learning rate "
                f"(--override lr={recipe.lr / 10:g}); the last good checkpoint is {checkpoint}."
            )
        figures = validate(state.evaluated)
        if not figures["mean"] <= position.best:  # NaN where nothing validates: the last epoch is kept
            position.best, position.best_epoch = figures["mean"], position.epoch
            state.best = {name: tensor.detach().clone() for name, tensor in state.evaluated.state_dict().items()}
        speed = {"images_per_s": seen / max(seconds, 1e-9), "data_wait": waited / max(seconds, 1e-9)}
        speed["peak_memory_mb"] = device.peak_memory_mb()
        progress.shown(loss=mean_loss, validation=figures["mean"])
        progress.event("epoch", epoch=position.epoch + 1, loss=mean_loss, validation=figures, **speed)
        progress.curves(position.epoch + 1, "training", {"loss": mean_loss} | speed)
        progress.curves(position.epoch + 1, "validation", figures)
        position.epoch, position.step, position.loss_sum = position.epoch + 1, 0, 0.0
        stale = position.epoch - 1 - position.best_epoch
        patience = math.inf if recipe.patience is None else recipe.patience
        position.finished = position.epoch >= recipe.epochs or stale >= patience
        if position.finished or _due(recipe, device, saved_at):
            _save(checkpoint, state, position, device)
            saved_at = time.perf_counter()

    model.load_state_dict(state.best)
    return position


def _micro_batch(step_size: int, recipe: Recipe, device: Device) -> int:
    """Images of one forward pass. Raises TrainingError when the global batch does not divide."""
    parts = device.world * recipe.accumulate
    if step_size % parts:
        raise TrainingError(
            f"The batch of {step_size} does not divide among {device.world} ranks times {recipe.accumulate} "
            f"micro-batches: choose a multiple of {parts} with --override batch=N."
        )
    return step_size // parts


def _due(recipe: Recipe, device: Device, saved_at: float) -> bool:
    """Whether it is time for a checkpoint; the first rank's clock decides for all."""
    due = time.perf_counter() - saved_at >= recipe.checkpoint_s
    return bool(device.gathered(due)[0]) if recipe.checkpoint_s < float("inf") else False


def _save(file: Path, state: State, position: Position, device: Device) -> None:
    generators: list[Any] = device.gathered(_generators(device))
    if not device.first:
        return
    tensors = checkpoints.prefixed("model", state.model.state_dict())
    tensors |= checkpoints.prefixed("best", state.best)
    tensors |= checkpoints.optimizer_tensors(state.optimizer)
    if state.ema is not None:
        tensors |= checkpoints.prefixed("ema", state.ema.module.state_dict())
    for rank, generator in enumerate(generators):
        tensors |= checkpoints.prefixed(f"generator.{rank}", generator)
    checkpoints.save(checkpoints.Checkpoint(tensors, vars(position)), file)


def _generators(device: Device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state(device.torch_device)} if device.cuda else {})


def _resumed(file: Path, state: State, device: Device, identity: str) -> Position | None:
    """Put the checkpoint's tensors back; None when there is none, or when it belongs to another training."""
    if not file.exists():
        return None
    stored = checkpoints.load(file)
    if stored.state["identity"] != identity:
        return None
    checkpoints.fit(state.model, checkpoints.without_prefix("model", stored.tensors), file)
    checkpoints.restore_optimizer(state.optimizer, stored.tensors)
    state.best = checkpoints.without_prefix("best", stored.tensors)
    if state.ema is not None:
        checkpoints.fit(state.ema.module, checkpoints.without_prefix("ema", stored.tensors), file)
    generators = checkpoints.without_prefix(f"generator.{device.rank}", stored.tensors)
    if "cpu" in generators:
        torch.set_rng_state(generators["cpu"])
    if device.cuda and "cuda" in generators:
        torch.cuda.set_rng_state(generators["cuda"], device.torch_device)
    return Position(**stored.state)
