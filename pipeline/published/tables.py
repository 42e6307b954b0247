"""The published rows as the tables of this project: records, tags, record tags and the official splits."""

from dataclasses import dataclass

import polars as pl

from pipeline.parquet import Table
from pipeline.published.format import BETWEEN_LEVELS, BETWEEN_TAGS, OUTSIDE, Published, published_tags, vocabulary_of
from pipeline.tables import PUBLISHED_ROWS, RECORD_TAGS, RECORDS, SPLIT_TABLE, TAGS


@dataclass(frozen=True)
class PublishedTables:
    """In the columns of the tables of these names; a tag's id is its facet and full path, as published."""

    records: pl.DataFrame
    tags: pl.DataFrame
    record_tags: pl.DataFrame
    splits: pl.DataFrame


def as_tables(published: Published) -> PublishedTables:
    """The same tables that our own pipeline makes, so that everything after reads the published data too.

    Terms that read alike under two parents are two tags. Rows of one record are its views, in the order of the files;
    what the published files do not tell (rights, concepts, dates) is null. `as_published` is the way back: it gives the
    rows by record id, and each stated tag once.
    """
    views = with_views(published)
    first = views.filter(view=0)
    records = first.select("record_id", "data_provider", thumbnail_url=pl.col("image_url"), provider=pl.col("database"))
    splits = views.select(
        "record_id",
        "view",
        "split",
        suite=pl.when(pl.col("split") == "outer_test").then("data_provider").otherwise("split"),
        group_id=pl.format("{}#0", "record_id"),
        reason=pl.lit("published"),
    )
    of_rows = published_tags(published)
    record_tags = (
        of_rows.join(views.select("split", "row", "record_id"), on=["split", "row"])
        .group_by("record_id", "facet", _tag_id().alias("tag_id"))
        .agg(pl.col("stated").any())
    )
    return PublishedTables(
        _in_columns_of(RECORDS, records).sort("record_id"),
        TAGS.frame([_tag(row) for row in vocabulary_of(of_rows).to_dicts()]).sort("tag_id"),
        _in_columns_of(RECORD_TAGS, record_tags).sort("record_id", "facet", "tag_id"),
        _in_columns_of(SPLIT_TABLE, splits).sort("record_id", "view"),
    )


def as_written(published: Published) -> pl.DataFrame:
    """The table PUBLISHED_ROWS: the order of rows and tags, repetitions, and the URL of every view."""
    texts = (
        published.stated.with_columns(text=pl.col("path").list.join(BETWEEN_LEVELS))
        .sort("split", "row", "facet", "position")
        .group_by("split", "row", "facet", maintain_order=True)
        .agg(pl.col("text").str.join(BETWEEN_TAGS))
    )
    cells = texts.group_by("split", "row", maintain_order=True).agg(cells=pl.struct("facet", "text"))
    rows = with_views(published).join(cells, on=["split", "row"], how="left", maintain_order="left")
    return rows.select(PUBLISHED_ROWS.schema.names).sort("record_id", "view")


def with_views(published: Published) -> pl.DataFrame:
    """The rows with their view: rows of one record are numbered from 0 in the order of the files."""
    return published.rows.with_columns(view=pl.int_range(pl.len(), dtype=pl.Int16).over("record_id"))


def _in_columns_of(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns of the table; those that they do not have are null."""
    columns = {name: pl.col(name) if name in rows.columns else pl.lit(None) for name in table.schema.names}
    types = table.empty().schema
    return rows.select(column.cast(types[name]).alias(name) for name, column in columns.items())


def _tag_id() -> pl.Expr:
    return pl.concat_str("facet", pl.col("path").list.join(BETWEEN_LEVELS), separator=": ")


def _tag(row: dict[str, object]) -> dict[str, object]:
    facet, levels = str(row["facet"]), [str(level) for level in list(row["path"])]  # type: ignore[call-overload]
    path = [f"{facet}: {BETWEEN_LEVELS.join(levels[: depth + 1])}" for depth in range(len(levels))]
    label = levels[-1]
    # A leading * marks an AAT term that has no Catalan label.
    text, language = (label.removeprefix(OUTSIDE), "en") if label.startswith(OUTSIDE) else (label, "ca")
    return {
        "tag_id": path[-1],
        "facet": facet,
        "parent": path[-2] if len(path) > 1 else None,
        "depth": len(path),
        "path": path,
        "labels": [{"language": language, "text": text}],
        "n_images": row["n_rows"],
    }
