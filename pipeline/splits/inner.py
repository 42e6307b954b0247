"""The inner test and validation: sampled from what the outer test leaves, in whole groups, within all bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline import DATASET_SPLITS
from pipeline.settings import SplitSettings
from pipeline.splits.group_sampling import Bounds, TagMatrix, reachable, sample_groups
from pipeline.splits.order import seeded_order
from pipeline.splits.placement import place_images
from pipeline.splits.tag_bounds import EARLIER_SPLITS, bounds_of_tag, exact
from pipeline.tables import SPLIT_TABLE, SPLIT_TAGS

REASONS = {
    "inner_test": "drawn for the inner test",
    "validation": "drawn for validation",
    "train": "not drawn for a test",
}


@dataclass(frozen=True)
class Splits:
    """The tables SPLIT_TABLE and SPLIT_TAGS, and `moved`: older images whose split has changed.

    `moved` has record_id, view, before, after, reason; it is empty unless outer providers or groups have changed.
    """

    splits: pl.DataFrame
    split_tags: pl.DataFrame
    moved: pl.DataFrame


def make_splits(
    images: pl.DataFrame,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    provider_distances: pl.DataFrame,
    settings: SplitSettings,
    previous: pl.DataFrame | None = None,
) -> Splits:
    """The split of every image whose record has tags, and the counts and bounds of every tag (protocol, section 4).

    Groups stay whole. Images of `previous` (an earlier SPLIT_TABLE) keep their split. The result depends on the
    content of the tables and on the seed, not on the order of rows. Raises SplitError if a table has a gap.
    """
    outer = provider_distances.filter(pl.col("chosen").is_not_null())["data_provider"].unique().sort().to_list()
    placed = place_images(images, groups, records, record_tags, outer, previous)
    tag_table = tags.select("tag_id", "facet").sort("tag_id")
    inner = placed.filter(pl.col("split").is_null() | pl.col("split").is_in(list(REASONS)))
    units = group_units(inner, settings.seed)
    pairs = numbered_tags(placed, record_tags, tag_table["tag_id"])
    matrix = tag_matrix(inner.join(record_numbers(placed), on="record_id"), units, pairs, tag_table.height)
    sizes = wanted_sizes(placed, settings)
    sampled = sample_inner(matrix, units["split"].to_list(), tag_table["facet"].to_list(), sizes, settings)
    decided = units.select("group_id", sampled=pl.Series(sampled.splits, dtype=pl.String))
    splits = _split_table(placed.join(decided, on="group_id", how="left", maintain_order="left"))
    split_tags = _tag_counts(splits, pairs, tag_table).with_columns(
        n_left=pl.Series(sampled.n_left), minimum=pl.Series(sampled.lower), maximum=pl.Series(sampled.upper)
    )
    problems = [_problem(number, row, sampled) for number, row in enumerate(split_tags.iter_rows(named=True))]
    split_tags = split_tags.with_columns(problem=pl.Series(problems, dtype=pl.String))
    return Splits(splits.select(SPLIT_TABLE.schema.names), split_tags.select(SPLIT_TAGS.schema.names), _moved(splits))


def wanted_sizes(placed: pl.DataFrame, settings: SplitSettings) -> dict[str, int]:
    """The target sizes of inner test and validation, in images: shares of all images that are not left out."""
    n_images = placed.height - placed.filter(split="left_out").height
    n_outer = placed.filter(split="outer_test").height
    test = 0 if settings.size == "minimal" else max(_part(settings.test_share, n_images) - n_outer, 0)
    return {"inner_test": test, "validation": _part(settings.validation_share, n_images)}


def _part(share: float, n: int) -> int:
    """`share` of n, rounded down."""
    return int(exact(share) * n)


def group_units(inner: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One row per group in seeded order: group_id, split (null if it is to be sampled), n images."""
    units = inner.group_by("group_id").agg(pl.col("split").first(), n=pl.len().cast(pl.Int64)).sort("group_id")
    order = pl.Series("order", seeded_order(seed, units["group_id"]))
    return units.with_columns(order).sort("order", "group_id").drop("order")


def numbered_tags(placed: pl.DataFrame, record_tags: pl.DataFrame, tag_ids: pl.Series) -> pl.DataFrame:
    """The tags of the placed images' records as numbers: record (index among the sorted ids) and tag."""
    tag_numbers = pl.DataFrame({"tag_id": tag_ids}).select("tag_id", tag=pl.int_range(pl.len(), dtype=pl.Int32))
    tags_of_records = record_tags.select("record_id", "tag_id").join(tag_numbers, on="tag_id").drop("tag_id")
    return tags_of_records.join(record_numbers(placed), on="record_id").select("record", "tag")


def record_numbers(placed: pl.DataFrame) -> pl.DataFrame:
    """The records of the placed images, numbered from 0 by id: record_id, record."""
    return placed.select(pl.col("record_id").unique().sort()).with_columns(
        record=pl.int_range(pl.len(), dtype=pl.Int32)
    )


def tag_matrix(inner: pl.DataFrame, units: pl.DataFrame, pairs: pl.DataFrame, n_tags: int) -> TagMatrix:
    """Images per group (numbered as in `units`) and tag; `inner` has record and group_id of every image to count."""
    group_numbers = units.select("group_id", group=pl.int_range(pl.len(), dtype=pl.Int64))
    images = inner.join(group_numbers, on="group_id").group_by("record", "group").agg(n=pl.len().cast(pl.Int32))
    entries = (
        pairs.join(images, on="record")
        .group_by(pl.col("group") * n_tags + pl.col("tag"))
        .agg(pl.col("n").sum())
        .sort("group")
    )
    cells = entries["group"].to_numpy()
    starts = np.searchsorted(cells, np.arange(units.height + 1, dtype=np.int64) * n_tags)
    counts = entries["n"].cast(pl.Int32).to_numpy().copy()
    return TagMatrix(starts.astype(np.int64), (cells % n_tags).astype(np.int32), counts, units["n"].to_numpy(), n_tags)


