"""A CLIP of two small towers, and its gradients from some number of micro-batches, in one process or in two.

`python -m tests.ml.models.clip_steps FOLDER` forks two ranks, which write `<accumulate>.safetensors` there.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ml.models.card import TextInput
from ml.models.clip import Clip
from ml.training.device import Device, use_device
from ml.training.gradients import add_gradients
from ml.training.recipe import Recipe

ROOT = Path(__file__).parents[3]
HERE = Device(torch.device("cpu"))
PAIRS = 16


class Towers(nn.Module):
    """Texts as sums of embedded tokens."""

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Parameter(embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.embedding[tokens].sum(1)


def small_clip(bias: float | None = None, dropout: float = 0.0) -> Clip:
    torch.manual_seed(3)
    layers = [nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(dropout)] if dropout else [nn.Linear(8, 16), nn.Tanh()]
    image = nn.Sequential(*layers, nn.Linear(16, 12))
    logit_bias = None if bias is None else nn.Parameter(torch.tensor(bias))
    return Clip(image, Towers(torch.randn(64, 12)), TextInput("clip", 2), logit_bias=logit_bias)


def pairs() -> dict[str, Tensor]:
    """Sixteen images with texts; some texts stand twice."""
    generator = torch.Generator().manual_seed(1)
    words = torch.arange(PAIRS).clamp(max=12)
    return {
        "image": torch.randn(PAIRS, 8, generator=generator),
        "tokens": torch.stack([words, words + 32], dim=1),
    }


def micro_batches(batch: dict[str, Tensor], accumulate: int) -> list[dict[str, Tensor]]:
    parts = {name: tensor.chunk(accumulate) for name, tensor in batch.items()}
    return [{name: part[number] for name, part in parts.items()} for number in range(accumulate)]


def gradients_of(
    accumulate: int, positives: str, bias: float | None, device: Device = HERE
) -> tuple[float, dict[str, Tensor]]:
    """The loss of one step over all ranks, and the gradients by parameter."""
    model = small_clip(bias)
    model.positives = positives  # type: ignore[assignment]
    network = DistributedDataParallel(model) if device.world > 1 else model
    own = {name: tensor[device.rank :: device.world] for name, tensor in pairs().items()}
    loss = add_gradients(model, network, micro_batches(own, accumulate), Recipe(), device)
    return float(device.total(loss.clone())), {name: p.grad for name, p in model.named_parameters()}


def in_two_processes(folder: Path) -> None:
    """`gradients_of` for 1, 2 and 4 micro-batches on two ranks of gloo."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.ml.models.clip_steps", str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _rank(folder: Path) -> None:
    with use_device("cpu") as device:
        for accumulate in (1, 2, 4):
            loss, gradients = gradients_of(accumulate, "pairs", None, device)
            if device.first:
                save_file(gradients | {"loss": torch.tensor(loss)}, folder / f"{accumulate}.safetensors")


def main(folder: Path) -> int:
    from tests.ml.training.forked_runs import free_port

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    children = []
    for rank in range(2):
        child = os.fork()
        if not child:
            os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(rank)
            _rank(folder)
            os._exit(0)
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
