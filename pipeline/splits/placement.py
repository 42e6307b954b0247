"""What is decided before sampling: images of the outer test, images that keep their split, and images left out."""

from collections.abc import Sequence

import polars as pl

from pipeline import DATASET_SPLITS


class SplitError(ValueError):
    """The tables have a gap, so no split can be made; the message names the image and what to do."""


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

    `split` is null for images still to be sampled: those of groups without older or outer images. `before` is the
    earlier split; a new image joins the split of its group's older images. A new image that connects older images of
    different splits is left out, and they keep their earlier group. Images that keep their split keep its reason, so
    that a refresh without changes gives the same bytes. Raises SplitError for an image without group or provider.
    """
    rows = _rows(images, groups, records, record_tags, previous)
    outer = pl.col("data_provider").is_in(list(outer_providers))
    was_outer = pl.col("before") == "outer_test"
    undecided = pl.col("before").is_null() | (pl.col("before") == "left_out") | (was_outer & ~outer)
    anchor = pl.when(undecided).then(None).when(outer).then(pl.lit("outer_test")).otherwise("before")
    rows = _with_group_facts(rows.with_columns(outer=outer, anchor=anchor)).with_columns(reason=_reason())
    reason = pl.col("reason")
    split = (
        pl.when(reason == OUTER)
        .then(pl.lit("outer_test"))
        .when(reason == KEPT)
        .then("anchor")
        .when(reason == JOINED)
        .then("last_anchor")
        .when(reason.is_not_null())
        .then(pl.lit("left_out"))
    )
    bridged = pl.col("anchor").is_not_null() & (pl.col("n_anchors") > 1) & ~pl.col("torn")
    return rows.select(
        "record_id",
        "view",
        "data_provider",
        pl.when(bridged).then("group_before").otherwise("group_id").alias("group_id"),
        "before",
        split.alias("split"),
        pl.when(reason == KEPT).then(pl.coalesce("reason_before", reason)).otherwise(reason).alias("reason"),
    )


def _reason() -> pl.Expr:
    """Why an image has its split or is left out; null if it is still to be sampled."""
    outer, beside_outer = pl.col("outer"), pl.col("last_anchor") == "outer_test"
    old, several = pl.col("anchor").is_not_null(), pl.col("n_anchors") > 1
    displaced = several & pl.col("torn") & (pl.col("anchor") != pl.col("last_anchor"))

    def either(condition: pl.Expr, one: str, other: str) -> pl.Expr:
        return pl.when(condition).then(pl.lit(one)).otherwise(pl.lit(other))

    return (
        pl.when(old & displaced)
        .then(pl.lit(TORN))
        .when(old)
        .then(either(outer, OUTER, KEPT))
        .when(several & ~pl.col("torn"))
        .then(pl.lit(BRIDGE))
        .when((pl.col("n_anchors") > 0) & outer)
        .then(either(beside_outer, OUTER, NEAR_INNER))
        .when(pl.col("n_anchors") > 0)
        .then(either(beside_outer, NEAR_OUTER, JOINED))
        .when(outer)
        .then(pl.lit(OUTER))
        .when("touches_outer")
        .then(pl.lit(NEAR_OUTER))
    )


def _rows(
    images: pl.DataFrame,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    previous: pl.DataFrame | None,
) -> pl.DataFrame:
    """Images of tagged records with provider, group, and split, group and reason of the earlier splits, by key."""
    key = ["record_id", "view"]
    before = {"split": "before", "group_id": "group_before", "reason": "reason_before"}
    empty = pl.DataFrame(schema={**images.select(key).schema, **dict.fromkeys(before, pl.String)})
    earlier = empty if previous is None else pl.concat([empty, previous], how="diagonal_relaxed")
    rows = (
        images.select(key)
        .join(record_tags.select("record_id").unique(), on="record_id", how="semi")
        .sort(key)
        .join(records.select("record_id", "data_provider"), on="record_id", how="left", maintain_order="left")
        .join(groups.select(*key, "group_id"), on=key, how="left", maintain_order="left")
        .join(earlier.select(*key, *before).rename(before), on=key, how="left", maintain_order="left")
    )
    for column, remedy in (("data_provider", "curate the records again"), ("group_id", "group the images again")):
        without = rows.filter(pl.col(column).is_null())
        if not without.is_empty():
            raise SplitError(f"Image {without['record_id'][0]} has no {column}; {remedy}.")
    return rows


def _with_group_facts(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds per group: n_anchors (splits of its older images), last_anchor (in order of splits), touches_outer, torn.

    `torn`: the older images cannot keep their splits, because no new image explains why they are one group now, or
    because they were one group before.
    """
    rows = rows.with_columns(anchor=pl.col("anchor").cast(pl.Enum(DATASET_SPLITS)))
    was_torn = (
        rows.filter(pl.col("anchor").is_not_null())
        .group_by("group_before")
        .agg(was_torn=pl.col("anchor").n_unique() > 1)
    )
    facts = (
        rows.join(was_torn, on="group_before", how="left")
        .group_by("group_id")
        .agg(
            n_anchors=pl.col("anchor").drop_nulls().n_unique(),
            last_anchor=pl.col("anchor").max(),
            touches_outer=pl.col("outer").any(),
            torn=pl.col("anchor").is_not_null().all() | pl.col("was_torn").fill_null(False).any(),
        )
        .with_columns(pl.col("last_anchor").cast(pl.String))
    )
    return rows.with_columns(pl.col("anchor").cast(pl.String)).join(
        facts, on="group_id", how="left", maintain_order="left"
    )
