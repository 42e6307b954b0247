"""The cases of one kind as they lie in ../shared/cases."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import SHARED

ROOT = SHARED / "cases"


@dataclass(frozen=True)
class Case:
    """One input with the right outcome."""

    kind: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name, unique in its kind."""
        return str(self.given["case"])

    @property
    def right(self) -> dict[str, Any]:
        """The right outcome."""
        return self.given["right"]

    def path(self, name: str | None = None) -> Path:
        """A file of the case; without a name its input."""
        return ROOT / self.kind / (name or self.given["input"])

    def read(self, name: str | None = None) -> bytes:
        """The bytes of a file of the case; without a name of its input."""
        return self.path(name).read_bytes()


def cases_of(kind: str) -> list[Case]:
    """The cases of a kind; none where ../shared is not there."""
    index = ROOT / kind / "cases.json"
    return [Case(kind, given) for given in json.loads(index.read_text())] if index.is_file() else []
