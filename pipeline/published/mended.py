"""The published splits without leaks: groups that are in several of them go to one, and every size stays."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import polars as pl

from pipeline import DATASET_SPLITS, SPLITS
from pipeline.published.official import count_tags
from pipeline.settings import SplitSettings
from pipeline.splits.group_sampling import Bounds, TagMatrix, sample_groups
from pipeline.splits.inner import group_units, numbered_tags, record_numbers, tag_matrix
from pipeline.splits.placement import NEAR_OUTER
from pipeline.tables import SPLIT_SIZES, SPLIT_TABLE

INNER = ("inner_test", "validation")  # in the order in which they are filled; training has the rest
KEY = ["record_id", "view"]
PUBLISHED = "published"


@dataclass(frozen=True)
class Mended:
    """The tables SPLIT_TABLE and SPLIT_TAGS of the mended splits, and LEAKS."""

    splits: pl.DataFrame
    split_tags: pl.DataFrame
    leaks: pl.DataFrame


def mend_splits(
    splits: pl.DataFrame, groups: pl.DataFrame, record_tags: pl.DataFrame, tags: pl.DataFrame, settings: SplitSettings
) -> Mended:
    """The splits with no group in two of them; `splits` is the SPLIT_TABLE of the published ones.

    The outer test stays as it is, and other images of its groups are left out. A group that is in several of the other
    splits goes whole to the one that has most of it, the tests before training, and inner test and validation are
    filled up to their published sizes with images of the training. The result depends on the content of the tables
    and on the seed, not on the order of rows.
    """
    rows = _with_splits_of_groups(splits.sort(KEY))
    touches_outer = pl.col("splits_of_group").list.contains("outer_test")
    inner = rows.filter(~touches_outer)
    units = group_units(inner, settings.seed)
    of_inner = inner.join(record_numbers(inner), on="record_id")
    pairs = numbered_tags(inner, record_tags, tags.select("tag_id").sort("tag_id")["tag_id"])
    matrix = tag_matrix(of_inner, units, pairs, tags.height)
    published = np.column_stack([_images(of_inner, units, split) for split in (*INNER, "train")])
    sizes = {split: rows.filter(split=split).height for split in INNER}
    counts = {
        split: tag_matrix(of_inner.filter(split=split), units, pairs, tags.height).images_per_tag() for split in INNER
    }
    placed = units.select("group_id", placed=place_groups(matrix, published, counts, sizes, settings))
    mended = rows.join(placed, on="group_id", how="left", maintain_order="left").with_columns(
        after=pl.when(pl.col("split") == "outer_test")
        .then("split")
        .when(touches_outer)
        .then(pl.lit("left_out"))
        .otherwise("placed")
    )
    table = _split_table(mended)
    return Mended(table, count_tags(table, record_tags, tags, settings), _leaks(mended, groups))


def place_groups(
    matrix: TagMatrix,
    published: np.ndarray,
    counts: dict[str, np.ndarray],
    sizes: dict[str, int],
    settings: SplitSettings,
) -> pl.Series:
    """The split of every group of the matrix: inner_test, validation or train.

    No tag gets more test images than our own splits would give it, or than it has in the published one, unless the
    size cannot be reached otherwise. `published` has the images of every group by published split, shape (groups, 3),
    in this order; `counts` the images per tag, and `sizes` all images, of the published inner test and validation.
    """
    torn = (published > 0).sum(1) > 1
    free = torn | (published[:, -1] > 0)  # what may move: torn groups, and training
    mostly = published.argmax(1)
    n_left = matrix.images_per_tag()
    most = Fraction(str(settings.max_tag_share))
    placed = np.full(len(published), "train", dtype=object)
    for number, split in enumerate(INNER):
        mask = (published[:, number] > 0) & ~torn
        upper = np.maximum(n_left * most.numerator // most.denominator, counts[split])
        for choice, bound in ((torn & (mostly == number), upper), (free, upper), (free, n_left)):
            bounds = Bounds(np.zeros_like(bound), bound, sizes[split])
            mask = sample_groups(matrix, bounds, settings.objective, kept=mask, free=choice & free & ~mask)
        free &= ~mask
        placed[mask] = split
    return pl.Series(placed.tolist(), dtype=pl.String)


def _images(of_inner: pl.DataFrame, units: pl.DataFrame, split: str) -> np.ndarray:
    """The images of every group in a published split."""
    counted = of_inner.filter(split=split).group_by("group_id").agg(images=pl.len().cast(pl.Int64))
    joined = units.join(counted, on="group_id", how="left", maintain_order="left")
    return joined["images"].fill_null(0).to_numpy()


def _with_splits_of_groups(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `splits_of_group`, in the order of the splits."""
    order = pl.col("split").cast(pl.Enum(SPLITS))
    of_groups = rows.group_by("group_id").agg(splits_of_group=order.unique().sort().cast(pl.String))
    return rows.join(of_groups, on="group_id", how="left", maintain_order="left")


def _split_table(mended: pl.DataFrame) -> pl.DataFrame:
    torn = pl.col("splits_of_group").list.len() > 1
    reason = (
        pl.when(pl.col("after") == pl.col("split"))
        .then(pl.lit(PUBLISHED))
        .when(pl.col("after") == "left_out")
        .then(pl.lit(NEAR_OUTER))
        .when(torn)
        .then(pl.format("published in {}; its group is in {}", "split", pl.col("splits_of_group").list.join(" and ")))
        .otherwise(pl.format("published in {}; drawn to keep the size", "split"))
    )
    return mended.select(
        *KEY,
        split="after",
        suite=pl.when(pl.col("after") == "outer_test").then("suite").otherwise("after"),
        group_id="group_id",
        reason=reason,
    ).select(SPLIT_TABLE.schema.names)


def _leaks(mended: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """LEAKS: the images of the groups that are in several published splits."""
    torn = mended.filter(pl.col("splits_of_group").list.len() > 1)
    how = groups.select(*KEY, how="reason")
    return torn.join(how, on=KEY, how="left").select("group_id", *KEY, "split", mended="after", how="how")


def split_sizes(official: pl.DataFrame, splits: pl.DataFrame, mended: pl.DataFrame) -> pl.DataFrame:
    """SPLIT_SIZES: of every published split its rows, its pictures that could be had, and what the mending moved.

    `official` is the SPLIT_TABLE of the files, `splits` the part of it whose pictures could be had.
    """
    after = mended.select(*KEY, after="split")
    moved = splits.select(*KEY, "split").join(after, on=KEY).filter(pl.col("split") != pl.col("after"))
    counted = official.group_by("split").agg(rows=pl.len().cast(pl.Int64))
    for name, rows, column in (
        ("pictures", splits, "split"),
        ("mended", mended, "split"),
        ("moved_in", moved, "after"),
        ("moved_out", moved, "split"),
        ("left_out", moved.filter(after="left_out"), "split"),
    ):
        found = rows.group_by(pl.col(column).alias("split")).agg(pl.len().cast(pl.Int64).alias(name))
        counted = counted.join(found, on="split", how="left")
    ordered = counted.with_columns(order=pl.col("split").cast(pl.Enum(DATASET_SPLITS))).sort("order")
    return ordered.select(SPLIT_SIZES.schema.names).with_columns(pl.exclude("split").fill_null(0))
