"""What must hold for the splits: every function recounts it from the tables and returns a sentence per violation."""

from typing import Any

import polars as pl

from pipeline import DATASET_SPLITS, SPLITS
from pipeline.settings import CurationSettings, SplitSettings
from pipeline.splits.tag_bounds import EARLIER_SPLITS, bounds_of_tag

MAX_NAMED = 5  # records that a sentence names


def tags_with_too_few_images(
    tags: pl.DataFrame, record_tags: pl.DataFrame, images: pl.DataFrame, settings: CurationSettings
) -> list[str]:
    """Every released tag has at least `min_images_per_tag` usable images; exact duplicates count once."""
    counted = (
        record_tags.select("record_id", "tag_id")
        .join(images.select("record_id", "image_id"), on="record_id")
        .group_by("tag_id")
        .agg(images=pl.col("image_id").n_unique())
    )
    least = settings.min_images_per_tag
    few = tags.join(counted, on="tag_id", how="left").with_columns(pl.col("images").fill_null(0))
    few = few.filter(pl.col("images") < least).sort("tag_id")
    return [f"Tag {row['tag_id']} has {row['images']} usable images, fewer than {least}." for row in few.to_dicts()]


def groups_in_two_splits(splits: pl.DataFrame) -> list[str]:
    """No group of near-duplicates is in two splits."""
    return _in_two_splits(splits, "group_id", "Group")


def records_in_two_splits(splits: pl.DataFrame) -> list[str]:
    """No record is in two splits."""
    return _in_two_splits(splits, "record_id", "Record")


def images_in_two_splits(splits: pl.DataFrame, images: pl.DataFrame) -> list[str]:
    """No image, identified by the hash of its bytes, is in two splits."""
    hashes = images.select("record_id", "view", "image_id")
    return _in_two_splits(splits.join(hashes, on=["record_id", "view"]), "image_id", "Image")


def _in_two_splits(rows: pl.DataFrame, column: str, noun: str) -> list[str]:
    torn = (
        rows.filter(pl.col("split").is_in(list(DATASET_SPLITS)))  # images left out are in no file, so they cannot leak
        .group_by(column)
        .agg(pl.col("split").unique().sort())
        .filter(pl.col("split").list.len() > 1)
        .sort(column)
    )
    return [f"{noun} {row[column]} is in {' and '.join(row['split'])}." for row in torn.to_dicts()]


def images_not_placed(splits: pl.DataFrame, images: pl.DataFrame, record_tags: pl.DataFrame) -> list[str]:
    """Every image of a record with tags is in the table exactly once, and no other image is."""
    key = ["record_id", "view"]
    tagged = images.select(key).join(record_tags.select("record_id"), on="record_id", how="semi")
    missing = tagged.join(splits, on=key, how="anti")
    strange = splits.join(tagged, on=key, how="anti")
    repeated = splits.filter(pl.struct(key).is_duplicated())
    unknown = splits.filter(~pl.col("split").is_in(list(SPLITS)))
    return [
        *_about(missing, "has tags but no split"),
        *_about(strange, "is in the splits but has no tags or no usable image"),
        *_about(repeated, "is in the splits twice"),
        *_about(unknown, "is in a split that does not exist"),
    ]


def excluded_providers_in_splits(splits: pl.DataFrame, records: pl.DataFrame, settings: CurationSettings) -> list[str]:
    """No image of an excluded provider is in a split."""
    of_excluded = records.filter(pl.col("data_provider").is_in(list(settings.excluded_providers)))
    return _about(splits.join(of_excluded, on="record_id", how="semi"), "is of an excluded provider")


def withdrawn_records_in_splits(splits: pl.DataFrame, tombstones: pl.DataFrame) -> list[str]:
    """No withdrawn record is in a split."""
    return _about(splits.join(tombstones, on="record_id", how="semi"), "was withdrawn and is in the splits")