@dataclass(frozen=True)
class Sampled:
    """The split of every group, and per tag the images outside the outer test and the bounds.

    `test_reachable` and `validation_reachable` have the tags below their minimum: how many images they could have.
    """

    splits: list[str]
    n_left: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    validation_lower: np.ndarray
    test_reachable: dict[int, int]
    validation_reachable: dict[int, int]


def sample_inner(
    matrix: TagMatrix,
    earlier: Sequence[str | None],
    facets: Sequence[str],
    sizes: dict[str, int],
    settings: SplitSettings,
) -> Sampled:
    """Samples the inner test, then validation from what it leaves; groups with an earlier split keep it.

    `earlier` is the split of every group or None, `facets` the facet of every tag. Validation has the same minimums
    and leaves training its share of every tag (1 - 2 · max_tag_share).
    """
    n_left = matrix.images_per_tag()
    bounds_of_tags = [bounds_of_tag(facet, n, settings) for facet, n in zip(facets, n_left.tolist(), strict=True)]
    lower = np.array([minimum for minimum, _ in bounds_of_tags], dtype=np.int64)
    upper = np.array([maximum for _, maximum in bounds_of_tags], dtype=np.int64)
    held = np.array([split or "" for split in earlier], dtype=object)

    def sampled(
        split: str, lower: np.ndarray, upper: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
        """A mask of the groups of a split, its images per tag, and what each tag below its minimum could reach."""
        kept, bounds = held == split, Bounds(lower, upper, sizes[split])
        mask = sample_groups(matrix, bounds, settings.objective, kept=kept, free=free)
        counts = matrix.images_per_tag(mask)
        return (
            mask,
            counts,
            {int(tag): reachable(matrix, upper, int(tag), kept, free) for tag in np.flatnonzero(counts < lower)},
        )

    free = held == ""
    test, in_test, test_reachable = sampled("inner_test", lower, upper, free)
    most = exact(settings.max_tag_share)
    for_training = -(-n_left * (most.denominator - 2 * most.numerator) // most.denominator)
    validation_upper = np.clip(np.minimum(upper, n_left - in_test - for_training), 0, None)
    validation_lower = np.minimum(lower, validation_upper)
    validation, _, validation_reachable = sampled("validation", validation_lower, validation_upper, free & ~test)
    splits = np.where(test, "inner_test", np.where(validation, "validation", "train")).tolist()
    return Sampled(splits, n_left, lower, upper, validation_lower, test_reachable, validation_reachable)


def _split_table(placed: pl.DataFrame) -> pl.DataFrame:
    """The rows of SPLIT_TABLE, from the splits that were decided (`split`) and sampled (`sampled`)."""
    reasons = pl.col("sampled").replace_strict(REASONS, default=None, return_dtype=pl.String)
    return (
        placed.with_columns(split=pl.coalesce("split", "sampled"), reason=pl.coalesce("reason", reasons))
        .with_columns(suite=pl.when(pl.col("split") == "outer_test").then("data_provider").otherwise("split"))
        .sort("record_id", "view")
    )


def _tag_counts(splits: pl.DataFrame, pairs: pl.DataFrame, tag_table: pl.DataFrame) -> pl.DataFrame:
    """Images per tag and split; a tag is `scored` if training has any."""
    per_record = splits.join(record_numbers(splits), on="record_id").group_by("record", "split").len()
    n_records, record, tag = splits["record_id"].n_unique(), pairs["record"].to_numpy(), pairs["tag"].to_numpy()
    table = tag_table
    for split in DATASET_SPLITS:
        of_split = per_record.filter(pl.col("split") == split)
        images = np.zeros(n_records, dtype=np.int64)
        images[of_split["record"].to_numpy()] = of_split["len"].to_numpy()
        counts = np.bincount(tag, weights=images[record], minlength=tag_table.height)
        table = table.with_columns(pl.Series(split, counts.astype(np.int64)))
    return table.with_columns(scored=pl.col("train") > 0)


def _problem(tag: int, row: dict[str, int], sampled: Sampled) -> str | None:
    """Why the bounds of a tag do not hold, or None."""
    if row["n_left"] == 0:
        return "all its images are in the outer test" if row["outer_test"] else "none of its images is in a split"
    if row["inner_test"] < row["minimum"]:
        return _unmet("inner test", row["inner_test"], row["minimum"], sampled.test_reachable[tag])
    if row["inner_test"] > row["maximum"]:
        return f"{EARLIER_SPLITS} hold {row['inner_test']} inner test images, the maximum is {row['maximum']} now"
    least = int(sampled.validation_lower[tag])
    if row["validation"] < least:
        return _unmet("validation", row["validation"], least, sampled.validation_reachable[tag])
    if row["train"] == 0:
        return f"{EARLIER_SPLITS} leave it no image for training"
    return None


def _unmet(split: str, n_images: int, minimum: int, reachable_images: int) -> str:
    if reachable_images < minimum:
        return (
            f"{split} has {n_images} of {minimum} images: groups stay whole, and those that fit hold {reachable_images}"
        )
    return f"{split} has {n_images} of {minimum} images: the other tags of its images are at their maximum"


def _moved(splits: pl.DataFrame) -> pl.DataFrame:
    """Images whose split differs from the earlier one."""
    return (
        splits.filter(pl.col("before").is_not_null() & (pl.col("before") != pl.col("split")))
        .select("record_id", "view", "before", pl.col("split").alias("after"), "reason")
        .sort("record_id", "view")
    )
