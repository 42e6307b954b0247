"""Slices share the images out: every row in one, in about equal shares, whatever the order of rows."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.slices import slice_names, slice_of, wanted_in_slice
from pipeline.images.wanted import ImageSource, wanted_images


def records(count: int) -> pl.DataFrame:
    urls = [f"http://m/{n // 2}" for n in range(count)]
    return pl.DataFrame({"record_id": [f"/a/{n}" for n in range(count)], "image_url": urls, "thumbnail_url": urls})


def parts_of(rows: pl.DataFrame, count: int) -> list[pl.DataFrame]:
    return [wanted_in_slice(rows, "original", name)[1] for name in slice_names(count)]


@settings(max_examples=20)
@given(st.integers(1, 256))
def test_every_row_is_in_one_slice(count: int):
    rows = records(200)
    parts = parts_of(rows, count)
    assert pl.concat(parts).sort("record_id").equals(wanted_images(rows, "original"))
    for part, name in zip(parts, slice_names(count), strict=True):
        assert {slice_of(url, count) for url in part["url"]} <= {name}


def test_records_of_one_url_share_a_slice_and_shares_are_about_equal():
    sizes = parts_of(records(8_000), 4)
    assert all(1_800 < part.height < 2_200 for part in sizes)
    assert all((part.group_by("url").len()["len"] == 2).all() for part in sizes)


def test_a_slice_is_the_same_on_every_machine_and_names_its_cut():
    assert slice_of("http://m/1", 4) == slice_of("http://m/1", 4)
    assert slice_names(2) == ["000-of-002", "001-of-002"]
    assert {slice_of(f"http://m/{n}", 3) for n in range(50)} == set(slice_names(3))


def test_a_table_is_divided_once_for_all_slices(monkeypatch: pytest.MonkeyPatch):
    """With 64 slices, naming the URLs of 346,324 records once for each took minutes."""
    asked = []

    def counted(rows: pl.DataFrame, source: ImageSource) -> pl.DataFrame:
        asked.append(source)
        return wanted_images(rows, source)

    monkeypatch.setattr("pipeline.images.slices.wanted_images", counted)
    rows = records(50)
    parts_of(rows, 64)
    assert asked == ["original"]
    assert wanted_in_slice(rows, "thumbnail", "000-of-001")[1].height == 50
    parts_of(rows.head(10), 2)  # another table
    assert asked == ["original", "thumbnail", "original"]
