"""Mended splits: sizes, groups and order of rows for any published splits, and against a plain reference."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import DATASET_SPLITS
from pipeline.published.mended import INNER, mend_splits, place_groups, split_sizes
from pipeline.settings import SplitSettings
from pipeline.splits import invariants
from pipeline.splits.fill_to_size import CANDIDATES, UNIT
from pipeline.splits.group_sampling import TagMatrix
from pipeline.splits.placement import NEAR_OUTER
from pipeline.tables import LEAKS, SPLIT_SIZES, SPLIT_TABLE, TABLES

SETTINGS = SplitSettings()
SHARES = {"train": 0.7, "validation": 0.1, "inner_test": 0.12, "outer_test": 0.08}
FACETS = ("object_types", "materials", "subjects")
TAG_IDS = [f"t{number:02d}" for number in range(40)]


def published(n: int, seed: int, copies: float = 0.15, outer: float = 1.0) -> tuple[pl.DataFrame, ...]:
    """Splits, groups, record tags and tags of `n` rows; a share of the rows are copies of others, wherever they are.

    `outer`: the share of the copies of outer images that stay copies.
    """
    rng = np.random.default_rng(seed)
    splits = rng.choice(list(SHARES), n, p=list(SHARES.values()))
    group = np.arange(n)
    for row in np.flatnonzero(rng.random(n) < copies):
        other = group[rng.integers(0, n)]
        if rng.random() < outer or "outer_test" not in {splits[row], *splits[group == other]}:
            group[row] = other
    key = {"record_id": [f"art_{row:05d}" for row in range(n)], "view": pl.Series([0] * n, dtype=pl.Int16)}
    group_id = [f"art_{number:05d}#0" for number in group]
    table = pl.DataFrame(
        {**key, "split": splits, "suite": splits, "group_id": group_id, "reason": ["published"] * n},
        schema=SPLIT_TABLE.empty().schema,
    )
    weights = np.arange(1, 41) ** -1.2
    pairs = [
        (record, FACETS[tag % 3], TAG_IDS[tag], True)
        for record in key["record_id"]
        for tag in rng.choice(40, rng.integers(1, 4), replace=False, p=weights / weights.sum())
    ]
    record_tags = pl.DataFrame(pairs, schema=["record_id", "facet", "tag_id", "stated"], orient="row")
    used = sorted(set(record_tags["tag_id"]))
    tags = pl.DataFrame({"tag_id": used, "facet": [FACETS[TAG_IDS.index(tag) % 3] for tag in used]})
    return table, pl.DataFrame({**key, "group_id": group_id, "reason": ["near_duplicate"] * n}), record_tags, tags


def sizes_of(splits: pl.DataFrame) -> dict[str, int]:
    return {split: splits.filter(split=split).height for split in DATASET_SPLITS}


@settings(max_examples=40)
@given(n=st.integers(1, 400), seed=st.integers(0, 10_000), copies=st.floats(0, 0.6), order=st.integers(0, 10_000))
def test_no_group_is_in_two_splits_and_what_need_not_move_stays(n, seed, copies, order):
    given_tables = published(n, seed, copies)
    mended = mend_splits(*given_tables, SETTINGS)
    splits, groups, record_tags, _ = given_tables
    assert invariants.groups_in_two_splits(mended.splits) == []
    images = groups.select("record_id", "view", image_id="group_id")
    assert invariants.images_not_placed(mended.splits, images, record_tags) == []
    before = splits.join(mended.splits, on="record_id", suffix="_after")
    assert before.filter(split="outer_test", split_after="outer_test").height == sizes_of(splits)["outer_test"]
    torn = before.filter(pl.col("split").n_unique().over("group_id") > 1)
    whole = before.join(torn, on="record_id", how="anti")
    moved = whole.filter(pl.col("split") != pl.col("split_after"))
    assert set(moved["split"]) <= {"train"}
    left_out = mended.splits.filter(split="left_out")
    assert set(left_out["reason"]) <= {NEAR_OUTER}
    outer_groups = splits.filter(split="outer_test").select("group_id")
    assert left_out.join(outer_groups, on="group_id", how="anti").is_empty()
    assert set(mended.leaks["record_id"]) == set(torn["record_id"])
    again = mend_splits(*(table.sample(fraction=1.0, shuffle=True, seed=order) for table in given_tables), SETTINGS)
    assert again.splits.equals(mended.splits)
    assert again.split_tags.equals(mended.split_tags)


@pytest.mark.parametrize("objective", ["balanced", "proportional"])
@pytest.mark.parametrize("seed", range(4))
def test_every_split_keeps_its_size(seed, objective):
    given_tables = published(4_000, seed, copies=0.2, outer=0.0)
    mended = mend_splits(*given_tables, SplitSettings(objective=objective))
    assert mended.leaks.height > 400
    before, after = sizes_of(given_tables[0]), sizes_of(mended.splits)
    for split, n in before.items():
        assert abs(after[split] - n) <= 0.01 * n, split


def test_what_is_left_out_for_the_outer_test_is_missing_from_training_alone():
    given_tables = published(4_000, seed=9, copies=0.05)
    mended = mend_splits(*given_tables, SETTINGS)
    before, after = sizes_of(given_tables[0]), sizes_of(mended.splits)
    left_out = mended.splits.filter(split="left_out").height
    assert left_out > 10
    assert {split: before[split] - after[split] for split in DATASET_SPLITS} == {
        "train": left_out, "validation": 0, "inner_test": 0, "outer_test": 0,
    }  # fmt: skip


def test_equal_splits_are_equal_bytes(tmp_path):
    given_tables = published(2_000, seed=3)
    written = []
    for number in (1, 2):
        shuffled = [table.sample(fraction=1.0, shuffle=True, seed=number) for table in given_tables]
        mended = mend_splits(*shuffled, SETTINGS)
        files = {
            "splits_mended": mended.splits,
            "split_tags_mended": mended.split_tags,
            "leaks": mended.leaks,
            "split_sizes": split_sizes(shuffled[0], shuffled[0], mended.splits),
        }
        written.append([TABLES[name].write(rows, tmp_path / f"{name}.parquet") for name, rows in files.items()])
    assert written[0] == written[1]


def test_splits_without_a_leak_stay_as_they_are():
    given_tables = published(500, seed=1, copies=0.0)
    mended = mend_splits(*given_tables, SETTINGS)
    assert mended.splits.equals(given_tables[0].sort("record_id"))
    assert mended.leaks.is_empty()
    LEAKS.conform(mended.leaks)


def few(rows: list[tuple[str, str]]) -> tuple[pl.DataFrame, ...]:
    """One image a row, of a split and a group, all with one tag."""
    n = len(rows)
    key = {"record_id": [f"r{row}" for row in range(n)], "view": pl.Series([0] * n, dtype=pl.Int16)}
    splits, groups = [row[0] for row in rows], [row[1] for row in rows]
    table = pl.DataFrame({**key, "split": splits, "suite": splits, "group_id": groups, "reason": ["published"] * n})
    tags = pl.DataFrame({"record_id": key["record_id"], "facet": "materials", "tag_id": "t", "stated": True})
    named = pl.DataFrame({**key, "group_id": groups, "reason": ["same_bytes"] * n})
    return table, named, tags, pl.DataFrame({"tag_id": ["t"], "facet": ["materials"]})


def test_a_group_goes_where_most_of_it_is_and_the_size_comes_from_training():
    alone = [("train", f"alone{number}") for number in range(9)]
    given_tables = few([*alone, ("train", "a"), ("train", "a"), ("inner_test", "a"), ("inner_test", "b")])
    mended = mend_splits(*given_tables, SETTINGS)
    of_group = dict(mended.splits.select("group_id", "split").iter_rows())
    assert of_group["b"] == "inner_test"
    assert sizes_of(mended.splits)["inner_test"] == 2
    drawn = mended.splits.filter(split="inner_test", reason="published in train; drawn to keep the size")
    assert drawn.height == 1
    assert mended.splits.filter(record_id="r11")["reason"].item() == (
        "published in inner_test; its group is in train and inner_test"
    )
    counted = SPLIT_SIZES.conform(split_sizes(given_tables[0], given_tables[0], mended.splits)).to_pylist()
    assert [row["split"] for row in counted] == ["inner_test", "train"]
    assert counted[0] | {"rows": 2, "pictures": 2, "mended": 2, "moved_in": 1, "moved_out": 1} == counted[0]


def test_pictures_that_could_not_be_had_are_counted_apart():
    splits, groups, tags, names = few([("train", "a"), ("train", "b"), ("inner_test", "c"), ("outer_test", "d")])
    had = splits.filter(pl.col("record_id") != "r2")
    mended = mend_splits(had, groups, tags, names, SETTINGS)
    counted = split_sizes(splits, had, mended.splits)
    assert counted.select("split", "rows", "pictures").rows() == [
        ("train", 2, 2), ("inner_test", 1, 0), ("outer_test", 1, 1),
    ]  # fmt: skip


def test_the_tags_are_counted_in_the_mended_splits():
    splits, groups, record_tags, tags = published(300, seed=2)
    mended = mend_splits(splits, groups, record_tags, tags, SETTINGS)
    assert invariants.tags_out_of_bounds(mended.splits, mended.split_tags, record_tags, SETTINGS) == []


@settings(max_examples=60)
@given(
    groups=st.lists(
        st.tuples(
            st.tuples(*[st.integers(0, 2)] * 3).filter(any),
            st.frozensets(st.integers(0, 4), min_size=1, max_size=3),
        ),
        min_size=1,
        max_size=14,
    ),
)
def test_groups_are_placed_as_a_plain_reference_places_them(groups):
    images = np.array([counts for counts, _ in groups])
    sizes = images.sum(1)
    starts = np.cumsum([0, *(len(tags) for _, tags in groups)])
    tags = np.array([tag for _, of_group in groups for tag in sorted(of_group)], dtype=np.int32)
    counts = np.repeat(sizes, np.diff(starts)).astype(np.int32)
    matrix = TagMatrix(starts.astype(np.int64), tags, counts, sizes, 5)
    in_split = {
        split: np.array([sum(c[at] for c, of_group in groups if tag in of_group) for tag in range(5)])
        for at, split in enumerate(INNER)
    }
    wanted = {split: int(images[:, at].sum()) for at, split in enumerate(INNER)}
    placed = place_groups(matrix, images, in_split, wanted, SETTINGS).to_list()
    assert placed == slowly_placed([(c, sorted(t)) for c, t in groups])


def slowly_placed(groups: list[tuple[tuple[int, int, int], list[int]]]) -> list[str]:
    """The rule in plain Python: whole groups stay, torn ones go where most of them is, then the size is filled."""
    placed: dict[int, str] = {}
    torn = {at for at, (counts, _) in enumerate(groups) if sum(n > 0 for n in counts) > 1}
    tags = range(5)
    all_images = {tag: sum(sum(c) for c, of_group in groups if tag in of_group) for tag in tags}
    for number, split in enumerate(INNER):
        wanted = sum(counts[number] for counts, _ in groups)
        mine = {at for at, (counts, _) in enumerate(groups) if counts[number] and at not in torn}
        free = {at for at, (c, _) in enumerate(groups) if (at in torn or c[2]) and at not in placed and at not in mine}
        mostly = {at for at in torn & free if groups[at][0].index(max(groups[at][0])) == number}
        published_images = {tag: sum(c[number] for c, of_group in groups if tag in of_group) for tag in tags}
        bound = {tag: max(all_images[tag] * 33 // 100, published_images[tag]) for tag in tags}
        for choice, most in ((mostly, bound), (free, bound), (free, all_images)):
            slowly_filled(mine, sorted(choice - mine), groups, most, wanted)
        placed |= dict.fromkeys(mine, split)
    return [placed.get(at, "train") for at in range(len(groups))]


def slowly_filled(mine, free, groups, most, wanted) -> None:
    """Add groups to `mine` up to the size: the rarest tag is next, with the group that helps the rare tags most."""
    assert len(groups) <= CANDIDATES
    rarest = sorted(range(5), key=lambda tag: sum(tag in of_group for _, of_group in groups))
    open_tags = set(rarest)
    while open_tags:
        counts = {tag: sum(sum(groups[at][0]) for at in mine if tag in groups[at][1]) for tag in range(5)}
        room = wanted - sum(sum(groups[at][0]) for at in mine)
        if room <= 0:
            return
        tag = min((tag for tag in rarest if tag in open_tags), key=lambda tag: counts[tag])
        worth = {other: UNIT // (1 + counts[other]) for other in range(5)}
        fitting = [
            at
            for at in free
            if at not in mine
            and tag in groups[at][1]
            and sum(groups[at][0]) <= room
            and all(counts[other] + sum(groups[at][0]) <= most[other] for other in groups[at][1])
        ]
        if counts[tag] >= most[tag] or not fitting:
            open_tags.discard(tag)
            continue
        mine.add(max(fitting, key=lambda at: sum(worth[other] for other in groups[at][1])))
