"""Inner test and validation: what holds of any tables, and what a refresh leaves alone."""

import hashlib
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.settings import CurationSettings, SplitSettings
from pipeline.splits import invariants
from pipeline.splits.inner import make_splits
from pipeline.splits.placement import SplitError
from pipeline.tables import SPLIT_TABLE, SPLIT_TAGS, TOMBSTONES

from .conftest import Tables, random_rows, tables

SETTINGS = SplitSettings()
FACETS = {"vase": "object_types", "clay": "materials"}


def what_is_wrong(made, given: Tables, rules: SplitSettings = SETTINGS) -> list[str]:
    """Every invariant, recounted; tags of fewer images are the curation's business."""
    curation = CurationSettings(min_images_per_tag=1)
    used = given.tags.join(given.record_tags, on="tag_id", how="semi")
    named = (given.images, given.records, given.record_tags, used, given.provider_distances)
    return invariants.broken(made.splits, made.split_tags, *named, TOMBSTONES.empty(), curation, rules)


def split_of(made, record: str) -> str:
    return made.splits.filter(pl.col("record_id") == record)["split"].item()


def reason_of(made, record: str) -> str:
    return made.splits.filter(pl.col("record_id") == record)["reason"].item()


@pytest.mark.parametrize("objective", ["balanced", "proportional"])
@pytest.mark.parametrize("size", ["share", "minimal"])
def test_every_invariant_holds(museum, objective, size):
    rules = SplitSettings(objective=objective, size=size)
    made = make_splits(*museum.all(), rules)
    assert what_is_wrong(made, museum, rules) == []
    SPLIT_TABLE.conform(made.splits)
    SPLIT_TAGS.conform(made.split_tags)
    assert made.split_tags["problem"].null_count() == made.split_tags.height
    assert made.moved.is_empty()


def test_outer_and_inner_test_are_a_tenth_of_the_data_and_validation_another(museum):
    counts = dict(make_splits(*museum.all(), SETTINGS).splits.group_by("split").len().iter_rows())
    in_splits = 3_000 - counts.get("left_out", 0)
    assert counts["outer_test"] + counts["inner_test"] == in_splits // 10
    assert counts["validation"] == in_splits // 10


def test_the_splits_are_the_same_bytes_on_any_machine(museum, tmp_path):
    made = make_splits(*museum.all(), SETTINGS)
    text = made.splits.select("record_id", "split", "reason").write_csv()
    golden = "e6900f821cf06ccffd4352f2d190c30810437940f943c719c63e791f2066bf7d"
    assert hashlib.sha256(text.encode()).hexdigest() == golden
    again = make_splits(*museum.shuffled(5).all(), SETTINGS)
    first = SPLIT_TABLE.write(made.splits, tmp_path / "one.parquet")
    assert first == SPLIT_TABLE.write(again.splits, tmp_path / "two.parquet")


@settings(max_examples=25)
@given(n=st.integers(1, 250), seed=st.integers(0, 10_000), order=st.integers(0, 10_000))
def test_any_museum_has_splits_within_its_bounds_in_any_order_of_rows(n, seed, order):
    given_tables = tables(*random_rows(n, seed, providers=6), outer=["p01"])
    made = make_splits(*given_tables.all(), SETTINGS)
    assert what_is_wrong(made, given_tables) == []
    other = make_splits(*given_tables.shuffled(order).all(), SETTINGS)
    assert made.splits.equals(other.splits)
    assert made.split_tags.equals(other.split_tags)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_names_of_providers_decide_nothing(seed):
    rows, facets = random_rows(200, seed, providers=6)
    renamed = [(record, f"q{9 - int(name[1:])}", group, tags) for record, name, group, tags in rows]
    one = make_splits(*tables(rows, facets, outer=["p01"]).all(), SETTINGS).splits
    other = make_splits(*tables(renamed, facets, outer=["q8"]).all(), SETTINGS).splits
    assert one["split"].to_list() == other["split"].to_list()


@settings(max_examples=15)
@given(n=st.integers(60, 250), seed=st.integers(0, 10_000), known=st.integers(10, 200))
def test_a_refresh_leaves_every_old_record_where_it_was(n, seed, known):
    everything = tables(*random_rows(n, seed, providers=6), outer=["p01"])
    # groups of a random museum are neighbours in the list, so a cut at a multiple of 3 splits none of them
    early = everything.only(everything.images["record_id"].to_list()[: known - known % 3])
    before = make_splits(*early.all(), SETTINGS)
    after = make_splits(*everything.all(), SETTINGS, previous=before.splits)
    assert after.moved.is_empty()
    old = after.splits.join(before.splits.select("record_id"), on="record_id", how="semi")
    assert old["split"].to_list() == before.splits["split"].to_list()
    assert what_is_wrong(after, everything) == []


@settings(max_examples=15)
@given(n=st.integers(30, 250), seed=st.integers(0, 10_000))
def test_a_refresh_in_which_nothing_changed_changes_nothing(n, seed):
    everything = tables(*random_rows(n, seed, providers=6), outer=["p01"])
    before = make_splits(*everything.all(), SETTINGS)
    after = make_splits(*everything.all(), SETTINGS, previous=before.splits)
    assert after.splits.equals(before.splits)  # the reasons too: else all that is made from them would be made again
    assert after.split_tags.drop("problem").equals(before.split_tags.drop("problem"))  # of what is free now


def test_another_seed_draws_other_images(museum):
    one = make_splits(*museum.all(), SETTINGS).splits
    other = make_splits(*museum.all(), SplitSettings(seed=341)).splits
    assert (one["split"] != other["split"]).sum() > 50


