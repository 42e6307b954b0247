"""Reads the data files beside the code."""

import csv
import tomllib
from pathlib import Path
from typing import Any


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file; lists are tuples in it, so that records made of them cannot change."""
    content: dict[str, Any] = _fixed(tomllib.loads(file.read_text(encoding="utf-8")))
    return content


def read_csv(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; lines that begin with # are not among them."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _fixed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fixed(part) for name, part in value.items()}
    return tuple(map(_fixed, value)) if isinstance(value, list) else value
