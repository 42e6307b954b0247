"""The dataset folder that models read and releases pack: images with their tags, one folder per split."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import DATASET_SPLITS, FACETS
from pipeline.files import whole_folder, write_json
from pipeline.settings import ReleaseSettings
from pipeline.tables import IMAGE, REJECTED_TAGS, SPLIT_TABLE
from pipeline.vocabulary.thesaurus import labels_by_language

CHUNK = 2_000  # rows in memory at a time, in the order of the output


class DatasetError(ValueError):
    """The tables do not make a dataset, or a folder is none: the message names the item."""


def dataset_schema() -> pa.Schema:
    """The columns of `dataset/<split>/part-*.parquet`; tags are all closed tags, also those outside the tag list."""
    fields = [
        ("record_id", pa.string()),
        ("view", pa.int16()),
        ("image_id", pa.string()),
        ("image", IMAGE),
        ("data_provider", pa.string()),
        ("group_id", pa.string()),
    ]
    for facet in FACETS:
        fields += [(facet, pa.list_(pa.string())), (f"{facet}_stated", pa.list_(pa.string()))]
    return pa.schema(fields)


def write_dataset(
    images_folder: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    splits: pl.DataFrame,
    split_tags: pl.DataFrame,
    folder: Path,
    settings: ReleaseSettings | None = None,
    rejected_tags: pl.DataFrame | None = None,
) -> None:
    """Write `folder` atomically: `tag_list.json`, `splits.parquet`, and Parquet parts per split.

    With `rejected_tags` also a file of these: the verified negatives of training.

    Images are streamed in their order on disk, some thousand at a time, so that none is read twice and memory does not
    grow with the dataset. The same tables give the same bytes. Raises DatasetError where an image of the splits is
    missing or a record has no row.
    """
    settings = settings or ReleaseSettings()
    with whole_folder(folder) as new:
        split_hash = SPLIT_TABLE.write(splits, new / "splits.parquet")
        tag_list = build_tag_list(tags, split_tags, split_hash)
        write_json(tag_list, new / "tag_list.json", sort_keys=True)
        if rejected_tags is not None:
            REJECTED_TAGS.write(rejected_tags, new / "rejected_tags.parquet")
        rows = annotate_images(splits, records, record_tags)
        shards = sorted(images_folder.rglob("part-*.parquet"))
        places = find_images(rows, shards)
        order = np.lexsort((places[:, 1], places[:, 0]))  # as the images lie: every row group is read once
        rows, places = rows[order], places[order]
        metadata = {"split_hash": split_hash, "tag_list_hash": str(tag_list["tag_list_hash"])}
        schema = dataset_schema().with_metadata(metadata)
        with _SplitWriters(new, schema, settings) as writers:
            for start in range(0, rows.height, CHUNK):
                chunk = _with_images(rows[start : start + CHUNK], places[start : start + CHUNK], shards)
                writers.write(chunk)


def build_tag_list(tags: pl.DataFrame, split_tags: pl.DataFrame, split_hash: str) -> dict[str, Any]:
    """The tags that models score, by facet, in the order of every score vector; only tags with training images."""
    scored = split_tags.filter(pl.col("scored")).select("tag_id", n_train=pl.col("train"))
    listed = tags.join(scored, on="tag_id", how="inner").sort("tag_id")
    facets: dict[str, list[dict[str, Any]]] = {facet: [] for facet in FACETS}
    for row in listed.iter_rows(named=True):
        labels = labels_by_language(row["labels"])
        facets[row["facet"]].append(
            {
                "tag_id": row["tag_id"],
                "label": preferred_label(labels, row["tag_id"]),
                "labels": labels,
                "parent": row["parent"],
                "depth": row["depth"],
                "path": row["path"],
                "n_train": row["n_train"],
            }
        )
    return {"split_hash": split_hash, "tag_list_hash": hash_tag_list(facets), "facets": facets}


def hash_tag_list(facets: dict[str, list[dict[str, Any]]]) -> str:
    """sha256 of the canonical JSON of every facet's tag ids and parents; labels may change without a new hash."""
    keys = {facet: [[tag["tag_id"], tag["parent"]] for tag in tags] for facet, tags in facets.items()}
    return hashlib.sha256(json.dumps(keys, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def preferred_label(labels: dict[str, str], tag_id: str, language: str = "en") -> str:
    """The label to show: asked language, English, any other, else `aat:ID` (protocol, section 2)."""
    for wanted in (language, "en", *sorted(labels)):
        if wanted in labels:
            return labels[wanted]
    return f"aat:{tag_id}"


def annotate_images(splits: pl.DataFrame, records: pl.DataFrame, record_tags: pl.DataFrame) -> pl.DataFrame:
    """One row per image of the four splits, sorted by key, with provider, group and tag lists per facet."""
    images = splits.filter(pl.col("split").is_in(DATASET_SPLITS)).select("record_id", "view", "split", "group_id")
    providers = records.select("record_id", "data_provider")
    rows = images.join(providers, on="record_id", how="left", validate="m:1")
    lost = rows.filter(~pl.col("record_id").is_in(providers["record_id"].implode()))
    if not lost.is_empty():
        raise DatasetError(
            f"splits: record {lost['record_id'][0]} is in no row of records ({lost.height} such images)."
        )
    for facet in FACETS:
        of_facet = record_tags.filter(pl.col("facet") == facet).sort("record_id", "tag_id")
        lists = of_facet.group_by("record_id", maintain_order=True).agg(
            pl.col("tag_id").alias(facet), pl.col("tag_id").filter(pl.col("stated")).alias(f"{facet}_stated")
        )
        rows = rows.join(lists, on="record_id", how="left", validate="m:1")
    empty = pl.lit([], dtype=pl.List(pl.String))
    names = [name for facet in FACETS for name in (facet, f"{facet}_stated")]
    return rows.with_columns(pl.col(name).fill_null(empty) for name in names).sort("record_id", "view")


def find_images(rows: pl.DataFrame, shards: Sequence[Path]) -> np.ndarray:
    """Where each image lies: (shard, row in the shard) per row, shape (n, 2). Raises DatasetError for a missing one."""
    keys = [
        pl.from_arrow(pq.read_table(shard, columns=["record_id", "view"])).with_columns(  # type: ignore[union-attr]
            shard=pl.lit(number, dtype=pl.Int64), row=pl.int_range(pl.len(), dtype=pl.Int64)
        )
        for number, shard in enumerate(shards)
    ]
    if not keys:
        raise DatasetError("images: the folder holds no part-*.parquet; fetch the images first.")
    places = rows.select("record_id", "view").join(
        pl.concat(keys), on=["record_id", "view"], how="left", maintain_order="left", validate="1:1"
    )
    missing = places.filter(pl.col("row").is_null())
    if not missing.is_empty():
        raise DatasetError(
            f"images: {missing.height} images of the splits are in no shard, for example "
            f"{missing['record_id'][0]} view {missing['view'][0]}; make the splits again."
        )
    return places.select("shard", "row").to_numpy()


def _with_images(rows: pl.DataFrame, places: np.ndarray, shards: Sequence[Path]) -> pa.Table:
    """The rows with their image bytes; only the row groups that hold them are read."""
    parts, order = [], []
    for number in np.unique(places[:, 0]):
        at = np.flatnonzero(places[:, 0] == number)
        at = at[np.argsort(places[at, 1], kind="stable")]
        parts.append(_read_rows(shards[int(number)], places[at, 1]))
        order.append(at)
    back = np.argsort(np.concatenate(order))
    images = pa.concat_tables(parts).take(pa.array(back))
    table = rows.to_arrow()
    for name in ("image_id", "image"):
        table = table.append_column(name, images.column(name))
    return table


def _read_rows(shard: Path, wanted: np.ndarray) -> pa.Table:
    """The given rows (ascending) of a shard, reading one row group after the other."""
    parts, start = [], 0
    with pq.ParquetFile(shard) as file:
        for group in range(file.metadata.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            inside = wanted[(wanted >= start) & (wanted < end)] - start
            if len(inside):
                parts.append(file.read_row_group(group, columns=["image_id", "image"]).take(pa.array(inside)))
            start = end
    return pa.concat_tables(parts)


class _SplitWriters:
    """One open Parquet part per split, a new one every `rows_per_part` rows, in row groups of `rows_per_group`."""

    def __init__(self, folder: Path, schema: pa.Schema, settings: ReleaseSettings) -> None:
        self.folder, self.schema, self.settings = folder, schema, settings
        self.waiting = {split: schema.empty_table() for split in DATASET_SPLITS}
        self.writers: dict[str, pq.ParquetWriter] = {}
        self.written = dict.fromkeys(DATASET_SPLITS, 0)

    def __enter__(self) -> "_SplitWriters":
        for split in DATASET_SPLITS:
            (self.folder / split).mkdir()
            self._open(split)
        return self

    def write(self, chunk: pa.Table) -> None:
        """Append the rows to their splits; whole row groups are written, the rest waits."""
        names = chunk.column("split").to_pylist()
        for split in DATASET_SPLITS:
            rows = chunk.filter(pa.array([name == split for name in names]))
            rows = rows.select(self.schema.names).cast(self.schema)
            self.waiting[split] = pa.concat_tables([self.waiting[split], rows])
            while self.waiting[split].num_rows >= self.settings.rows_per_group:
                self._write_group(split)

    def __exit__(self, failed: object, *_: object) -> None:
        for split in DATASET_SPLITS:
            if failed is None and self.waiting[split].num_rows:
                self._write_group(split)
            self.writers[split].close()

    def _open(self, split: str) -> None:
        number = self.written[split] // self.settings.rows_per_part
        file = self.folder / split / f"part-{number:05d}.parquet"
        self.writers[split] = pq.ParquetWriter(file, self.schema, compression="zstd", store_schema=True)

    def _write_group(self, split: str) -> None:
        if self.written[split] and self.written[split] % self.settings.rows_per_part == 0:
            self.writers[split].close()
            self._open(split)
        room = self.settings.rows_per_part - self.written[split] % self.settings.rows_per_part
        group = self.waiting[split].slice(0, min(self.settings.rows_per_group, room))
        self.writers[split].write_table(group, row_group_size=self.settings.rows_per_group)
        self.written[split] += group.num_rows
        self.waiting[split] = self.waiting[split].slice(group.num_rows).combine_chunks()