def few(groups: dict[str, str] | None = None) -> Tables:
    """Ten records of one kind, and two of an outer provider; the given records' groups are named."""
    rows = [(f"/1/{n}", "museum", f"/1/{n}#0", ["vase", "clay"]) for n in range(10)]
    rows += [(f"/9/{n}", "outer", f"/9/{n}#0", ["vase", "clay"]) for n in range(2)]
    return tables(rows, FACETS, outer=["outer"]).with_groups(groups or {})


def test_ten_images_of_a_tag_give_three_to_each_test_and_four_to_training():
    made = make_splits(*few().all(), SplitSettings(test_share=0.0, validation_share=0.0))
    row = made.split_tags.row(0, named=True)
    assert [row[name] for name in ("n_left", "minimum", "maximum")] == [10, 3, 3]
    assert [row[name] for name in ("inner_test", "validation", "train", "outer_test")] == [3, 3, 4, 2]


def test_an_image_like_one_of_the_outer_test_is_left_out():
    made = make_splits(*few({"/1/4": "/9/1#0"}).all(), SETTINGS)
    assert split_of(made, "/1/4") == "left_out"
    assert reason_of(made, "/1/4") == "left out: grouped with an image of the outer test"
    assert split_of(made, "/9/1") == "outer_test"
    assert made.splits.filter(pl.col("record_id") == "/9/1")["suite"].item() == "outer"


def test_a_new_image_joins_the_split_of_its_groups_older_image():
    start = few()
    before = make_splits(*start.only([f"/1/{n}" for n in range(9)]).all(), SETTINGS)
    tested = before.splits.filter(pl.col("split") == "inner_test")["record_id"][0]
    after = make_splits(*few({"/1/9": f"{tested}#0"}).all(), SETTINGS, previous=before.splits)
    assert split_of(after, "/1/9") == "inner_test"
    assert reason_of(after, "/1/9") == "joins the older images of its group"


def test_a_new_image_that_bridges_two_splits_is_left_out_and_they_stay():
    start = few()
    before = make_splits(*start.only([f"/1/{n}" for n in range(9)]).all(), SETTINGS)
    tested = before.splits.filter(pl.col("split") == "inner_test")["record_id"][0]
    trained = before.splits.filter(pl.col("split") == "train")["record_id"][0]
    joined = few(dict.fromkeys((tested, trained, "/1/9"), "/1/0#0"))
    after = make_splits(*joined.all(), SETTINGS, previous=before.splits)
    assert (split_of(after, tested), split_of(after, trained)) == ("inner_test", "train")
    assert split_of(after, "/1/9") == "left_out"
    assert invariants.groups_in_two_splits(after.splits) == []
    again = make_splits(*joined.all(), SETTINGS, previous=after.splits)
    assert again.splits["split"].to_list() == after.splits["split"].to_list()


def test_old_images_found_alike_without_a_bridge_do_not_stay_in_two_splits():
    start = few()
    before = make_splits(*start.all(), SETTINGS)
    tested = before.splits.filter(pl.col("split") == "inner_test")["record_id"][0]
    trained = before.splits.filter(pl.col("split") == "train")["record_id"][0]
    joined = few(dict.fromkeys((tested, trained), "/1/0#0"))
    after = make_splits(*joined.all(), SETTINGS, previous=before.splits)
    assert (split_of(after, tested), split_of(after, trained)) == ("inner_test", "left_out")
    assert after.moved.select("record_id", "before", "after").rows() == [(trained, "train", "left_out")]


def test_a_new_outer_image_yields_to_the_older_image_it_resembles():
    start = few()
    before = make_splits(*start.only([f"/1/{n}" for n in range(10)]).all(), SETTINGS)
    trained = before.splits.filter(pl.col("split") == "train")["record_id"][0]
    after = make_splits(*few({"/9/0": f"{trained}#0"}).all(), SETTINGS, previous=before.splits)
    assert (split_of(after, trained), split_of(after, "/9/0"), split_of(after, "/9/1")) == (
        "train",
        "left_out",
        "outer_test",
    )


def test_a_provider_chosen_anew_moves_to_the_outer_test_and_the_move_is_told():
    start = few()
    everyone_inner = replace(
        start, provider_distances=start.provider_distances.with_columns(chosen=pl.lit(None, dtype=pl.Int16))
    )
    before = make_splits(*everyone_inner.all(), SETTINGS)
    after = make_splits(*start.all(), SETTINGS, previous=before.splits)
    assert after.moved["record_id"].to_list() == ["/9/0", "/9/1"]
    assert after.moved["after"].unique().to_list() == ["outer_test"]


def test_a_tag_that_cannot_meet_its_minimum_says_why():
    made = make_splits(*few(dict.fromkeys((f"/1/{n}" for n in range(10)), "/1/0#0")).all(), SETTINGS)
    problems = made.split_tags["problem"].unique().to_list()
    assert problems == ["inner test has 0 of 3 images: groups stay whole, and those that fit hold 0"]
    assert made.split_tags["scored"].to_list() == [True, True]


def test_a_tag_of_the_outer_test_alone_leaves_the_tag_list():
    rows = [("/9/0", "outer", "a", ["vase"]), ("/1/0", "museum", "b", ["clay"])]
    made = make_splits(*tables(rows, FACETS, outer=["outer"]).all(), SETTINGS)
    row = made.split_tags.filter(pl.col("tag_id") == "vase").row(0, named=True)
    assert (row["scored"], row["problem"]) == (False, "all its images are in the outer test")


def test_an_image_without_a_group_is_refused():
    start = few()
    with pytest.raises(SplitError, match=r"Image /1/3 has no group_id; group the images again\."):
        make_splits(*replace(start, groups=start.groups.filter(pl.col("record_id") != "/1/3")).all(), SETTINGS)
