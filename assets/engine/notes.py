"""The notes on stored tables and folders, in `<storage>/.made`: how each was made, and which files it is."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.contents import stamp_of

SLICED = ("fetches", "images", "features")  # folders with one folder per slice (`pipeline.images.slices`)
UNKNOWN = "unknown"  # a take-down list that is none: of a note that does not say, and of slices that differ


@dataclass(frozen=True)
class Made:
    """The note on a stored table or folder: `fingerprint` of everything it depends on, `sha256` of its bytes.

    `takedowns` is the take-down list (`Project.takedowns`) that was in force when the images were made that it holds or
    is made from; None without images. `stamps` are those of its files on this machine (`pipeline.contents`).
    `depends` is what it was made from, `code` the source files (`AssetPlan`), `seconds` how long it took, `longest` how
    long at most so far.
    """

    fingerprint: str
    sha256: str
    metadata: dict[str, Any]
    takedowns: str | None = None
    stamps: Mapping[str, Sequence[int]] = field(default_factory=dict, compare=False)
    depends: Mapping[str, Any] = field(default_factory=dict, compare=False)
    code: Mapping[str, str] = field(default_factory=dict, compare=False)
    seconds: float = field(default=0.0, compare=False)
    longest: float = field(default=0.0, compare=False)

    @classmethod
    def from_note(cls, name: str, note: Mapping[str, Any]) -> "Made":
        """The note as it is stored; in a bucket it also lists the files. Older notes do not name the take-down list."""
        unknown = UNKNOWN if name.partition("/")[0] in (*SLICED, "dataset") else None
        known = {one.name: note[one.name] for one in fields(cls) if one.name in note}
        return cls(**{"takedowns": unknown} | known)


def stamps_of(path: Path) -> dict[str, list[int]]:
    """The stamp of every file of a table or folder, by its name below the path."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {file.relative_to(path).as_posix(): [*stamp_of(file)] for file in files}


def joined(parts: Sequence[Made]) -> Made:
    """One note for several slices: the sum of their metadata, and a hash over all of their hashes."""
    if len(parts) == 1:
        return parts[0]
    hashes = ("\n".join(part.fingerprint for part in parts), "\n".join(part.sha256 for part in parts))
    fingerprint, sha256 = (hashlib.sha256(text.encode()).hexdigest() for text in hashes)
    lists = {part.takedowns for part in parts}
    takedowns = lists.pop() if len(lists) == 1 else UNKNOWN
    times = {name: sum(getattr(part, name) for part in parts) for name in ("seconds", "longest")}
    return Made(fingerprint, sha256, _added_up([part.metadata for part in parts]), takedowns, **times)


def _added_up(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name, value in (item for part in parts for item in part.items()):
        if isinstance(value, dict):
            value = _added_up([total.get(name) or {}, value])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value += total.get(name) or 0
        total[name] = value
    return total
