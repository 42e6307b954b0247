"""The published rows as the tables of this project: records, tags, record tags and the official splits."""

from dataclasses import dataclass

import polars as pl

from pipeline.published.format import BETWEEN_LEVELS, OUTSIDE, Published, published_tags, published_vocabulary
from pipeline.tables import RECORD_TAGS, RECORDS, SPLIT_TABLE, TAGS


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
    views = published.rows.with_columns(view=pl.int_range(pl.len()).over("record_id"))
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
    stated = published_tags(published).join(views.select("split", "row", "record_id"), on=["split", "row"])
    record_tags = (
        stated.group_by("record_id", "facet", "path")
        .agg(pl.col("stated").any())
        .select("record_id", "facet", "stated", tag_id=_tag_id())
    )
    return PublishedTables(
        RECORDS.frame(records.to_dicts()).sort("record_id"),
        TAGS.frame([_tag(row) for row in published_vocabulary(published).to_dicts()]).sort("tag_id"),
        RECORD_TAGS.frame(record_tags.to_dicts()).sort("record_id", "facet", "tag_id"),
        SPLIT_TABLE.frame(splits.to_dicts()).sort("record_id", "view"),
    )


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
