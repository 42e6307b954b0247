"""What a model costs: parameters, operations and time per image."""

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ml.models.network import Network
from ml.training.device import Device
from ml.training.optimization import autocast
from ml.training.recipe import Recipe

TRIALS = 10  # ours: timed passes of one image; the median counts


@torch.inference_mode()
def cost_of(model: Network, recipe: Recipe, device: Device) -> dict[str, Any]:
    """Parameters in millions, GFLOP of one image (a multiply-add is 2), and milliseconds for one image alone.

    For CLIP the tags' texts are embedded beforehand, as in use.
    """
    model.eval()
    image = torch.zeros(1, 3, recipe.size, recipe.size, device=device.torch_device)
    batch = {"image": image.contiguous(memory_format=torch.channels_last)}

    def once() -> None:
        with autocast(recipe, device):
            model.log_scores(model(batch))
        if device.cuda:
            torch.cuda.synchronize()

    once()
    with FlopCounterMode(display=False) as counter:
        once()
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    return {
        "parameters_m": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        "gflop_per_image": counter.get_total_flops() / 1e9,
        "ms_per_image": 1e3 * sorted(times)[len(times) // 2],
    }
