"""Weight files of others: found by name or path, downloaded when allowed, checked by sha256, read without unpickling.

The only place where such files are opened: safetensors, or `torch.load` restricted to tensors.
"""

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.models.card import Licence, Weights
from pipeline.files import WEIGHTS_CACHE, sha256_of, whole_file, write_json

if TYPE_CHECKING:
    import torch

CACHE = WEIGHTS_CACHE
HUB = "huggingface.co/"
# A publisher's older file, where a repository has no safetensors file.
OLDER = {"model.safetensors": "pytorch_model.bin", "open_clip_model.safetensors": "open_clip_pytorch_model.bin"}
COMMON = {*OLDER, *OLDER.values()}  # what files of many networks are called: in a folder such a name tells nothing


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
    input: Mapping[str, Any] = field(default_factory=dict)  # where its pictures differ from its timm name's

    @property
    def as_weights(self) -> Weights:
        """The file on the card of a network that begins with it."""
        return Weights(self.name, self.url or self.source, self.file, sha256=self.sha256)

    @property
    def as_licence(self) -> Licence:
        """Its licence on that card."""
        return Licence(self.licence, self.commercial_use, self.source)


_KNOWN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
WEIGHTS = {name: WeightFile(name, **entry) for name, entry in _KNOWN.items()}


def load_weights(name: str, folder: Path | None = None) -> dict[str, "torch.Tensor"]:
    """The tensors of a known weight file by name, or of any safetensors or torch file by path, on the CPU.

    Raises WeightsError.
    """
    return read_weights(find_weights(name, folder))


def find_weights(name: str, folder: Path | None = None) -> Path:
    """The file of a known name in `folder` or the cache, downloaded if need be and checked; or the path given.

    Raises WeightsError in one sentence, at once when there is no network (HF_HUB_OFFLINE or EUFCC_OFFLINE).
    """
    known = WEIGHTS.get(name)
    if known is None:
        path = Path(name).expanduser()
        if not path.is_file():
            raise WeightsError(f"There are no weights `{name}`; known names are {', '.join(WEIGHTS)}, or give a file.")
        return path
    if not known.commercial_use:
        raise WeightsError(f"The weights `{name}` are {known.licence}, not for commercial use: use others.")
    paths = [parent / known.file for parent in (folder, CACHE.expanduser()) if parent is not None]
    file = next((path for path in paths if path.is_file()), None) or _download(known, paths[0])
    _check(file, known)
    return file


def find_published(weights: Weights, folder: Path | None = None) -> tuple[Path, Weights]:
    """The file of a card's weights, and these with its revision and sha256.

    Looked for in `folder` and our cache (by name or as at its source), then in Hugging Face's cache, then downloaded.
    A file that is not pinned by the card is pinned when it is seen first. Raises WeightsError in one sentence.
    """
    if known_file(weights) is not None:
        return find_weights(weights.name, folder), weights
    file, revision = _located(weights, folder)
    sha256 = sha256_of(file)
    if weights.sha256 not in (None, sha256):
        raise WeightsError(
            f"{file} is not the file that was pinned as `{weights.name}`: its sha256 is {sha256}, "
            f"not {weights.sha256}; "
            f"put the old file back, or forget the pin in {_pins_file()}."
        )
    seen = replace(weights, revision=revision or weights.revision, sha256=sha256)
    if weights.sha256 is None and weights.name != str(file):
        pins = _pins() | {seen.name: {"revision": seen.revision, "sha256": sha256}}
        write_json(pins, _pins_file(), sort_keys=True)
    return file, seen


def local_file(weights: Weights, folder: Path | None = None) -> Path | None:
    """Where the weights lie on this machine; None where they would have to be downloaded."""
    if Path(weights.name).is_file():
        return Path(weights.name)
    names = [own_name(weights)] if weights.file in COMMON else [own_name(weights), weights.file]
    for parent in filter(None, (folder, CACHE.expanduser())):
        for name in names:
            if (parent / name).is_file():
                return parent / name
    if (Path(weights.source) / weights.file).is_file():  # a folder of the user's
        return Path(weights.source) / weights.file
    return _in_hub_cache(weights)


def known_file(weights: Weights) -> WeightFile | None:
    """The entry of weights.toml that a card's weights are; timm has a network of the same name in another file."""
    known = WEIGHTS.get(weights.name)
    return known if known is not None and known.file == weights.file else None


