"""Weight files of others: found by name or path, downloaded when allowed, checked by sha256, read without unpickling.

The only place where such files are opened: safetensors, or `torch.load` restricted to tensors.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.files import WEIGHTS_CACHE, sha256_of, whole_file

CACHE = WEIGHTS_CACHE


class WeightsError(RuntimeError):
    """A weight file that is missing, not what it should be, or not allowed; the message says what to do."""


@dataclass(frozen=True)
class WeightFile:
    """A published file of weights, pinned by its hash; `url` is None where it cannot be downloaded."""

    name: str
    file: str
    sha256: str
    licence: str  # SPDX
    source: str
    url: str | None = None
    command: str | None = None  # that gets the file, where it has no address of its own
    commercial_use: bool = True


_KNOWN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
WEIGHTS = {name: WeightFile(name, **entry) for name, entry in _KNOWN.items()}


def load_weights(
    name: str, folder: Path | None = None, *, allow_non_commercial: bool = False
) -> dict[str, torch.Tensor]:
    """The tensors of a known weight file by name, or of any safetensors or torch file by path, on the CPU.

    Raises WeightsError.
    """
    return read_weights(find_weights(name, folder, allow_non_commercial=allow_non_commercial))


def find_weights(name: str, folder: Path | None = None, *, allow_non_commercial: bool = False) -> Path:
    """The file of a known name in `folder` or the cache, downloaded if need be and checked; or the path given.

    Raises WeightsError in one sentence, at once when there is no network (HF_HUB_OFFLINE or EUFCC_OFFLINE).
    """
    known = WEIGHTS.get(name)
    if known is None:
        path = Path(name).expanduser()
        if not path.is_file():
            raise WeightsError(f"There are no weights `{name}`; known names are {', '.join(WEIGHTS)}, or give a file.")
        return path
    if not known.commercial_use and not allow_non_commercial:
        raise WeightsError(
            f"The weights `{name}` are {known.licence}, not for commercial use; allow this in the settings."
        )
    paths = [parent / known.file for parent in (folder, CACHE.expanduser()) if parent is not None]
    file = next((path for path in paths if path.is_file()), None) or _download(known, paths[0])
    _check(file, known)
    return file


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors or torch file, without running anything in it; raises WeightsError."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError or EOFError by kind of damage
        raise WeightsError(f"{file} holds more than tensors, or is damaged: {type(error).__name__}.") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{file} is not a file of named tensors.")
    return state


def offline() -> bool:
    """Whether the environment says that nothing may be downloaded."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes") for name in ("HF_HUB_OFFLINE", "EUFCC_OFFLINE"))


def _check(file: Path, known: WeightFile) -> None:
    actual = sha256_of(file)
    if actual != known.sha256:
        raise WeightsError(f"{file} is not the file `{known.name}`: its sha256 is {actual}, not {known.sha256}.")


def _download(known: WeightFile, target: Path) -> Path:
    """Fetch a file whole or not at all; its hash is checked before it gets its name."""
    if known.url is None:
        hint = f", or run `{known.command}`" if known.command else ""
        raise WeightsError(f"The weights `{known.name}` are missing: put {known.file} into {target.parent}{hint}.")
    if offline():
        raise WeightsError(
            f"The weights `{known.name}` are missing and this run is offline: put {known.url} into {target.parent}."
        )
    import requests

    try:
        with whole_file(target) as temporary:
            with temporary.open("wb") as out, requests.get(known.url, stream=True, timeout=(10, 60)) as response:
                response.raise_for_status()
                for block in response.iter_content(1 << 20):
                    out.write(block)
            _check(temporary, known)
    except (requests.RequestException, OSError) as error:
        raise WeightsError(f"The weights `{known.name}` could not be downloaded from {known.url}: {error}") from error
    return target
