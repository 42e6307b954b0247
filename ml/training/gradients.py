"""The gradient of one step from its micro-batches, which is that of the whole step whatever their number."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ml.models.network import Batch, Network
from ml.training.device import Device
from ml.training.optimization import autocast
from ml.training.recipe import Recipe

Outputs = tuple[Tensor | None, ...]


def add_gradients(
    model: Network, network: nn.Module, batches: Sequence[Batch], recipe: Recipe, device: Device
) -> Tensor:
    """Add the step's gradients to the parameters, and return this rank's share of its loss.

    `network` is the model as it is called: itself, compiled, or distributed. DDP averages gradients over the ranks,
    and the loss is the ranks' sum: so it is multiplied by their number.
    """
    totals = device.total(torch.stack([model.weights(batch) for batch in batches]).sum(0))
    if model.whole_step and len(batches) > 1:
        return _of_whole_step(model, network, batches, totals, recipe, device)
    losses = []
    for number, batch in enumerate(batches):
        with synchronised(network, number == len(batches) - 1):
            with autocast(recipe, device):
                outputs = network(batch)
            loss = model.loss(outputs, batch, totals)
            (loss * device.world).backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def synchronised(network: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Ranks exchange gradients once a step, with its last micro-batch."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) and not last else nullcontext()


def _of_whole_step(
    model: Network, network: nn.Module, batches: Sequence[Batch], totals: Tensor, recipe: Recipe, device: Device
) -> Tensor:
    """For a loss that compares images with each other: all micro-batches pass twice.

    The first time only their outputs are kept, and the loss of the whole step gives the outputs' gradients. The second
    time these flow into the parameters (Gao et al., arXiv 2101.06983). Dropout draws the same both times, and running
    statistics move once. The memory is that of one micro-batch.
    """
    statistics = [buffer.clone() for buffer in model.buffers()]
    generators, kept = [], []
    with torch.no_grad():
        for batch in batches:
            generators.append(_generators(device))
            with autocast(recipe, device):
                kept.append(network(batch))
        for buffer, before in zip(model.buffers(), statistics, strict=True):
            buffer.copy_(before)
    outputs = tuple(_joined(parts) for parts in zip(*kept, strict=True))
    loss = model.loss(outputs, {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}, totals)
    (loss * device.world).backward()
    sizes = [len(batch["image"]) for batch in batches]
    for number, batch in enumerate(batches):
        _restore(generators[number], device)
        with synchronised(network, number == len(batches) - 1):
            with autocast(recipe, device):
                again = network(batch)
            _flow_back(again, _gradients(outputs, sizes, number))
    return loss.detach()


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The micro-batches' outputs below each other, as a leaf; a scalar or a parameter of one number stands once."""
    tensors = [part for part in parts if part is not None]
    if len(tensors) < len(parts):
        return None
    joined = torch.cat(tensors) if tensors[0].ndim > 1 else tensors[0].detach().clone()
    return joined.requires_grad_(joined.is_floating_point())


def _gradients(outputs: Outputs, sizes: Sequence[int], number: int) -> list[Tensor | None]:
    """The gradients of one micro-batch's outputs; those of a scalar, which stands once, go to the first."""
    gradients: list[Tensor | None] = []
    for output in outputs:
        if output is None or output.grad is None:
            gradients.append(None)
        elif output.ndim > 1:
            gradients.append(output.grad.split(list(sizes))[number])
        else:
            gradients.append(output.grad if number == 0 else torch.zeros_like(output.grad))
    return gradients


def _flow_back(outputs: Outputs, gradients: Sequence[Tensor | None]) -> None:
    pairs = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if output is not None and output.requires_grad and gradient is not None
    ]
    torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])


def _generators(device: Device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device.torch_device) if device.cuda else None


def _restore(state: tuple[Tensor, Tensor | None], device: Device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device.torch_device)
