"""Files and folders as hashes of their bytes. A file is read once, and again when it has changed."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.files import sha256_of, sha256_of_folder

MISSING = "missing"
# Two changes within one tick of the file system's clock have the same times: a file as young as this is read again.
SETTLED_NS = 1_000_000_000

Stamp = tuple[int, int, int, int]  # size, mtime_ns, ctime_ns, inode
_known: dict[tuple[str, Stamp], str] = {}


class ContentsError(ValueError):
    """A file that a setting names cannot be read; the message says which."""


def stamp_of(file: Path) -> Stamp:
    """What changes when a file changes; the time of its last change (ctime) cannot be set by a program."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def content_hash(path: Path) -> str:
    """The sha256 of a file, or of a folder's files with their relative names, as `sha256_of`; `missing` without one."""
    if path.is_dir():
        return sha256_of_folder(path, _hash_of_file)
    return _hash_of_file(path) if path.exists() else MISSING


def by_content(value: Any, name: str) -> Any:
    """The value of a setting as JSON, in which the bytes of a file or folder stand for its path.

    Every `Path` among the values counts by its bytes; a file also by its name, which may say how it is read, or be
    told in a table. So a new setting that names a file needs nothing more than its type. Raises ContentsError.
    """
    if isinstance(value, BaseModel):
        return {key: by_content(getattr(value, key), f"{name}.{key}") for key in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): by_content(one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [by_content(one, name) for one in value]
    if isinstance(value, Path):
        try:
            return f"{'' if value.is_dir() else value.name}:{content_hash(value)}"
        except OSError as error:
            raise ContentsError(f"The setting {name} names {value}, which cannot be read: {error.strerror}.") from None
    return value.isoformat() if isinstance(value, datetime) else value


def _hash_of_file(file: Path) -> str:
    key = (str(file), stamp_of(file))
    if key not in _known:
        digest = sha256_of(file)
        if time.time_ns() - max(key[1][1:3]) < SETTLED_NS:
            return digest
        _known[key] = digest
    return _known[key]
