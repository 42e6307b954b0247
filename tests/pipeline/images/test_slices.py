"""Slices share the images out: every row in one, in about equal shares, whatever the order of rows."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.slices import in_slice, slice_names, slice_of
from pipeline.images.wanted import WANTED


def wanted(count: int) -> pl.DataFrame:
    rows = [(f"/a/{n}", 0, f"http://m/{n // 2}", None) for n in range(count)]
    return pl.DataFrame(rows, schema=WANTED, orient="row")


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 256))
def test_every_row_is_in_one_slice(count: int):
    rows = wanted(200)
    parts = [in_slice(rows, name) for name in slice_names(count)]
    assert pl.concat(parts).sort("record_id").equals(rows.sort("record_id"))


def test_records_of_one_url_share_a_slice_and_shares_are_about_equal():
    sizes = [in_slice(wanted(8_000), name) for name in slice_names(4)]
    assert all(1_800 < part.height < 2_200 for part in sizes)
    assert all((part.group_by("url").len()["len"] == 2).all() for part in sizes)


def test_a_slice_is_the_same_on_every_machine_and_names_its_cut():
    assert slice_of("http://m/1", 4) == slice_of("http://m/1", 4)
    assert slice_names(2) == ["000-of-002", "001-of-002"]
    assert {slice_of(f"http://m/{n}", 3) for n in range(50)} == set(slice_names(3))
