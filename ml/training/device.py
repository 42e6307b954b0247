"""Where a training runs: the device, and its part among the ranks that `torchrun` started."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


class PlaceError(RuntimeError):
    """The device that was asked for is not there, or its memory is not enough."""


@dataclass(frozen=True)
class Place:
    """A device, and which of `world` ranks this process is."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this rank writes files and speaks."""
        return self.rank == 0

    @property
    def cuda(self) -> bool:
        """Whether the device is an NVIDIA GPU."""
        return self.device.type == "cuda"

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
        """Count a GPU's memory anew: several rows are made in one process."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory_mb(self) -> float:
        """The most memory used since then: the GPU's, or this process's from its start on a CPU."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def place(device: str = "auto") -> Iterator[Place]:
    """This process's place: `auto` takes a GPU when there is one; under torchrun each rank gets its own.

    Raises PlaceError when a GPU was asked for and there is none.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield Place(chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Place(chosen, rank, world)
    finally:
        dist.destroy_process_group()


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """So many threads for torch's work on the CPU; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(asked: str, local_rank: int) -> torch.device:
    if asked not in ("auto", "cpu", "cuda"):
        raise PlaceError(f"There is no device `{asked}`; it must be auto, cpu or cuda.")
    if asked == "cuda" and not torch.cuda.is_available():
        raise PlaceError("A GPU was asked for and torch sees none: check `nvidia-smi`, or use --device cpu.")
    if asked == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise PlaceError(
            f"Rank {local_rank} has no GPU of its own: torch sees {torch.cuda.device_count()}; start fewer processes."
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
