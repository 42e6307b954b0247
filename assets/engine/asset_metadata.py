"""What Dagster shows of an asset: description, columns, and the metadata of a materialization, limited in size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.engine.notes import Made
from pipeline.tables import TABLES, Table

BUDGET = 64 * 1024  # bytes of metadata in one materialization event
CUT = "… (cut: the rest is in the storage)"


def key_of(name: str) -> dg.AssetKey:
    """The asset key of that name: `models/softmax` is a key of two parts."""
    return dg.AssetKey(name.split("/"))


def asset_spec(name: str, stage: str, description: str, **more: Any) -> dg.AssetSpec:
    """The specification of an asset; the description begins with what a row of its table is."""
    table = TABLES.get(name)
    return dg.AssetSpec(
        key_of(name),
        description=f"{table.row}\n\n{description}".strip() if table else description,
        group_name=stage,
        owners=["team:eufcc"],
        tags={"stage": stage},
        metadata={"dagster/column_schema": _columns_of(table)} if table else {},
        **more,
    )


def result_of(
    name: str,
    made: Made,
    seconds: float,
    reused: bool,
    *,
    checks: Sequence[dg.AssetCheckResult] = (),
    place: Path | None = None,
) -> dg.MaterializeResult:
    """The materialization of a table: size, time, hash, whether it was re-used, and how many rows were recomputed."""
    metadata = {"seconds": round(seconds, 2), "reused": reused, "sha256": made.sha256, **made.metadata}
    page: dict[str, Any] = {}
    if place is not None and "page" in metadata:  # a file in the asset's folder
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
    """The metadata, with the longest values cut until everything fits into the budget."""
    kept = dict(metadata)
    while len(_as_json(kept).encode()) > budget:
        longest = max(kept, key=lambda name: len(_as_json(kept[name]).encode()))
        value = kept[longest]
        text = (value if isinstance(value, str) else _as_json(value)).removesuffix(CUT)
        if half := text[: len(text) // 2]:
            kept[longest] = half + CUT
        else:
            del kept[longest]
    return kept


def _columns_of(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(c.name, str(c.type), c.meaning, dg.TableColumnConstraints(nullable=c.name not in table.key))
            for c in table.columns
        ]
    )


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _shown(value: Any) -> Any:
    if isinstance(value, str) and "\n" in value:
        return dg.MetadataValue.md(value)
    return dg.MetadataValue.json(value) if isinstance(value, dict | list) else value
