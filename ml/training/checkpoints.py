"""Checkpoints and finished models: safetensors for tensors, JSON for the rest, each file whole or not at all."""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.files import whole_file, write_json


class CheckpointError(RuntimeError):
    """A checkpoint or a model cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training: tensors by dotted name, and the counters beside them."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(checkpoint: Checkpoint, file: Path) -> None:
    """Write the checkpoint; the one before stays beside it as `<name>.previous`, the last good one if this breaks."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    metadata = {"state": json.dumps(checkpoint.state), "crc32": str(_crc32(tensors))}
    with whole_file(file) as temporary:
        save_file(tensors, temporary, metadata)
        if file.exists():
            previous(file).unlink(missing_ok=True)
            os.link(file, previous(file))


def previous(file: Path) -> Path:
    """Where the checkpoint before the last one is."""
    return file.with_suffix(".previous" + file.suffix)


def load(file: Path) -> Checkpoint:
    """Read a checkpoint and check its sum. Raises CheckpointError for a damaged one; it deletes nothing."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if int(metadata["crc32"]) != _crc32(tensors):
            raise ValueError("its checksum does not match")
        return Checkpoint(tensors, json.loads(metadata["state"]))
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        good = previous(file)
        advice = f"rename {good.name} to {file.name} to go on from the one before" if good.exists() else "start again"
        raise CheckpointError(f"The checkpoint {file} is damaged ({error}): {advice}, or use --restart.") from error


def _crc32(tensors: Mapping[str, Tensor]) -> int:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        flat = tensors[name].reshape(-1)
        if flat.numel():
            value = zlib.crc32(flat.view(torch.uint8).numpy().data, value)
    return value


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors by `optimizer.<parameter>.<name>`."""
    return {
        f"optimizer.{number}.{name}": value
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of `optimizer_tensors` back; learning rates follow from the schedule."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}


def save_model(model: nn.Module, description: Mapping[str, Any], folder: Path) -> None:
    """`weights.safetensors` and `model.json`; the description comes last: with it the model is finished."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    with whole_file(folder / "weights.safetensors") as temporary:
        save_file(tensors, temporary, {"format": "pt"})
    write_json(description, folder / "model.json")


def read_description(folder: Path) -> dict[str, Any]:
    """`model.json`. Raises CheckpointError when there is no finished model."""
    file = folder / "model.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no finished model in {folder}: train {folder.name} first.") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{file} is damaged ({error}): train {folder.name} again.") from error


def load_model(model: nn.Module, folder: Path) -> None:
    """Put a finished model's weights into the network. Raises CheckpointError when they are damaged or do not fit."""
    file = folder / "weights.safetensors"
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The weights {file} are damaged ({error}): train {folder.name} again.") from error
    fit(model, tensors, file)


def fit(model: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Load the tensors into the network. Raises CheckpointError naming the first that does not fit."""
    try:
        model.load_state_dict(dict(tensors))
    except (RuntimeError, KeyError) as error:
        wanted = model.state_dict()
        stored, own = ({name: tuple(tensor.shape) for name, tensor in each.items()} for each in (tensors, wanted))
        name = min((n for n in stored.keys() | own.keys() if stored.get(n) != own.get(n)), default="?")
        there, here = stored.get(name), own.get(name)
        if there and here and name.endswith(("linear.weight", "linear.bias")):
            problem = f"scores {there[0]} tags where the tag list has {here[0]}: train again."
        else:
            problem = f"is of another network: `{name}` is {there} there and {here} here; train again."
        raise CheckpointError(f"{file} {problem}") from error