def outer_providers_elsewhere(
    splits: pl.DataFrame, records: pl.DataFrame, provider_distances: pl.DataFrame
) -> list[str]:
    """The outer test holds the images of the chosen providers and no others; no other split holds any of them."""
    chosen = provider_distances.filter(pl.col("chosen").is_not_null())["data_provider"].unique()
    rows = splits.join(records.select("record_id", "data_provider"), on="record_id", how="left")
    is_outer = pl.col("data_provider").is_in(chosen.implode()).fill_null(False)
    astray = rows.filter(is_outer & ~pl.col("split").is_in(["outer_test", "left_out"]))
    strangers = rows.filter(~is_outer & (pl.col("split") == "outer_test"))
    return [
        *_about(astray, "is of an outer provider but not in the outer test"),
        *_about(strangers, "is in the outer test but not of an outer provider"),
    ]


def tags_out_of_bounds(
    splits: pl.DataFrame, split_tags: pl.DataFrame, record_tags: pl.DataFrame, settings: SplitSettings
) -> list[str]:
    """Every tag is within its bounds or says why not, and its counts are those of the splits.

    More test images than the maximum are a violation whatever `problem` says, unless earlier splits hold them.
    """
    counted = _images_per_tag(splits, record_tags)
    sentences = []
    for row in split_tags.sort("tag_id").to_dicts():
        in_split = {split: counted.get((row["tag_id"], split), 0) for split in DATASET_SPLITS}
        wrong = _wrong_of_tag(row, in_split, settings)
        if wrong:
            sentences.append(f"Tag {row['tag_id']}{wrong}")
    return sentences


def _wrong_of_tag(row: dict[str, Any], in_split: dict[str, int], settings: SplitSettings) -> str | None:
    """What is wrong with a row of split_tags, given its images in every split as recounted; the end of a sentence."""
    n_train, n_test = in_split["train"], in_split["inner_test"]
    n_left = n_train + in_split["validation"] + n_test
    minimum, maximum = bounds_of_tag(row["facet"], n_left, settings)
    for column, value in {**in_split, "n_left": n_left, "minimum": minimum, "maximum": maximum}.items():
        if row[column] != value:
            return f": {column} is {row[column]} in split_tags, but {value} as counted."
    if row["scored"] != (n_train > 0):
        return f": scored is {row['scored']}, with {n_train} training images."
    if n_test > maximum and EARLIER_SPLITS not in (row["problem"] or ""):
        return f": {n_test} inner test images are more than {maximum}."
    if row["problem"] is None and n_test < minimum:
        return f": {n_test} inner test images are fewer than {minimum}."
    if row["problem"] is None and n_train == 0:
        return " has no training image, and no reason is given."
    return None


def _images_per_tag(splits: pl.DataFrame, record_tags: pl.DataFrame) -> dict[tuple[str, str], int]:
    pairs = (
        record_tags.select("record_id", "tag_id")
        .join(splits.select("record_id", "split"), on="record_id")
        .group_by("tag_id", "split")
        .len()
    )
    return {(tag, split): count for tag, split, count in pairs.iter_rows()}


def _about(rows: pl.DataFrame, what: str) -> list[str]:
    """One sentence about the records of these rows, naming the first ones."""
    if rows.is_empty():
        return []
    names = rows["record_id"].unique().sort().to_list()
    more = f" and {len(names) - MAX_NAMED} more records" if len(names) > MAX_NAMED else ""
    return [f"Record {', '.join(names[:MAX_NAMED])}{more} {what}."]


def broken(
    splits: pl.DataFrame,
    split_tags: pl.DataFrame,
    images: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    provider_distances: pl.DataFrame,
    tombstones: pl.DataFrame,
    curation: CurationSettings,
    settings: SplitSettings,
) -> list[str]:
    """The sentences of all functions of this module; empty if everything holds."""
    return [
        *tags_with_too_few_images(tags, record_tags, images, curation),
        *images_not_placed(splits, images, record_tags),
        *groups_in_two_splits(splits),
        *records_in_two_splits(splits),
        *images_in_two_splits(splits, images),
        *excluded_providers_in_splits(splits, records, curation),
        *withdrawn_records_in_splits(splits, tombstones),
        *outer_providers_elsewhere(splits, records, provider_distances),
        *tags_out_of_bounds(splits, split_tags, record_tags, settings),
    ]
