"""What Dagster shows of an asset: description, columns, and the metadata of a materialization, limited in size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.engine.project import Made
from pipeline.tables import TABLES

OWNERS = ["team:eufcc"]
BUDGET = 64 * 1024  # bytes of metadata in one materialization event
CUT = "… (cut: the rest is in the storage)"


def key_of(name: str) -> dg.AssetKey:
    """The asset key of that name: `models/softmax` is a key of two parts."""
    return dg.AssetKey(name.split("/"))


def asset_spec(name: str, stage: str, description: str, **more: Any) -> dg.AssetSpec:
    """The specification of an asset; the description begins with what a row of its table is."""
    return dg.AssetSpec(
        key_of(name),
        description=f"{TABLES[name].row}\n\n{description}".strip() if name in TABLES else description,
        group_name=stage,
        owners=OWNERS,
        tags={"stage": stage},
        metadata=schema_of(name),
        **more,
    )


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
    """The materialization of a table: size, time, hash, whether it was re-used, and how many rows were recomputed."""
    metadata: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "reused": reused,
        "sha256": made.sha256,
        **({} if recomputed is None else {"recomputed": recomputed}),
        **{key: value for key, value in made.metadata.items() if key != "recomputed"},
    }
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


def schema_of(name: str) -> dict[str, Any]:
    """The metadata with the columns of a table."""
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
