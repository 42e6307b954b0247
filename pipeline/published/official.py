"""The published tags and splits of those rows whose picture could be had."""

from typing import Any

import polars as pl

from pipeline import DATASET_SPLITS
from pipeline.published.tables import PublishedTables
from pipeline.settings import SplitSettings
from pipeline.splits.tag_bounds import EARLIER_SPLITS, bounds_of_tag
from pipeline.tables import SPLIT_TABLE, SPLIT_TAGS


def usable_tags(tables: PublishedTables, images: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables TAGS and RECORD_TAGS of the records with a usable picture.

    `images` has record_id and image_id. A tag counts its pictures, the same bytes once; one without any is left out.
    """
    record_tags = tables.record_tags.join(images.select("record_id").unique(), on="record_id", how="semi")
    counts = (
        record_tags.select("record_id", "tag_id")
        .join(images.select("record_id", "image_id"), on="record_id")
        .group_by("tag_id")
        .agg(n_images=pl.col("image_id").n_unique().cast(pl.Int64))
    )
    tags = tables.tags.drop("n_images").join(counts, on="tag_id", how="inner", maintain_order="left")
    return tags, record_tags.sort("record_id", "facet", "tag_id")


def official_splits(
    official: pl.DataFrame,
    groups: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    settings: SplitSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables SPLIT_TABLE and SPLIT_TAGS: every picture with tags in the split that the published files give it.

    `official` is the SPLIT_TABLE of the files, `groups` has the pictures that could be had. Nothing is moved or left
    out: a group of near-duplicates may be in two splits, as it is in the files.
    """
    key = ["record_id", "view"]
    tagged = groups.select(*key, "group_id").join(record_tags, on="record_id", how="semi")
    splits = official.drop("group_id").join(tagged, on=key, how="inner").select(SPLIT_TABLE.schema.names).sort(key)
    return splits, count_tags(splits, record_tags, tags, settings)


def count_tags(
    splits: pl.DataFrame, record_tags: pl.DataFrame, tags: pl.DataFrame, settings: SplitSettings
) -> pl.DataFrame:
    """The table SPLIT_TAGS of splits that were not made by our rules: the images of every tag, and what is amiss."""
    pairs = splits.select("record_id", "split").join(record_tags.select("record_id", "tag_id"), on="record_id")
    counted = tags.select("tag_id", "facet").sort("tag_id")
    for split in DATASET_SPLITS:
        of_split = pairs.filter(split=split).group_by("tag_id").agg(pl.len().cast(pl.Int64).alias(split))
        counted = counted.join(of_split, on="tag_id", how="left", maintain_order="left")
    counted = counted.with_columns(pl.col(DATASET_SPLITS).fill_null(0))
    return SPLIT_TAGS.frame([row | _bounds(row, settings) for row in counted.to_dicts()])


def _bounds(row: dict[str, Any], settings: SplitSettings) -> dict[str, object]:
    """The bounds that our own splits would have to keep, and which of them the published ones do not."""
    n_left = row["train"] + row["validation"] + row["inner_test"]
    minimum, maximum = bounds_of_tag(row["facet"], n_left, settings)
    outside = not minimum <= row["inner_test"] <= maximum or row["train"] == 0
    problem = f"{EARLIER_SPLITS}, which are the published ones, are kept" if outside else None
    bounds = {"n_left": n_left, "minimum": minimum, "maximum": maximum}
    return {**bounds, "scored": row["train"] > 0, "problem": problem}
