"""The published tags and splits of the rows whose picture could be had."""

import polars as pl
import pytest

from pipeline.published.dataset import read_folder
from pipeline.published.format import COLUMNS
from pipeline.published.official import official_splits, usable_tags
from pipeline.published.tables import as_tables
from pipeline.settings import SplitSettings
from pipeline.splits.invariants import tags_out_of_bounds
from pipeline.tables import RECORD_TAGS, SPLIT_TABLE, SPLIT_TAGS, TAGS

ROWS = {
    "train": ["a,moble | taula", "b,moble | cadira", "gone,moble | llit"],
    "val": ["c,moble"],
    "test_id": ["d,moble | taula", "e,moble | cadira"],
    "test_ood": ["f,moble"],
}


@pytest.fixture
def tables(tmp_path):
    for name, rows in ROWS.items():
        lines = [",".join(COLUMNS), *(f"{row},,,http://t/{row[0]},EUROPEANA,M,art" for row in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return as_tables(read_folder(tmp_path)[0])


@pytest.fixture
def images():
    ids = {"a": "same", "b": "same", "c": "3", "d": "4", "e": "5", "f": "6"}
    return pl.DataFrame(
        {"record_id": [*ids], "view": pl.Series([0] * len(ids), dtype=pl.Int16), "image_id": [*ids.values()]}
    )


def test_tags_count_the_pictures_that_could_be_had_and_the_same_bytes_once(tables, images):
    tags, record_tags = usable_tags(tables, images)
    assert dict(TAGS.frame(tags.to_dicts()).select("tag_id", "n_images").iter_rows()) == {
        "classifications: art": 5,
        "object_types: moble": 5,
        "object_types: moble | cadira": 2,
        "object_types: moble | taula": 2,
    }
    assert "gone" not in record_tags["record_id"]
    RECORD_TAGS.conform(record_tags)


def test_the_splits_are_the_published_ones_even_where_a_group_is_in_two(tables, images):
    tags, record_tags = usable_tags(tables, images)
    groups = images.select("record_id", "view", group_id=pl.lit("a#0"), reason=pl.lit("near_duplicate"))
    splits, split_tags = official_splits(tables.splits, groups, record_tags, tags, SplitSettings())
    SPLIT_TABLE.conform(splits)
    assert dict(splits.select("record_id", "split").iter_rows()) == {
        "a": "train",
        "b": "train",
        "c": "validation",
        "d": "inner_test",
        "e": "inner_test",
        "f": "outer_test",
    }
    assert splits["group_id"].unique().to_list() == ["a#0"]
    assert split_tags.filter(tag_id="object_types: moble").select("train", "inner_test", "scored").rows() == [
        (2, 2, True)
    ]
    SPLIT_TAGS.conform(split_tags)
    assert tags_out_of_bounds(splits, split_tags, record_tags, SplitSettings()) == []
