"""The device of a training, and this process's rank among those that `torchrun` started."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from ml.models.network import Batch, Network
from ml.training.recipe import Recipe


class DeviceError(RuntimeError):
    """The device that was asked for is not there, or its memory is not enough."""


@dataclass(frozen=True)
class Device:
    """A torch device, and which of `world` ranks this process is."""

    torch_device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this rank writes files and reports progress."""
        return self.rank == 0

    @property
    def cuda(self) -> bool:
        """Whether the device is an NVIDIA GPU."""
        return self.torch_device.type == "cuda"

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def gathered(self, value: object) -> list[object]:
        """Every rank's value, in rank order, on every rank."""
        if self.world == 1:
            return [value]
        values: list[object] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def forget_peak(self) -> None:
        """Start measuring a GPU's peak memory again: several rows are made in one process."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.torch_device)

    def peak_memory_mb(self) -> float:
        """The peak memory in MB: the GPU's since `forget_peak`, or this process's since its start on a CPU."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.torch_device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def wait(self) -> None:
        """Wait until every rank gets here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def use_device(name: str = "auto") -> Iterator[Device]:
    """The device of this process: `auto` takes a GPU when there is one; under torchrun each rank gets its own.

    Raises DeviceError when a GPU was asked for and there is none.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = _choose(name, int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield Device(chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Device(chosen, rank, world)
    finally:
        dist.destroy_process_group()


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Let torch use this many threads on the CPU; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_device(batch: Batch, device: torch.device, recipe: Recipe) -> Batch:
    """The batch on the device; uint8 pixels travel as they are and become normalised float32 there, channels first."""
    moved = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
    image = moved["image"]
    if image.dtype == torch.uint8:
        width = image.shape[2]
        std = torch.tensor(recipe.card.input.std, device=device)
        shift = -torch.tensor(recipe.card.input.mean, device=device) / std
        rows = image.float().flatten(2)  # whole pixel rows: three numbers at a time leave the processor idle
        rows = torch.addcmul(shift.repeat(width), rows, (1 / (255 * std)).repeat(width), out=rows)
        image = rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)
    layout = torch.channels_last if recipe.channels_last and image.ndim == 4 else torch.contiguous_format
    moved["image"] = image.float().contiguous(memory_format=layout)
    return moved


def network_on(network: Network, device: torch.device, recipe: Recipe) -> Network:
    """The network on the device, in the recipe's memory layout."""
    network = network.to(device)
    return network.to(memory_format=torch.channels_last) if recipe.channels_last else network  # type: ignore[call-overload]


def _choose(name: str, local_rank: int) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"There is no device `{name}`; it must be auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("A GPU was asked for and torch sees none: check `nvidia-smi`, or use --device cpu.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise DeviceError(
            f"Rank {local_rank} has no GPU of its own: torch sees {torch.cuda.device_count()}; start fewer processes."
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
