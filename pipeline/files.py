"""Whole files and folders: written completely or not at all, hashed, and cleared of what a kill left behind."""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path

# Where weight files are kept that were downloaded, for all projects of this user.
WEIGHTS_CACHE = Path("~/.cache/eufcc/weights")
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # of an OSError
SYNCED_EACH = 2_000  # files of a folder; with more, the whole system at once: 347,000 files one by one took 17 minutes


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A temporary path beside `file`; on success it is synced and renamed to `file`, else removed.

    Who may read it is what the umask says, as for every file that a program opens.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(file)
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(file)
        sync(file.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`; on success it takes its place, else it is removed and the old one stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = beside(folder)
    new.mkdir()
    try:
        yield new
        files = sorted(path for path in new.rglob("*") if path.is_file())
        if len(files) > SYNCED_EACH:
            os.sync()
        else:
            for file in files:
                sync(file)
        old = new.with_suffix(".old")
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
        sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def beside(path: Path) -> Path:
    """A path that nothing has yet, beside the given one, for what is written before it takes its place."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def write_text(text: str, file: Path) -> None:
    """Write UTF-8 text, completely or not at all."""
    with whole_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(content: object, file: Path, *, sort_keys: bool = False) -> None:
    """Write JSON, completely or not at all; a value that JSON has no form for is written as text."""
    write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=sort_keys, default=str) + "\n", file)


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_left_overs(folder: Path, names: Container[str] | None = None) -> None:
    """Remove the temporary files of killed writers below a folder, or only those of files with these names.

    No other process may be writing into the folder.
    """
    for left_over in folder.rglob(".*.part"):
        if names is None or left_over.name[1:].rsplit(".", 2)[0] in names:
            left_over.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, or of a folder's files with their relative names, in name order."""
    if path.is_file():
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    return sha256_of_folder(path, sha256_of)


def sha256_of_folder(folder: Path, of_file: Callable[[Path], str]) -> str:
    """The sha256 of the relative names of a folder's files and of what `of_file` says of each, in name order."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(folder).as_posix()}\0{of_file(file)}\n".encode())
    return digest.hexdigest()
