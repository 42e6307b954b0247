"""What every asset is given: the settings, and where its tables lie."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.parquet import sha256_of, whole_file
from pipeline.settings import Settings
from pipeline.tables import TABLES

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Made:
    """How a table or folder was made: `fingerprint` of everything it depends on, `sha256` of its bytes."""

    fingerprint: str
    sha256: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Project:
    """One profile on one source: its settings and its storage, which no other touches."""

    settings: Settings
    storage: Path

    def path(self, name: str) -> Path:
        """Where the table or folder of that name lies: shards and folders have no ending."""
        return self.storage / f"{name}.parquet" if name in TABLES and name != "images" else self.storage / name

    def made(self, name: str) -> Made | None:
        """How the stored table was made, or None when it is not there."""
        note = self._note(name)
        if not note.exists() or not self.path(name).exists():
            return None
        return Made(**json.loads(note.read_text(encoding="utf-8")))

    def remember(self, name: str, fingerprint: str, metadata: dict[str, Any]) -> Made:
        """Note how the table that now lies at its path was made."""
        made = Made(fingerprint, sha256_of(self.path(name)), metadata)
        with whole_file(self._note(name)) as temporary:
            temporary.write_text(json.dumps(made.__dict__, sort_keys=True, indent=1), encoding="utf-8")
        return made

    def forget(self, name: str) -> None:
        """Drop the note: what lies at the path is about to change."""
        self._note(name).unlink(missing_ok=True)

    def _note(self, name: str) -> Path:
        return self.storage / ".made" / f"{name}.json"


def home() -> Path:
    """Dagster's home: where runs are recorded and, below it, where the tables lie."""
    return Path(os.environ.get("DAGSTER_HOME") or ROOT / "dagster_home")


def storage_of(settings: Settings, home: Path) -> Path:
    """The storage folder of a profile and source: two museums of the same name do not share it."""
    name = f"{settings.profile}-{settings.source}"
    if settings.museum is not None and settings.museum.parent != ROOT / "dagster_home" / "museums":
        place = hashlib.sha256(str(settings.museum).encode()).hexdigest()[:8]
        name = f"{name}-{place}"
    return home / "storage" / name


def code_version(paths: tuple[str, ...]) -> str:
    """A hash over the source files that an asset's result depends on."""
    digest = hashlib.sha256()
    for path in paths:
        place = ROOT / path
        files = [place] if place.is_file() else sorted(place.rglob("*.*"))
        for file in files:
            if file.suffix in {".py", ".toml", ".rq", ".csv"}:
                digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
