"""What is decided before anything is drawn: outer images, images that keep their split, and those left out."""

from collections.abc import Sequence

import polars as pl

from pipeline import DATASET_SPLITS


class SplitError(ValueError):
    """Tables from which no split can be made; the message names the image and what to do."""


OUTER = "its provider is an outer test"
KEPT = "kept from the earlier splits"
JOINED = "joins the older images of its group"
NEAR_OUTER = "left out: grouped with an image of the outer test"
NEAR_INNER = "left out: of an outer provider, but grouped with older images of another split"
BRIDGE = "left out: its group joins older images of different splits"
TORN = "left out: grouped with older images of another split"


def place_images(
    images: pl.DataFrame,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    outer_providers: Sequence[str],
    previous: pl.DataFrame | None,
) -> pl.DataFrame:
    """One row per image with tags: record_id, view, data_provider, group_id, before, split, reason.

    `split` is null for what is still to be drawn: whole groups without an older or outer image. `before` is the split
    it had, and a new image joins the split of its group's older ones. Where a new image bridges older ones of different
    splits, it is left out, and they keep their earlier group. An image that keeps its split keeps the reason for it, so
    that a refresh in which nothing changed gives the same bytes. Raises SplitError for an image without group or
    provider.
    """
    rows = _rows(images, groups, records, record_tags, previous)
    outer = pl.col("data_provider").is_in(list(outer_providers))
    was_outer = pl.col("before") == "outer_test"
    undecided = pl.col("before").is_null() | (pl.col("before") == "left_out") | (was_outer & ~outer)
    anchor = pl.when(undecided).then(None).when(outer).then(pl.lit("outer_test")).otherwise("before")
    rows = _with_group_facts(rows.with_columns(outer=outer, anchor=anchor))
    old, several = pl.col("anchor").is_not_null(), pl.col("n_anchors") > 1
    bridged, beside_old = several & ~pl.col("torn"), pl.col("n_anchors") > 0
    beside_outer = pl.col("last_anchor") == "outer_test"
    reason = (
        pl.when(old & several & pl.col("torn") & (pl.col("anchor") != pl.col("last_anchor")))
        .then(pl.lit(TORN))
        .when(old)
        .then(pl.when("outer").then(pl.lit(OUTER)).otherwise(pl.lit(KEPT)))
        .when(bridged)
        .then(pl.lit(BRIDGE))
        .when(beside_old & pl.col("outer"))
        .then(pl.when(beside_outer).then(pl.lit(OUTER)).otherwise(pl.lit(NEAR_INNER)))
        .when(beside_old)
        .then(pl.when(beside_outer).then(pl.lit(NEAR_OUTER)).otherwise(pl.lit(JOINED)))
        .when(pl.col("outer"))
        .then(pl.lit(OUTER))
        .when("touches_outer")
        .then(pl.lit(NEAR_OUTER))
    )
    split = (
        pl.when(pl.col("reason") == OUTER)
        .then(pl.lit("outer_test"))
        .when(pl.col("reason") == KEPT)
        .then("anchor")
        .when(pl.col("reason") == JOINED)
        .then("last_anchor")
        .when(pl.col("reason").is_not_null())
        .then(pl.lit("left_out"))
    )
    return (
        rows.with_columns(reason=reason)
        .with_columns(split=split, group_id=pl.when(bridged & old).then("group_before").otherwise("group_id"))
        .with_columns(
            reason=pl.when(pl.col("reason") == KEPT).then(pl.coalesce("reason_before", "reason")).otherwise("reason")
        )
        .select("record_id", "view", "data_provider", "group_id", "before", "split", "reason")
    )


def _rows(
    images: pl.DataFrame,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    previous: pl.DataFrame | None,
) -> pl.DataFrame:
    """Images of tagged records with provider, group, and what the earlier splits say of them, sorted by key."""
    key = ["record_id", "view"]
    earlier = (
        pl.DataFrame(schema={"record_id": pl.String, "view": images.schema["view"]}) if previous is None else previous
    )
    for column in ("split", "group_id", "reason"):
        if column not in earlier.columns:
            earlier = earlier.with_columns(pl.lit(None, dtype=pl.String).alias(column))
    rows = (
        images.select(key)
        .join(record_tags.select("record_id").unique(), on="record_id", how="semi")
        .sort(key)
        .join(records.select("record_id", "data_provider"), on="record_id", how="left", maintain_order="left")
        .join(groups.select(*key, "group_id"), on=key, how="left", maintain_order="left")
        .join(
            earlier.select(*key, before="split", group_before="group_id", reason_before="reason"),
            on=key,
            how="left",
            maintain_order="left",
        )
    )
    for column, remedy in (("data_provider", "curate the records again"), ("group_id", "group the images again")):
        without = rows.filter(pl.col(column).is_null())
        if not without.is_empty():
            raise SplitError(f"Image {without['record_id'][0]} has no {column}; {remedy}.")
    return rows


def _with_group_facts(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds, per group: how many splits its older images hold, the last by precedence, whether an image is outer.

    `torn`: the older images cannot keep their splits, because no new image explains why they are one group now, or
    because they were one group before.
    """
    ranks = {name: rank for rank, name in enumerate(DATASET_SPLITS)}
    names = dict(enumerate(DATASET_SPLITS))
    rows = rows.with_columns(rank=pl.col("anchor").replace_strict(ranks, default=None, return_dtype=pl.Int8))
    before = (
        rows.filter(pl.col("rank").is_not_null())
        .group_by("group_before")
        .agg(was_torn=pl.col("rank").min() != pl.col("rank").max())
    )
    facts = (
        rows.join(before, on="group_before", how="left")
        .group_by("group_id")
        .agg(
            n_anchors=pl.col("rank").drop_nulls().n_unique(),
            last_rank=pl.col("rank").max(),
            touches_outer=pl.col("outer").any(),
            torn=pl.col("rank").is_not_null().all() | pl.col("was_torn").fill_null(False).any(),
        )
        .with_columns(last_anchor=pl.col("last_rank").replace_strict(names, default=None, return_dtype=pl.String))
        .drop("last_rank")
    )
    return rows.join(facts, on="group_id", how="left", maintain_order="left")
