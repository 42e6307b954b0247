"""What sets of splits were made from: files by their sha256, and a manifest per set, so that a set can be made again.

A folder `history` holds `objects/<sha256>`, each file once however many sets need it, and `<time>-<splits>.json`, the
manifest of one set. No object is a picture: splits are made from the images' ids.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.files import sha256_of, whole_file, write_json
from pipeline.harvest.store import MANIFEST, collections_in

DAY = re.compile(r"\d{4}-\d\d-\d\d(T.+)?")
HASH = re.compile(r"[0-9a-f]{6,64}")
SHORT = 12  # characters of a hash that people are shown


class HistoryError(ValueError):
    """A set of splits cannot be made again; the message says why, or which there are."""


@dataclass(frozen=True)
class SplitSet:
    """The manifest of one set of splits."""

    made_at: str  # UTC; when the set was first stored here
    splits: str  # sha256 of splits.parquet
    seed: int
    images: int
    harvested: str  # the latest moment that the pages declare
    settings: dict[str, dict[str, Any]]  # the sections that the splits depend on
    files: dict[str, str]  # place in a storage: sha256

    @property
    def name(self) -> str:
        """The time and the beginning of the hash, which sort like the sets."""
        return f"{re.sub(r'[-:]', '', self.made_at.partition('+')[0])}-{self.splits[:SHORT]}"


def split_sets(folder: Path) -> list[SplitSet]:
    """Every set in the history, oldest first."""
    return [SplitSet(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(folder.glob("*.json"))]


def page_files(pages: Path, collections: Sequence[str]) -> tuple[dict[str, Path], str]:
    """The files of the complete harvests of these collections, by their place in a storage, and their latest moment."""
    files, moments = dict[str, Path](), [""]
    for place, harvests in collections_in(pages).items():
        for harvest in harvests:
            if harvest.complete and harvest.kind != "ids" and harvest.collection in collections:
                moments.append(harvest.as_of)
                for file in (harvest.folder / MANIFEST, *harvest.pages()):
                    files[f"pages/{place.name}/{file.relative_to(place).as_posix()}"] = file
    return files, max(moments)


def add(folder: Path, made: SplitSet, files: Mapping[str, Path], splits: Path) -> SplitSet:
    """Store a set with the files that it was made from; `made.files` may list further objects that are stored.

    Nothing is added when the latest set has the same splits. Returns the set as it is stored.
    """
    before = split_sets(folder)
    if before and before[-1].splits == made.splits:
        return before[-1]
    objects = folder / "objects"
    keep(splits, objects)
    kept = {name: keep(file, objects, link=name.startswith("pages/")) for name, file in files.items()}
    stored = SplitSet(**{**asdict(made), "files": {**made.files, **kept}})
    write_json(asdict(stored), folder / f"{stored.name}.json")
    return stored


def keep(file: Path, objects: Path, *, link: bool = False) -> str:
    """Store a file by its sha256. Pages, which nobody edits, take no room on the same disk: they are hard links."""
    digest = sha256_of(file)
    target = objects / digest
    if target.exists():
        return digest
    objects.mkdir(parents=True, exist_ok=True)
    if link and _linked(file, target):
        return digest
    with whole_file(target) as temporary:
        shutil.copyfile(file, temporary)
    return digest


def find(folder: Path, asked: str) -> SplitSet:
    """The set that was current at a day or moment (UTC), or the latest whose hash begins so. Raises HistoryError."""
    sets = split_sets(folder)
    if DAY.fullmatch(asked):
        until = _end_of(asked)
        found = [one for one in sets if datetime.fromisoformat(one.made_at) <= until]
    elif HASH.fullmatch(asked):
        found = [one for one in sets if one.splits.startswith(asked)]
    else:
        raise HistoryError(f"{asked!r} is neither a day such as 2026-11-28 nor the first characters of a hash.")
    if not found:
        there = ", ".join(f"{one.made_at[:10]} {one.splits[:SHORT]}" for one in sets[-5:]) or "none"
        raise HistoryError(f"There is no set of splits for {asked}; the latest are: {there}. See `eufcc history`.")
    return found[-1]


def restore(folder: Path, made: SplitSet, storage: Path) -> None:
    """Put the set's files into an empty storage. Raises HistoryError when one is missing or was changed."""
    for name, digest in sorted(made.files.items()):
        source = folder / "objects" / digest
        if not source.is_file() or sha256_of(source) != digest:
            raise HistoryError(
                f"The splits {made.splits[:SHORT]} cannot be made again: {source} ({name}) is missing or was changed."
            )
        with whole_file(storage / name) as temporary:
            shutil.copyfile(source, temporary)


def prune(folder: Path, sets: int) -> list[SplitSet]:
    """Delete all but the latest sets, and the objects that no set needs; returns the deleted sets."""
    stored = split_sets(folder)
    gone = stored[: max(0, len(stored) - sets)]
    for one in gone:
        (folder / f"{one.name}.json").unlink()
    needed = {digest for one in stored[len(gone) :] for digest in (one.splits, *one.files.values())}
    for file in (folder / "objects").glob("*") if (folder / "objects").is_dir() else ():
        if file.name not in needed:
            file.unlink()
    return gone


def _linked(file: Path, target: Path) -> bool:
    """Whether the file could be linked: not to another disk, and not on every file system."""
    try:
        os.link(file, target)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _end_of(asked: str) -> datetime:
    """The last moment that a day or a moment means. Raises HistoryError."""
    try:
        given = datetime.fromisoformat(asked)
    except ValueError:
        raise HistoryError(f"{asked!r} is not a day; write it like 2026-11-28.") from None
    whole_day = given.replace(hour=23, minute=59, second=59, microsecond=999_999) if len(asked) == 10 else given
    return whole_day if whole_day.tzinfo else whole_day.replace(tzinfo=UTC)
