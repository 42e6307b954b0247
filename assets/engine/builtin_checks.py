"""The two checks that every asset brings along, evaluated in its own step: it can be read, and it has not collapsed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from assets.engine.asset_metadata import key_of
from assets.engine.project import Made
from pipeline.tables import TABLES

READABLE = "can_be_read"
SIZE = "keeps_its_size"
LARGEST_FALL = 0.2  # of the rows, from one time to the next


def check_specs(name: str) -> list[dg.AssetCheckSpec]:
    """What is promised of the asset of that name: one check that blocks, one that warns."""
    key = key_of(name)
    readable = "Its files are whole, have the declared columns, and are sorted by their key without repetition."
    size = (
        f"It has not lost more than {LARGEST_FALL:.0%} of its rows, or of its bytes where it has none, since last time."
    )
    return [
        dg.AssetCheckSpec(READABLE, asset=key, blocking=True, description=readable),
        dg.AssetCheckSpec(SIZE, asset=key, description=size),
    ]


def check_results(name: str, places: Sequence[Path], made: Made) -> list[dg.AssetCheckResult]:
    """Both checks of the asset whose files lie at these places, one or a few slices."""
    problems = [problem for place in places for problem in unreadable(name, place)]
    return [
        _result(name, READABLE, problems, dg.AssetCheckSeverity.ERROR),
        _result(name, SIZE, shrunken(made), dg.AssetCheckSeverity.WARN),
    ]


def unreadable(name: str, place: Path) -> list[str]:
    """What is wrong with the files, in sentences."""
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    if not files:
        return [f"{name} has no file at {place}."]
    return [problem for file in files if (problem := _problem(name, file)) is not None]


def shrunken(made: Made) -> list[str]:
    """Whether the asset is much smaller than the one before it."""
    unit = "rows" if "rows" in made.metadata else "bytes"
    now, before = made.metadata.get(unit, 0), made.metadata.get(f"{unit}_before", 0)
    if now < (1 - LARGEST_FALL) * before:
        return [f"It has {now:,} {unit}; the one before it had {before:,}."]
    return []


def _problem(name: str, file: Path) -> str | None:
    reader = READERS.get(file.suffix)
    try:
        return reader(name, file) if reader else None
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"{file.name} cannot be read: {error}."


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
    with file.open(encoding="utf-8") as text:
        json.load(text)


def _safetensors(name: str, file: Path) -> None:
    """The header holds, and the tensors end where the file ends (format: 8 bytes of length, JSON, tensors)."""
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
    ".parquet": _parquet,
    ".json": _json,
    ".safetensors": _safetensors,
}


def _result(name: str, check: str, problems: list[str], severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key_of(name),
        check_name=check,
        passed=not problems,
        severity=severity,
        description=" ".join(problems[:5]) or "All holds.",
        metadata={"problems": len(problems)},
    )
