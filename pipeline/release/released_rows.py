"""The Parquet files of a release: images, tags with paths and labels, and what must be said of each record."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import DATASET_SPLITS, FACETS
from pipeline.release.folder import dataset_schema, preferred_label
from pipeline.settings import Settings
from pipeline.vocabulary.thesaurus import labels_by_language

ABOUT_RECORD = (
    ("data_provider", pa.string()),
    ("provider", pa.string()),
    ("country", pa.string()),
    ("title", pa.string()),
    ("rights_uri", pa.string()),
    ("attribution", pa.string()),
    ("europeana_url", pa.string()),
    ("landing_page", pa.string()),
    ("image_url", pa.string()),
    ("request", pa.string()),
    ("harvested_at", pa.timestamp("us", tz="UTC")),
    ("updated_at", pa.timestamp("us", tz="UTC")),
)
EUROPEANA_ITEM = "https://www.europeana.eu/item"
# Pages of 64 to 256 KB that end where their content says: a hub that stores pieces by their hash takes few anew.
CHUNKS = {"min_chunk_size": 64 * 1024, "max_chunk_size": 256 * 1024}
WRITTEN: dict[str, Any] = {"compression": "zstd", "write_page_index": True, "use_content_defined_chunking": CHUNKS}


def release_schema(settings: Settings) -> pa.Schema:
    """The columns of `data/<split>-*.parquet`.

    Beside `<facet>` stand its labels, and as classes those of its tags that are in the tag list; beside the stated
    tags stand their paths.
    """
    languages = pa.struct([(language, pa.string()) for language in sorted(settings.vocabulary.languages)])
    fields = [
        (f.name, f.type) for f in dataset_schema() if f.name in ("record_id", "view", "image_id", "image", "group_id")
    ]
    fields += list(ABOUT_RECORD)
    for facet in FACETS:
        fields += [
            (facet, pa.list_(pa.string())),
            (f"{facet}_classes", pa.list_(pa.int64())),
            (f"{facet}_stated", pa.list_(pa.string())),
            (f"{facet}_paths", pa.list_(pa.list_(pa.string()))),
            (f"{facet}_labels", pa.list_(languages)),
        ]
    return pa.schema(fields)


def write_data(
    dataset: Path, records: pl.DataFrame, tags: pl.DataFrame, tag_list: dict[str, Any], folder: Path, settings: Settings
) -> None:
    """`data/<split>-00000-of-00003.parquet`, in row groups that the hub's viewer shows well.

    Pages end where their content says (content-defined chunking): a hub that stores pieces by their hash takes only
    those around a changed or withdrawn row anew.
    """
    folder.mkdir()
    classes = class_names(tag_list)
    schema = release_schema(settings)
    metadata = {
        "split_hash": tag_list["split_hash"],
        "tag_list_hash": tag_list["tag_list_hash"],
        "huggingface": json.dumps({"info": {"features": hub_features(schema, classes)}}, sort_keys=True),
    }
    schema = schema.with_metadata(metadata)
    about = _about_records(records)
    vocabulary_of = _Vocabulary(tags, sorted(settings.vocabulary.languages), tag_list)
    for split in DATASET_SPLITS:
        parts = sorted((dataset / split).glob("part-*.parquet"))
        for number, part in enumerate(parts):
            file = folder / f"{split}-{number:05d}-of-{len(parts):05d}.parquet"
            with pq.ParquetWriter(file, schema, **WRITTEN) as writer, pq.ParquetFile(part) as source:
                for rows in _row_groups(source, settings.release.rows_per_hub_group):
                    writer.write_table(_described(rows, about, vocabulary_of, schema))


def _row_groups(source: pq.ParquetFile, rows: int) -> Iterator[pa.Table]:
    """The file's rows in order, so many at a time."""
    waiting = source.schema_arrow.empty_table()
    for group in range(source.num_row_groups):
        waiting = pa.concat_tables([waiting, source.read_row_group(group)])
        while waiting.num_rows >= rows:
            yield waiting.slice(0, rows).combine_chunks()
            waiting = waiting.slice(rows)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def _described(rows: pa.Table, about: pl.DataFrame, vocabulary_of: "_Vocabulary", schema: pa.Schema) -> pa.Table:
    """A row group with what is known of its records, and with paths and labels of its tags."""
    known = pl.DataFrame({"record_id": rows["record_id"].to_pylist()})
    known = known.join(about, on="record_id", how="left", maintain_order="left")
    columns = {name: rows[name] for name in rows.schema.names}
    columns |= {name: pa.array(known[name].to_list(), type_) for name, type_ in ABOUT_RECORD}
    for facet in FACETS:
        closed, stated = rows[facet].to_pylist(), rows[f"{facet}_stated"].to_pylist()
        columns[f"{facet}_classes"] = pa.array([vocabulary_of.classes(facet, ts) for ts in closed])
        columns[f"{facet}_paths"] = pa.array([[vocabulary_of.paths[t] for t in ts] for ts in stated])
        columns[f"{facet}_labels"] = pa.array([[vocabulary_of.labels[t] for t in ts] for ts in closed])
    arrays = [_cast(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _cast(column: Any, type_: pa.DataType) -> pa.Array:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return (
        pa.array(column.to_pylist(), type_)
        if pa.types.is_nested(type_) and column.type != type_
        else column.cast(type_)
    )


class _Vocabulary:
    """Paths and labels per language of every tag, and its number in the tag list."""

    def __init__(self, tags: pl.DataFrame, languages: Sequence[str], tag_list: dict[str, Any]) -> None:
        self.paths: dict[str, list[str]] = {}
        self.labels: dict[str, dict[str, str | None]] = {}
        for tag_id, path, texts in tags.select("tag_id", "path", "labels").iter_rows():
            known = labels_by_language(texts)
            self.paths[tag_id] = path
            self.labels[tag_id] = {language: known.get(language) for language in languages}
        self._number = {
            facet: {tag["tag_id"]: number for number, tag in enumerate(listed)}
            for facet, listed in tag_list["facets"].items()
        }

    def classes(self, facet: str, tag_ids: Sequence[str]) -> list[int]:
        """The numbers of those of the tags that the tag list has, in their order there."""
        numbers = self._number.get(facet, {})
        return sorted(numbers[tag_id] for tag_id in tag_ids if tag_id in numbers)


def class_names(tag_list: dict[str, Any]) -> dict[str, list[str]]:
    """The names of each facet's classes, in the tag list's order: labels, with the id where two tags share one."""
    names = {}
    for facet, listed in tag_list["facets"].items():
        often = Counter(tag["label"] for tag in listed)
        names[facet] = [f"{t['label']} ({t['tag_id']})" if often[t["label"]] > 1 else t["label"] for t in listed]
    return names


def _about_records(records: pl.DataFrame) -> pl.DataFrame:
    titles = [
        preferred_label(labels_by_language(texts), "") if texts else None for texts in records["titles"].to_list()
    ]
    # The published files have ids of their own; Europeana's stands beside them where it was found.
    item = pl.col("europeana_id" if "europeana_id" in records.columns else "record_id")
    return records.with_columns(
        title=pl.Series(titles, dtype=pl.String), europeana_url=pl.lit(EUROPEANA_ITEM) + item
    ).select("record_id", *(name for name, _ in ABOUT_RECORD))


def hub_features(schema: pa.Schema, classes: dict[str, list[str]]) -> dict[str, Any]:
    """The columns as the `datasets` library describes them: it decodes the images, and knows classes by name."""

    def feature(type_: pa.DataType) -> Any:
        if pa.types.is_struct(type_):
            names = [type_.field(i).name for i in range(type_.num_fields)]
            if names == ["bytes", "path"]:
                return {"_type": "Image"}
            return {type_.field(i).name: feature(type_.field(i).type) for i in range(type_.num_fields)}
        if pa.types.is_list(type_):
            return {"feature": feature(type_.value_type), "_type": "List"}
        return {"dtype": str(type_), "_type": "Value"}

    described = {field.name: feature(field.type) for field in schema}
    for facet, names in classes.items():
        if names:
            described[f"{facet}_classes"]["feature"] = {"names": names, "_type": "ClassLabel"}
    return described
