"""The project that every asset works on: its settings, and the storage with a note on each table."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.engine.versions import ROOT
from pipeline.bucket import Bucket, open_bucket
from pipeline.files import sha256_of, write_text
from pipeline.images.slices import slice_names
from pipeline.settings import Settings, load
from pipeline.tables import TABLES

STORAGE = "EUFCC_STORAGE"  # a folder in place of DAGSTER_HOME/storage, or s3://bucket/prefix
SLICED = ("fetches", "images", "features")  # folders with one folder per slice (`pipeline.images.slices`)


@dataclass(frozen=True)
class Made:
    """The note on a stored table or folder: `fingerprint` of everything it depends on, `sha256` of its bytes."""

    fingerprint: str
    sha256: str
    metadata: dict[str, Any]

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> "Made":
        """The note as it is stored; in a bucket it also lists the files."""
        return cls(note["fingerprint"], note["sha256"], note["metadata"])


@dataclass(frozen=True)
class Project:
    """One profile on one source: its settings, and a storage of its own.

    With a bucket the tables are stored there, and `storage` holds this machine's copies of those it has read or made.
    """

    settings: Settings
    storage: Path
    bucket: Bucket | None = None

    def path(self, name: str) -> Path:
        """The path of the table or folder of that name; a folder has no suffix."""
        return self.storage / f"{name}.parquet" if name in TABLES and name not in SLICED else self.storage / name

    def parts_of(self, name: str) -> list[str]:
        """The names of an asset's slices; its own name when it has none, or is itself a slice."""
        return [f"{name}/{part}" for part in slice_names(self.settings.images.slices)] if name in SLICED else [name]

    def made(self, name: str) -> Made | None:
        """The note on a stored table, or None when it is not stored; a sliced one is when all its slices are."""
        if name in SLICED:
            parts = [self.made(part) for part in self.parts_of(name)]
            return None if None in parts else joined([part for part in parts if part is not None])
        if self.bucket is None:
            return self._made_here(name)
        note = self.bucket.note(name)
        return Made.from_note(note) if note is not None else None

    def here(self, name: str) -> Path:
        """The path of the stored table or folder; downloads it first when it is in a bucket and has changed there."""
        for part in self.parts_of(name):
            note = self.bucket.note(part) if self.bucket is not None else None
            if self.bucket is not None and note is not None and self._made_here(part) != Made.from_note(note):
                self.forget(part)
                self.bucket.download(note, self.path(part), self._key(part))
                self._write_note(part, Made.from_note(note))
        return self.path(name)

    def _made_here(self, name: str) -> Made | None:
        note = self._note(name)
        if not note.exists() or not self.path(name).exists():
            return None
        return Made.from_note(json.loads(note.read_text(encoding="utf-8")))

    def remember(self, name: str, fingerprint: str, metadata: dict[str, Any]) -> Made:
        """Store the note on the table at its path; with a bucket, upload the table first."""
        made = Made(fingerprint, sha256_of(self.path(name)), metadata)
        if self.bucket is not None:
            self.bucket.upload(name, self.path(name), self._key(name), made.__dict__)
        self._write_note(name, made)
        return made

    def forget(self, *names: str) -> None:
        """Delete this machine's notes on these tables, before the files at their paths change."""
        for name in names:
            self._note(name).unlink(missing_ok=True)

    def _write_note(self, name: str, made: Made) -> None:
        write_text(json.dumps(made.__dict__, sort_keys=True, indent=1), self._note(name))

    def _key(self, name: str) -> str:
        return self.path(name).relative_to(self.storage).as_posix()

    def _note(self, name: str) -> Path:
        return self.storage / ".made" / f"{name}.json"


def joined(parts: Sequence[Made]) -> Made:
    """One note for several slices: the sum of their metadata, and a hash over all of their hashes."""
    if len(parts) == 1:
        return parts[0]
    hashes = ("\n".join(part.fingerprint for part in parts), "\n".join(part.sha256 for part in parts))
    fingerprint, sha256 = (hashlib.sha256(text.encode()).hexdigest() for text in hashes)
    return Made(fingerprint, sha256, _added_up([part.metadata for part in parts]))


def _added_up(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name, value in (item for part in parts for item in part.items()):
        if isinstance(value, dict):
            value = _added_up([total.get(name) or {}, value])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value += total.get(name) or 0
        total[name] = value
    return total


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def home() -> Path:
    """Dagster's home, where runs are recorded and, in `storage`, the tables."""
    return Path(os.environ.get("DAGSTER_HOME") or ROOT / "dagster_home")


def storage_name(settings: Settings) -> str:
    """The name of the storage of a profile and source; museums of the same name in two folders do not share one."""
    name = f"{settings.profile}-{settings.source}"
    if settings.museum is None or settings.museum.parent == ROOT / "dagster_home" / "museums":
        return name
    return f"{name}-{hashlib.sha256(str(settings.museum).encode()).hexdigest()[:8]}"


def storage_of(settings: Settings, home: Path) -> Path:
    """The storage folder of a profile and source."""
    return home / "storage" / storage_name(settings)


def current_project() -> Project:
    """The project of the environment: its settings (see `pipeline.settings.load`) and its storage."""
    settings, place = load(), os.environ.get(STORAGE, "")
    if place and "://" not in place:
        return Project(settings, Path(place).expanduser().resolve() / storage_name(settings))
    bucket = open_bucket(place, storage_name(settings)) if place else None
    return Project(settings, storage_of(settings, home()), bucket)
