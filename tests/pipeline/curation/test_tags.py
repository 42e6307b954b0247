"""Closure and the fixed point, against slow references."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curation.tags import (
    ImagesOfRecords,
    TagTree,
    close_upwards,
    contains,
    distinct_rows,
    keep_frequent,
    pairs_of,
    records_per_tag,
    restate,
    rows_of,
    tag_tree,
    tags_of,
)
from pipeline.tables import CONCEPTS


def test_guide_terms_and_cut_concepts_are_skipped(tree):
    tags = tag_tree(tree, excluded=["300000030"])
    number = tags.number
    assert tags.ids == ("300000010", "300000012", "300000013", "300000014", "300000020", "300000040")
    assert tags.parent[number["300000010"]] == -1
    assert tags.parent[number["300000012"]] == number["300000010"]
    assert tags.upwards(number["300000013"]) == [number[each] for each in ("300000013", "300000012", "300000010")]


def test_tags_are_numbered_by_facet_first_as_the_table_is_sorted():
    rows = [("300000001", "subjects"), ("300000002", "materials"), ("300000003", "object_types")]
    concepts = CONCEPTS.frame(
        [{"concept_id": each, "kind": "concept", "facet": facet, "parents": []} for each, facet in rows]
    )
    assert tag_tree(concepts).ids == ("300000002", "300000003", "300000001")


def test_what_is_no_tag_stands_for_the_next_tag_above_unless_excluded(tree):
    tags = tag_tree(tree, excluded=["300000030"])
    stands_for = {each: tags.ids[number] for each, number in tags.stands_for.items()}
    assert stands_for["300000011"] == "300000010"  # guide term
    assert stands_for["300000041"] == "300000040"  # unlisted subject below a listed one
    assert "300000042" not in stands_for
    assert "300000030" not in stands_for
    assert "300000001" not in stands_for
    excluded_below = tag_tree(tree, excluded=["300000041"])
    assert "300000041" not in excluded_below.stands_for


@st.composite
def forests(draw):
    """A forest of up to twelve tags, parents before children."""
    n = draw(st.integers(1, 12))
    parent = [-1] + [draw(st.integers(-1, number - 1)) for number in range(1, n)]
    ids = tuple(f"3{number:08d}" for number in range(n))
    return TagTree(ids, ("materials",) * n, np.array(parent), dict(zip(ids, range(n), strict=True)))


@st.composite
def forests_with_pairs(draw):
    """A forest and stated pairs of up to eight records."""
    tree = draw(forests())
    pair = st.tuples(st.integers(0, 7), st.integers(0, len(tree.ids) - 1))
    return tree, draw(st.lists(pair, max_size=30))


def encoded(pairs):
    array = np.array(sorted(set(pairs)), np.int64).reshape(-1, 2)
    return pairs_of(array[:, 0], array[:, 1])


def decoded(pairs):
    return list(zip(rows_of(pairs).tolist(), tags_of(pairs).tolist(), strict=True))


def slow_closure(pairs, parent):
    closed = set()
    for row, tag in pairs:
        while tag >= 0:
            closed.add((row, tag))
            tag = int(parent[tag])
    return closed


@given(forests_with_pairs())
def test_closure_adds_every_tag_above_and_nothing_else(given_):
    tree, pairs = given_
    closed = close_upwards(encoded(pairs), tree)
    assert decoded(closed) == sorted(slow_closure(pairs, tree.parent))
    assert np.array_equal(close_upwards(closed, tree), closed)


def slow_fixed_point(closed, images, minimum):
    """Remove one rare tag after the other until none is left."""
    closed = set(closed)
    while True:
        counts = {}
        for row, tag in closed:
            counts.setdefault(tag, set()).update(images[row])
        rare = [tag for tag, seen in sorted(counts.items()) if 0 < len(seen) < minimum]
        if not rare:
            return closed
        closed = {pair for pair in closed if pair[1] != rare[0]}


@given(
    forests_with_pairs(),
    st.integers(1, 4),
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3), min_size=8, max_size=8),
)
def test_the_fixed_point_is_the_slow_ones_with_duplicates_counted_once(given_, minimum, images):
    tree, pairs = given_
    closed = encoded(slow_closure(pairs, tree.parent))
    distinct = [sorted(set(each)) for each in images]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in distinct])])
    of_records = ImagesOfRecords(offsets, np.array([image for each in distinct for image in each]))
    kept, rounds = keep_frequent(closed, lambda left: of_records.per_tag(left, len(tree.ids)), minimum)
    expected = slow_fixed_point(decoded(closed), distinct, minimum)
    assert decoded(kept) == sorted(expected)
    counts = of_records.per_tag(kept, len(tree.ids))
    assert all(count == 0 or count >= minimum for count in counts)
    assert all(row in {r for r, _ in expected} for row in rows_of(kept))
    # what is kept is still closed upwards: a tag above has no fewer images
    assert np.array_equal(close_upwards(kept, tree), kept)
    assert rounds[-1].removed_tags == {}
    assert (rounds[0].pairs_before, rounds[-1].pairs_after) == (len(closed), len(kept))
    assert rounds[-1].records_after == distinct_rows(kept)


@given(forests_with_pairs(), st.integers(1, 4))
def test_on_records_each_record_counts_once(given_, minimum):
    tree, pairs = given_
    closed = encoded(slow_closure(pairs, tree.parent))
    kept, _ = keep_frequent(closed, lambda left: records_per_tag(left, len(tree.ids)), minimum)
    assert decoded(kept) == sorted(slow_fixed_point(decoded(closed), [[row] for row in range(8)], minimum))


@given(forests_with_pairs(), st.data())
def test_a_removed_tag_is_restated_by_the_nearest_kept_one_above(given_, data):
    tree, pairs = given_
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(tree.ids), max_size=len(tree.ids))))
    expected = set()
    for row, tag in pairs:
        while tag >= 0 and not kept[tag]:
            tag = int(tree.parent[tag])
        if tag >= 0:
            expected.add((row, tag))
    assert decoded(restate(encoded(pairs), tree, kept)) == sorted(expected)


def test_membership_in_no_pairs_is_false():
    assert contains(encoded([]), encoded([(1, 2)])).tolist() == [False]
    assert contains(encoded([(0, 1), (1, 2)]), encoded([(1, 2), (1, 3)])).tolist() == [True, False]
