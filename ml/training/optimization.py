"""What the training loop needs at each step: optimizer, schedule, precision, micro-batches."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from ml.training.device import Device, DeviceError
from ml.training.recipe import Recipe

# Trained from scratch: `head_lr` is theirs. `text.encoder` is a pretrained text encoder.
NEW_PARTS = ("heads.", "text.", "image.projection.", "logit_scale")
PRETRAINED = "text.encoder."


def optimizer_for(model: nn.Module, recipe: Recipe, device: Device) -> torch.optim.AdamW:
    """AdamW (paper); biases, norms and scales are not decayed, new parts may have their own rate."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            new = name.startswith(NEW_PARTS) and not name.startswith(PRETRAINED)
            scale = recipe.head_lr / recipe.lr if recipe.head_lr and new else 1.0
            groups.setdefault((decay, scale), []).append(parameter)
    listed = [{"params": each, "weight_decay": decay, "lr_scale": scale} for (decay, scale), each in groups.items()]
    return torch.optim.AdamW(listed, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=device.cuda)


def cosine(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> CosineLRScheduler:
    """timm's cosine to zero over all steps, after a linear warm-up."""
    total = max(recipe.epochs * steps, 1)
    warmup = min(recipe.warmup_steps, total // 2)
    return CosineLRScheduler(
        optimizer, t_initial=total - warmup, warmup_t=warmup, warmup_prefix=True, t_in_epochs=False
    )


def in_steps(batches: Iterable[dict[str, Tensor]], accumulate: int) -> Iterator[tuple[list[dict[str, Tensor]], float]]:
    """The micro-batches of each step, and the seconds that were waited for them."""
    source = iter(batches)
    while True:
        began = time.perf_counter()
        micro_batches = [batch for _, batch in zip(range(accumulate), source, strict=False)]
        if len(micro_batches) < accumulate:
            return
        yield micro_batches, time.perf_counter() - began


def autocast(recipe: Recipe, device: Device) -> AbstractContextManager[Any]:
    """bf16 where it is asked for: on a GPU by default."""
    wanted = recipe.precision == "bf16" or (recipe.precision == "auto" and device.cuda)
    return torch.autocast(device.torch_device.type, dtype=torch.bfloat16, enabled=wanted)


def compiles(recipe: Recipe, device: Device) -> bool:
    """Whether training runs through torch.compile, which asks Triton, and Triton a C compiler, for its kernels."""
    if recipe.compile == "auto":
        return device.cuda and any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")))
    return recipe.compile == "on"


@contextmanager
def memory_explained(recipe: Recipe, device: Device) -> Iterator[None]:
    """Turn running out of memory into one sentence. Raises DeviceError."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise DeviceError(
            f"The memory of {device.torch_device} is not enough for a batch of {recipe.batch} at {recipe.size} px"
            f": use --override accumulate={recipe.accumulate * 2}, or a smaller --override batch=N; "
            "the last checkpoint is kept."
        ) from error
