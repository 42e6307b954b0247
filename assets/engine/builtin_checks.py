"""Two checks of every asset, run in its own step: it is readable, and it lost at most a fifth of its rows."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from assets.engine.asset_metadata import key_of
from assets.engine.notes import Made
from pipeline.tables import TABLES

READABLE = "can_be_read"
SIZE = "keeps_its_size"
LARGEST_FALL = 0.2  # share of the rows that one run may lose


def check_specs(name: str) -> list[dg.AssetCheckSpec]:
    """The specifications of an asset's two checks: the first blocks, the second warns."""
    readable = "The files are complete, have the declared columns, and are sorted by a key without duplicates."
    size = f"The asset has lost at most {LARGEST_FALL:.0%} of its rows, or of its bytes when it has no rows."
    return [
        dg.AssetCheckSpec(READABLE, asset=key_of(name), blocking=True, description=readable),
        dg.AssetCheckSpec(SIZE, asset=key_of(name), description=size),
    ]


def check_results(
    name: str, places: Sequence[Path], made: Made, changed: Sequence[str] = ()
) -> list[dg.AssetCheckResult]:
    """The results of both checks for the asset, or the slices of it, at these paths. `changed`: what no step wrote."""
    problems = [problem for place in places for problem in unreadable(name, place)] or changed
    named = {"asset_key": key_of(name)}
    return [
        check_result(problems, blocking=True, check_name=READABLE, **named),
        check_result(shrunken(made), blocking=False, check_name=SIZE, **named),
    ]


def check_result(problems: Sequence[str], *, blocking: bool, **named: Any) -> dg.AssetCheckResult:
    """A check's result from the problems that it found, one sentence each."""
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=" ".join(problems[:5]) or "No problem was found.",
        metadata={"problems": len(problems)},
        **named,
    )


def unreadable(name: str, place: Path) -> list[str]:
    """The problems of the files at a path, each with what to do.

    A folder is deleted as a whole: the step that makes it knows it by its note and its name, not by its files.
    """
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    if not files:
        return [f"{name} has no file at {place}."]
    todo = f"Delete {place}, then run the job again that makes it."
    return [f"{problem} {todo}" for file in files if (problem := _problem(name, file)) is not None]


def shrunken(made: Made) -> list[str]:
    """The problem of an asset that is much smaller than the one before it."""
    unit = "rows" if "rows" in made.metadata else "bytes"
    now, before = made.metadata.get(unit, 0), made.metadata.get(f"{unit}_before", 0)
    problem = f"It has {now:,} {unit}; the one before it had {before:,}."
    return [problem] if now < (1 - LARGEST_FALL) * before else []


def _problem(name: str, file: Path) -> str | None:
    reader = READERS.get(file.suffix)
    try:
        return reader(name, file) if reader else None
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"{file.name} cannot be read: {str(error).rstrip('.')}."


def _parquet(name: str, file: Path) -> str | None:
    with pq.ParquetFile(file) as parquet:
        table = TABLES.get(name)
        if table is None:
            return None
        if not parquet.schema_arrow.equals(table.schema):
            return f"{file.name} does not have the columns of the table {name}."
        keys = parquet.read(columns=list(table.key))
    return None if table.ascends(keys) else f"{file.name} is not sorted by {', '.join(table.key)}, or a key repeats."


def _json(name: str, file: Path) -> None:
    json.loads(file.read_text(encoding="utf-8"))


def _safetensors(name: str, file: Path) -> None:
    """Check that the tensors end where the file ends. Format: the header's length in 8 bytes, JSON header, tensors."""
    with file.open("rb") as data:
        length = int.from_bytes(data.read(8), "little")
        size = file.stat().st_size
        if length > size - 8:
            raise ValueError("its header is cut off")
        header = json.loads(data.read(length))
    ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    if 8 + length + max(ends, default=0) != size:
        raise ValueError("its tensors are cut off")


READERS: dict[str, Callable[[str, Path], str | None]] = {
    ".parquet": _parquet, ".json": _json, ".safetensors": _safetensors,
}  # fmt: skip
