"""Every invariant speaks up when it is broken, and says of what."""

import polars as pl
import pytest

from pipeline.settings import CurationSettings, SplitSettings
from pipeline.splits import invariants
from pipeline.splits.inner import Splits, make_splits

SPLITS = pl.DataFrame(
    {
        "record_id": ["/1/a", "/1/b", "/1/c", "/1/d"],
        "view": pl.Series([0, 0, 0, 0], dtype=pl.Int16),
        "split": ["train", "inner_test", "left_out", "outer_test"],
        "group_id": ["a", "b", "a", "d"],
    }
)
IMAGES = SPLITS.select("record_id", "view", image_id=pl.Series(["one", "two", "two", "four"]))
RECORDS = SPLITS.select("record_id", data_provider=pl.Series(["m", "m", "m", "outer"]))


@pytest.fixture(scope="module")
def made(museum) -> Splits:
    """The splits of the museum."""
    return make_splits(*museum.all(), SplitSettings())


def moved(record: str, split: str) -> pl.DataFrame:
    """The splits with one record in another split."""
    return SPLITS.with_columns(split=pl.when(pl.col("record_id") == record).then(pl.lit(split)).otherwise("split"))


def test_a_group_in_two_splits_is_named_and_left_out_images_do_not_count():
    assert invariants.groups_in_two_splits(SPLITS) == []
    assert invariants.groups_in_two_splits(moved("/1/c", "validation")) == ["Group a is in train and validation."]


def test_an_image_in_two_splits_is_named():
    assert invariants.images_in_two_splits(SPLITS, IMAGES) == []
    assert invariants.images_in_two_splits(moved("/1/c", "train"), IMAGES) == ["Image two is in inner_test and train."]


def test_a_record_in_two_splits_is_named():
    twice = pl.concat([SPLITS, SPLITS.head(1).with_columns(view=pl.lit(1, dtype=pl.Int16), split=pl.lit("validation"))])
    assert invariants.records_in_two_splits(twice) == ["Record /1/a is in train and validation."]


def test_images_without_a_split_and_strangers_are_named():
    tags = pl.DataFrame({"record_id": ["/1/a", "/1/b", "/1/c"], "tag_id": ["t"] * 3})
    assert invariants.images_not_placed(SPLITS, IMAGES, tags) == [
        "Record /1/d is in the splits but has no tags or no usable image."
    ]
    assert invariants.images_not_placed(SPLITS.tail(2), IMAGES, tags.head(2)) == [
        "Record /1/a, /1/b has tags but no split.",
        "Record /1/c, /1/d is in the splits but has no tags or no usable image.",
    ]


def test_an_excluded_provider_and_a_withdrawn_record_are_named():
    curation = CurationSettings(excluded_providers=("outer",))
    assert invariants.excluded_providers_in_splits(SPLITS, RECORDS, curation) == [
        "Record /1/d is of an excluded provider."
    ]
    tombstones = pl.DataFrame({"record_id": ["/1/b", "/1/x"]})
    assert invariants.withdrawn_records_in_splits(SPLITS, tombstones) == [
        "Record /1/b was withdrawn and is in the splits."
    ]


def test_outer_providers_are_in_the_outer_test_alone():
    distances = pl.DataFrame({"data_provider": ["m", "outer"], "chosen": pl.Series([None, 1], dtype=pl.Int16)})
    assert invariants.outer_providers_elsewhere(SPLITS, RECORDS, distances) == []
    assert invariants.outer_providers_elsewhere(moved("/1/d", "train"), RECORDS, distances) == [
        "Record /1/d is of an outer provider but not in the outer test."
    ]
    assert invariants.outer_providers_elsewhere(moved("/1/a", "outer_test"), RECORDS, distances) == [
        "Record /1/a is in the outer test but not of an outer provider."
    ]


def test_duplicates_do_not_make_ten_images():
    tags = pl.DataFrame({"tag_id": ["t"]})
    pairs = SPLITS.select("record_id", tag_id=pl.lit("t"))
    curation = CurationSettings(min_images_per_tag=4)
    assert invariants.tags_with_too_few_images(tags, pairs, IMAGES, curation) == [
        "Tag t has 3 usable images, fewer than 4."
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"inner_test": 999}, "Tag t00: inner_test is 999 in split_tags"),
        ({"minimum": 0}, "Tag t00: minimum is 0 in split_tags"),
        ({"scored": False}, "Tag t00: scored is False, with"),
    ],
)
def test_counts_and_bounds_are_recounted(museum, made, change, sentence):
    first = pl.col("tag_id") == "t00"
    edited = made.split_tags.with_columns(
        pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column) for column, value in change.items()
    )
    found = invariants.tags_out_of_bounds(made.splits, edited, museum.record_tags, SplitSettings())
    assert len(found) == 1
    assert found[0].startswith(sentence)


def test_too_many_test_images_are_told_whatever_the_table_says(museum, made):
    stricter = SplitSettings(max_tag_share=0.01)
    found = invariants.tags_out_of_bounds(made.splits, made.split_tags, museum.record_tags, stricter)
    assert len(found) == made.split_tags.height