def own_name(weights: Weights) -> str:
    """What a file is called in a folder of many: its network's name, with the suffix of the file at its source."""
    return weights.name.replace(":", ".").replace("/", "_") + Path(weights.file).suffix


def pin_of(name: str) -> tuple[str | None, str | None]:
    """Revision and sha256 of a network's weights; None each until they are seen first."""
    pin = _pins().get(name, {})
    return pin.get("revision"), pin.get("sha256")


def read_weights(file: Path) -> dict[str, "torch.Tensor"]:
    """The tensors of a safetensors or torch file, without running anything in it; raises WeightsError."""
    import torch

    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"The weight file {file} is damaged ({error}): get it again.") from error
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # random damage raised ten kinds, struct.error and AssertionError among them
        raise WeightsError(f"{file} holds more than tensors, or is damaged: {type(error).__name__}.") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{file} is not a file of named tensors.")
    return state


def offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says that nothing may be downloaded."""
    return is_set("HF_HUB_OFFLINE", environ) or is_set("EUFCC_OFFLINE", environ)


def is_set(variable: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a variable of the environment says yes, in the words that huggingface_hub reads HF_HUB_OFFLINE by."""
    return environ.get(variable, "").lower() in ("1", "true", "yes", "on")


def _pins_file() -> Path:
    return CACHE.expanduser() / "pins.json"


def _pins() -> dict[str, dict[str, str | None]]:
    """The weights that were seen on this machine before. Raises WeightsError when the file is damaged."""
    try:
        return json.loads(_pins_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{_pins_file()} cannot be read ({error}): correct it, or delete it.") from error


def _located(weights: Weights, folder: Path | None) -> tuple[Path, str | None]:
    """The file, downloaded if need be, and the revision of its repository."""
    file = local_file(weights, folder)
    if file is None and not weights.source.startswith((HUB, "https://")):
        raise WeightsError(f"There is no weight file {Path(weights.source) / weights.file}: give one that is there.")
    if file is None and offline():
        raise WeightsError(
            f"The weights of {weights.name} are not on this machine, and this run is offline: connect once, put "
            f"{own_name(weights)} into a folder and give it with --weights, or train from random weights with "
            "--override pretrained=false."
        )
    if file is None and weights.source.startswith(HUB):
        file = _from_hub(weights)
    elif file is None:
        known = WeightFile(weights.name, weights.file, weights.sha256 or "", "", "", weights.source)
        file = _download(known, CACHE.expanduser() / weights.file)
    return file, file.parent.name if file.parent.parent.name == "snapshots" else None


def _in_hub_cache(weights: Weights) -> Path | None:
    if not weights.source.startswith(HUB):
        return None
    from huggingface_hub import try_to_load_from_cache

    repository = weights.source.removeprefix(HUB)
    for name in filter(None, (weights.file, OLDER.get(weights.file))):
        found = try_to_load_from_cache(repository, name, revision=weights.revision)
        if isinstance(found, str):
            return Path(found)
    return None


def _from_hub(weights: Weights) -> Path:
    """Download a file of the hub into its cache: the safetensors file, or the older one where there is none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError  # the HTTPError of the hub's own client

    repository, absent = weights.source.removeprefix(HUB), []
    for name in filter(None, (weights.file, OLDER.get(weights.file))):
        try:
            return Path(hf_hub_download(repository, name, revision=weights.revision))
        except RemoteEntryNotFoundError as error:  # the hub's answer; a file that it could not ask for is an OSError
            absent.append(error)
        except (HTTPError, OSError, ValueError, RuntimeError) as error:
            raise WeightsError(_unreachable(weights, error)) from error
    raise WeightsError(_unreachable(weights, absent[0])) from absent[0]


def _unreachable(weights: Weights, error: Exception) -> str:
    return (
        f"The weights of {weights.name} are not on this machine and could not be downloaded from {weights.source} "
        f"({type(error).__name__}): connect once, give a folder with --weights, "
        "or train from random weights with --override pretrained=false."
    )


def _check(file: Path, known: WeightFile) -> None:
    actual = sha256_of(file)
    if known.sha256 and actual != known.sha256:
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
    from pipeline.single_requests import NoAnswer, download

    print(f"  downloading {known.name} from {known.url} …", file=sys.stderr, flush=True)
    try:
        with whole_file(target) as temporary:
            with temporary.open("wb") as out:
                download(known.url, out)
            _check(temporary, known)
    except (NoAnswer, OSError) as error:
        raise WeightsError(f"The weights `{known.name}` could not be downloaded from {known.url}: {error}") from error
    return target
