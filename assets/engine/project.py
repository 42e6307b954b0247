"""What every asset is given: the settings, and where its tables lie."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.engine.versions import ROOT
from pipeline.bucket import Bucket
from pipeline.files import sha256_of, write_text
from pipeline.images.slices import slice_names
from pipeline.settings import Settings
from pipeline.tables import TABLES

SLICED = ("fetches", "images", "features")  # folders with one folder per slice (`pipeline.images.slices`)


@dataclass(frozen=True)
class Made:
    """How a table or folder was made: `fingerprint` of everything it depends on, `sha256` of its bytes."""

    fingerprint: str
    sha256: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Project:
    """One profile on one source: its settings and its storage, which no other touches.

    With a bucket, what is stored lies there, and `storage` is this machine's copy of what its steps have read or made.
    """

    settings: Settings
    storage: Path
    bucket: Bucket | None = None

    def path(self, name: str) -> Path:
        """Where the table or folder of that name lies: shards and folders have no ending."""
        return self.storage / f"{name}.parquet" if name in TABLES and name not in SLICED else self.storage / name

    def parts_of(self, name: str) -> list[str]:
        """The names of an asset's slices; its own where it has none, or is a slice."""
        return [f"{name}/{part}" for part in slice_names(self.settings.images.slices)] if name in SLICED else [name]

    def made(self, name: str) -> Made | None:
        """How the stored table was made, or None when it is not there; a sliced one is there when all slices are."""
        if name in SLICED:
            parts = [self.made(part) for part in self.parts_of(name)]
            return None if None in parts else joined([part for part in parts if part is not None])
        if self.bucket is not None:
            known = self.bucket.note(name)
            return None if known is None else Made(known["fingerprint"], known["sha256"], known["metadata"])
        return self._made_here(name)

    def here(self, name: str) -> Path:
        """The path of the table or folder, as it is stored: from a bucket it comes to this machine first."""
        if name in SLICED:
            for part in self.parts_of(name):
                self.here(part)
            return self.path(name)
        known = self.bucket.note(name) if self.bucket is not None else None
        if self.bucket is not None and known is not None:
            made = Made(known["fingerprint"], known["sha256"], known["metadata"])
            if self._made_here(name) != made:
                self.forget(name)
                self.bucket.download(known, self.path(name), self._key(name))
                self._write_note(name, made)
        return self.path(name)

    def _made_here(self, name: str) -> Made | None:
        note = self._note(name)
        if not note.exists() or not self.path(name).exists():
            return None
        return Made(**json.loads(note.read_text(encoding="utf-8")))

    def remember(self, name: str, fingerprint: str, metadata: dict[str, Any]) -> Made:
        """Note how the table that now lies at its path was made; a bucket is given it first."""
        made = Made(fingerprint, sha256_of(self.path(name)), metadata)
        if self.bucket is not None:
            self.bucket.upload(name, self.path(name), self._key(name), made.__dict__)
        self._write_note(name, made)
        return made

    def forget(self, name: str) -> None:
        """Drop the note of this machine: what lies at the path is about to change."""
        self._note(name).unlink(missing_ok=True)

    def _write_note(self, name: str, made: Made) -> None:
        write_text(json.dumps(made.__dict__, sort_keys=True, indent=1), self._note(name))

    def _key(self, name: str) -> str:
        return self.path(name).relative_to(self.storage).as_posix()

    def _note(self, name: str) -> Path:
        return self.storage / ".made" / f"{name}.json"


def joined(parts: Sequence[Made]) -> Made:
    """How slices together were made: their numbers added up, one hash over all of theirs."""
    if len(parts) == 1:
        return parts[0]
    return Made(
        hashlib.sha256("\n".join(part.fingerprint for part in parts).encode()).hexdigest(),
        hashlib.sha256("\n".join(part.sha256 for part in parts).encode()).hexdigest(),
        _added_up([part.metadata for part in parts]),
    )


def _added_up(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            before = total.get(name)
            if isinstance(value, dict):
                total[name] = _added_up([before or {}, value])
            elif isinstance(value, int | float) and not isinstance(value, bool):
                total[name] = (before or 0) + value
            else:
                total[name] = value
    return total


def home() -> Path:
    """Dagster's home: where runs are recorded and, below it, where the tables lie."""
    return Path(os.environ.get("DAGSTER_HOME") or ROOT / "dagster_home")


def storage_name(settings: Settings) -> str:
    """The storage's name for a profile and source: two museums of the same name do not share it."""
    name = f"{settings.profile}-{settings.source}"
    if settings.museum is not None and settings.museum.parent != ROOT / "dagster_home" / "museums":
        place = hashlib.sha256(str(settings.museum).encode()).hexdigest()[:8]
        name = f"{name}-{place}"
    return name


def storage_of(settings: Settings, home: Path) -> Path:
    """The storage folder of a profile and source."""
    return home / "storage" / storage_name(settings)
