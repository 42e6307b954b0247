"""The project that every asset works on: its settings, and the storage with a note on each table."""

import hashlib
import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from assets.engine.notes import SLICED, Made, joined, stamps_of
from pipeline.bucket import Bucket, open_bucket
from pipeline.contents import by_content, content_hash
from pipeline.files import sha256_of, write_text
from pipeline.home import ROOT as ROOT
from pipeline.home import default_home
from pipeline.images.slices import slice_names
from pipeline.settings import Settings, load
from pipeline.tables import TABLES

STORAGE = "EUFCC_STORAGE"  # a folder in place of DAGSTER_HOME/storage, or s3://bucket/prefix


class ChangedByHand(RuntimeError):
    """A stored table is not what its note says; the message says what to do."""


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
        return Made.from_note(name, note) if note is not None else None

    def here(self, name: str, *, whole: bool = True) -> Path:
        """The path of the stored table or folder; downloads it first when it is in a bucket and has changed there.

        Raises ChangedByHand when it is not what its note says. Without `whole` it need not be: it is about to change.
        """
        for part in self.parts_of(name):
            note = self.bucket.note(part) if self.bucket is not None else None
            if self.bucket is not None and note is not None and self._made_here(part) != Made.from_note(part, note):
                self.forget(part)
                self.bucket.download(note, self.path(part), self._key(part))
                self._write_note(part, replace(Made.from_note(part, note), stamps=stamps_of(self.path(part))))
            if whole:
                self.check(part)
        return self.path(name)

    def check(self, name: str) -> None:
        """Raise ChangedByHand when a table or folder, or a slice of one, is not what its note says."""
        if said := self.changed(name):
            raise ChangedByHand(said)

    def changed(self, name: str) -> str | None:
        """What to do when a table or folder, or a slice of one, is not what its note says; else None.

        Files whose size and times are the noted ones are not read; others are, once in a run.
        """
        made, path = self._made_here(name), self.path(name)
        if made is None or stamps_of(path) == made.stamps or content_hash(path) == made.sha256:
            return None
        todo = f"Put the old file back, or delete {path} and run the job that makes it."
        return f"{name} is not what was stored: it was changed by hand or by another program. {todo}"

    def _made_here(self, name: str) -> Made | None:
        note = self._note(name)
        if not note.exists() or not self.path(name).exists():
            return None
        return Made.from_note(name, json.loads(note.read_text(encoding="utf-8")))

    @property
    def takedowns(self) -> str:
        """The take-down list of the settings by its bytes; empty without one."""
        file = self.settings.images.takedown_file
        return by_content(file, "images.takedown_file") if file is not None else ""

    def remember(self, name: str, fingerprint: str, metadata: dict[str, Any], **about: Any) -> Made:
        """Store the note on the table at its path; with a bucket, upload the table first. `about`: fields of Made."""
        path = self.path(name)
        stamps = stamps_of(path)  # before the bytes are read: a change in between is noticed
        made = Made(fingerprint, sha256_of(path), metadata, stamps=stamps, **about)
        if self.bucket is not None:
            self.bucket.upload(name, path, self._key(name), made.__dict__)
        self._write_note(name, made)
        return made

    def remember_changed(self, name: str, made: Made, metadata: dict[str, Any]) -> Made:
        """Store a note again after its files were changed on purpose: bytes and stamps are new, its origin stays."""
        anew = {"fingerprint", "sha256", "metadata", "stamps"}
        about = {one.name: getattr(made, one.name) for one in fields(Made) if one.name not in anew}
        return self.remember(name, made.fingerprint, metadata, **about)

    def note_takedowns(self, name: str, takedowns: str | None) -> None:
        """Write into the note of a stored table that it holds nothing of this take-down list."""
        if self.bucket is not None:
            self.bucket.amend(name, {"takedowns": takedowns})
        if (made := self._made_here(name)) is not None:
            self._write_note(name, replace(made, takedowns=takedowns))

    def older_than_takedowns(self) -> list[str]:
        """What is stored here and was made from images before the take-down list changed, by name."""
        notes = self.storage / ".made"
        names = [file.relative_to(notes).with_suffix("").as_posix() for file in sorted(notes.rglob("*.json"))]
        made = {name: self._made_here(name) for name in names}
        return [name for name, one in made.items() if one and one.takedowns not in (None, self.takedowns)]

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


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def home() -> Path:
    """Dagster's home, where runs are recorded and, in `storage`, the tables."""
    return Path(os.environ.get("DAGSTER_HOME") or default_home())


def storage_name(settings: Settings) -> str:
    """The name of the storage of a profile and source; folders of the same name in two places do not share one."""
    name = f"{settings.profile}-{settings.source}"
    folder = settings.published or settings.museum
    if folder is None or folder.parent == default_home() / "museums":
        return name
    return f"{name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


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
