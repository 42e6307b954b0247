"""The `images` table in shards: Parquet files that a viewer can page through; equal content gives equal bytes."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from pipeline.files import remove_left_overs
from pipeline.images.ledger import Ledger
from pipeline.parquet import write_parquet
from pipeline.settings import ImageSettings
from pipeline.tables import IMAGES

Target = Path | UPath


def write_shards(usable: pl.DataFrame, ledger: Ledger, target: Target, settings: ImageSettings) -> int:
    """Writes one row per usable image to `part-00000.parquet` and so on; returns the number of shards.

    Rows are sorted by record and view and cut at `rows_per_shard` rows or `max_shard_mb`. Shards that exist with the
    same content are kept, shards no longer needed are removed. One shard at a time is in memory.
    """
    usable = usable.sort("record_id", "view")
    parts = _cut(usable, ledger.sizes(), settings)
    target.mkdir(parents=True, exist_ok=True)
    names = [f"part-{number:05d}.parquet" for number in range(len(parts))]
    if isinstance(target, Path):  # an object store has none: objects appear when their upload ends
        remove_left_overs(target)
    for name, rows in zip(names, parts, strict=True):
        content = _content(rows, ledger.recipe)
        if _stored_content(target / name) != content:
            _write(_table(rows, ledger, content), target / name, settings.rows_per_group)
    for name in sorted({file.name for file in target.glob("part-*.parquet")} - set(names)):
        (target / name).unlink()
    return len(parts)


def _cut(usable: pl.DataFrame, sizes: pl.DataFrame, settings: ImageSettings) -> list[pl.DataFrame]:
    """The rows of each shard; there is at least one shard, so that the table exists without images too."""
    rows = usable.join(sizes, left_on="image_id", right_on="content_sha256", how="left", maintain_order="left")
    starts, size, count = [0], 0, 0
    for row, bytes_of_row in enumerate(rows["size"].to_list()):
        if count == settings.rows_per_shard or size + bytes_of_row > settings.max_shard_mb * 1_000_000:
            starts.append(row)
            size = count = 0
        size += bytes_of_row
        count += 1
    ends = [*starts[1:], len(rows)]
    return [usable.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _content(rows: pl.DataFrame, recipe: str) -> str:
    """A hash of the content of a shard: image id and recipe determine a stored picture."""
    return hashlib.sha256(json.dumps([recipe, rows.rows()]).encode()).hexdigest()


def _stored_content(file: Target) -> str | None:
    if not file.exists():
        return None
    try:
        with file.open("rb") as source:
            metadata = pq.read_schema(source).metadata or {}
    except pa.ArrowInvalid:  # damaged: written again
        return None
    return metadata.get(b"content", b"").decode()


def _table(rows: pl.DataFrame, ledger: Ledger, content: str) -> pa.Table:
    image_ids = rows["image_id"].to_list()
    pictures = list(ledger.pictures(image_ids))
    images = [
        {"bytes": picture.jpeg, "path": f"{image_id}.jpg"}
        for image_id, picture in zip(image_ids, pictures, strict=True)
    ]
    table = pa.table(
        {
            **{name: rows[name].to_arrow() for name in ("record_id", "view", "source_url")},
            "image_id": image_ids,
            "image": images,
            "width": [picture.width for picture in pictures],
            "height": [picture.height for picture in pictures],
            "perceptual_hash": pa.array([picture.perceptual_hash for picture in pictures], pa.uint64()),
            "miniature": [picture.miniature for picture in pictures],
        }
    )
    return IMAGES.conform(table).replace_schema_metadata({"content": content})


def _write(table: pa.Table, file: Target, rows_per_group: int) -> None:
    """Writes a local file atomically, or one object of an object store."""
    if isinstance(file, UPath) and file.protocol not in ("", "file", "local"):
        with file.open("wb") as out:  # objects appear when their upload ends
            pq.write_table(table, out, compression="zstd", row_group_size=rows_per_group)
        return
    write_parquet(table, Path(str(file)), row_group_size=rows_per_group)
