"""What Dagster shows of an asset: description, column schema, and the figures of a materialization, within a budget."""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.engine.project import Made
from pipeline.tables import TABLES

OWNERS = ["team:eufcc"]
BUDGET = 64 * 1024  # bytes of metadata a materialization may bring to the event log
CUT = "… (cut: the rest is in the storage)"


@dataclass(frozen=True)
class Told:
    """A table, and what Dagster shows beside its size."""

    rows: pl.DataFrame
    metadata: dict[str, Any]


def key_of(name: str) -> dg.AssetKey:
    """The asset of that name: `models/softmax` is the key with those two parts."""
    return dg.AssetKey(name.split("/"))


def result_of(
    name: str,
    made: Made,
    seconds: float,
    reused: bool,
    *,
    recomputed: int | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
    place: Path | None = None,
) -> dg.MaterializeResult:
    """What Dagster shows of a table: size, time, hash, whether the old bytes held, and how many rows were worked on."""
    metadata: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "reused": reused,
        "sha256": made.sha256,
        **({} if recomputed is None else {"recomputed": recomputed}),
        **{key: value for key, value in made.metadata.items() if key != "recomputed"},
    }
    page: dict[str, Any] = {}
    if place is not None and "page" in metadata:  # a file in the asset's folder, to open in a browser
        page["page"] = dg.MetadataValue.path(place / metadata.pop("page"))
    if "rows" in metadata:
        metadata["dagster/row_count"] = metadata["rows"]
    return dg.MaterializeResult(
        asset_key=key_of(name),
        metadata={key: _shown(value) for key, value in within_budget(metadata).items()} | page,
        data_version=dg.DataVersion(made.sha256),
        check_results=checks,
    )


def within_budget(metadata: dict[str, Any], budget: int = BUDGET) -> dict[str, Any]:
    """The metadata, its longest texts and lists cut until all fit: an event log is no place for data."""
    kept = dict(metadata)
    while _bytes_of(kept) > budget:
        longest = max(kept, key=lambda name: _bytes_of(kept[name]))
        value = kept[longest]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        half = text.removesuffix(CUT)[: len(text.removesuffix(CUT)) // 2]
        if half:
            kept[longest] = half + CUT
        else:
            del kept[longest]
    return kept


def description_of(name: str, function: Callable[..., Any]) -> str:
    """What a row of the asset is, then what its function says of itself."""
    told = inspect.getdoc(function) or ""
    return f"{TABLES[name].row}\n\n{told}".strip() if name in TABLES else told


def schema_of(name: str) -> dict[str, Any]:
    """The columns of a table, as Dagster's pages show them."""
    if name not in TABLES:
        return {}
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type),
            description=column.meaning,
            constraints=dg.TableColumnConstraints(nullable=column.name not in TABLES[name].key),
        )
        for column in TABLES[name].columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def _bytes_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=str).encode())


def _shown(value: Any) -> Any:
    if isinstance(value, str) and "\n" in value:
        return dg.MetadataValue.md(value)
    return dg.MetadataValue.json(value) if isinstance(value, dict | list) else value
