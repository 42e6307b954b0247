"""Suites of splits: what must hold for each, on random collections, beside slow and plain counterparts."""

from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.settings import SUITES, Suite, SuiteSettings
from pipeline.splits.order import seeded_order
from pipeline.splits.suites import MAKERS, Annotated, SuiteSplit, fold_of_images, keep_few, splits_of

SEED = SuiteSettings().seed
SMALL = {name: suite.model_copy(update={"min_images": 2}) for name, suite in SUITES.items()}
SMALL["few_labels"] = SMALL["few_labels"].model_copy(update={"images_a_tag": (0, 1, 3)})


@st.composite
def collections(draw: st.DrawFn) -> Annotated:
    """Up to 40 images in groups that may cross providers; six tags in two facets, one of them above another."""
    n = draw(st.integers(1, 40))
    groups = [f"g{draw(st.integers(0, n))}" for _ in range(n)]
    providers = [draw(st.sampled_from("ABC")) for _ in range(n)]
    tags = np.array([[draw(st.booleans()) for _ in range(6)] for _ in range(n)])
    tags[:, 0] |= tags[:, 1]
    facets = np.array(["materials"] * 4 + ["subjects"] * 2)
    names = np.array([f"30000000{number}" for number in range(6)])
    return Annotated(np.array(groups), np.array(providers), tags, names, facets, np.array([False] + [True] * 5))


def all_splits(images: Annotated) -> list[tuple[str, SuiteSplit]]:
    return [(name, split) for name, suite in SMALL.items() for split in splits_of(suite, images, SEED)]


@given(collections())
@settings(max_examples=60)
def test_no_group_is_on_both_sides_of_any_split(images):
    for name, split in all_splits(images):
        shared = set(images.groups[split.train]) & set(images.groups[split.test])
        assert not shared, (name, split.name)
        assert not set(split.train) & set(split.test)
        assert (np.diff(split.train) > 0).all()
        assert (np.diff(split.test) > 0).all()


@given(collections(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_the_images_does_not_matter(images, random):
    order = list(range(len(images.groups)))
    random.shuffle(order)
    shuffled = Annotated(
        images.groups[order], images.providers[order], images.tags[order], images.tag_ids, images.facets, images.leaves
    )
    for (_, one), (_, other) in zip(all_splits(images), all_splits(shuffled), strict=True):
        assert one.name == other.name
        assert set(one.test) == {order[at] for at in other.test}
        assert set(one.train) == {order[at] for at in other.train}
        assert np.array_equal(one.asked, other.asked)


@given(collections())
@settings(max_examples=40)
def test_leaving_a_provider_out_leaves_all_of_it_out(images):
    made = {split.name: split for split in splits_of(SMALL["leave_one_provider_out"], images, SEED)}
    sizes = Counter(images.providers)
    assert sorted(made) == sorted(name for name, count in sizes.items() if count >= 2)
    for name, split in made.items():
        own = [at for at, provider in enumerate(images.providers) if provider == name]
        touched = {images.groups[at] for at in own}
        others = [at for at in range(len(images.groups)) if at not in own and images.groups[at] not in touched]
        assert list(split.test) == own
        assert list(split.train) == others


@given(collections())
@settings(max_examples=40)
def test_every_image_is_tested_in_one_fold_and_folds_share_providers_evenly(images):
    made = splits_of(SMALL["inner_folds"], images, SEED)
    assert sorted(at for split in made for at in split.test) == list(range(len(images.groups)))
    assert all(len(split.train) + len(split.test) == len(images.groups) for split in made)
    first = {group: min(images.providers[images.groups == group]) for group in images.groups}
    for provider in set(first.values()):
        dealt = [len({g for g in images.groups[split.test] if first[g] == provider}) for split in made]
        assert max(dealt) - min(dealt) <= 1


def slow_keep_few(images: Annotated, train: np.ndarray, few: np.ndarray, most: int) -> list[int]:
    """Group by group with sets and dictionaries."""
    members = defaultdict(list)
    for at in train:
        members[images.groups[at]].append(int(at))
    rank = {
        g: int(o) for g, o in zip(members, seeded_order(SEED, pl.Series(list(members), dtype=pl.String)), strict=True)
    }
    kept, counts = [], Counter()
    for group in sorted(members, key=rank.get):
        tags = Counter(int(tag) for at in members[group] for tag in few if images.tags[at, tag])
        if all(counts[tag] + number <= most for tag, number in tags.items()):
            kept += members[group]
            counts += tags
    return sorted(kept)


@given(collections(), st.integers(0, 4))
@settings(max_examples=60)
def test_few_labels_are_kept_as_the_slow_way_keeps_them(images, most):
    train, few = np.arange(len(images.groups)), np.array([1, 3, 4])
    kept = keep_few(images, train, few, most, SEED)
    assert list(kept) == slow_keep_few(images, train, few, most)
    assert images.tags[np.ix_(kept, few)].sum(0).max(initial=0) <= most


@given(collections())
@settings(max_examples=40)
def test_few_labels_have_one_test_and_limit_only_the_asked_tags(images):
    made = splits_of(SMALL["few_labels"], images, SEED)
    fold = fold_of_images(images, 5, SEED)
    for split, most in zip(made, (0, 1, 3), strict=True):
        assert np.array_equal(split.test, np.flatnonzero(fold == 0))
        assert images.leaves[split.asked].all()
        assert split.new == (most == 0)
        free = [at for at in np.flatnonzero(fold != 0) if not images.tags[at, split.asked].any()]
        whole = [at for at in free if not images.tags[np.ix_(images.groups == images.groups[at], split.asked)].any()]
        assert set(whole) <= set(split.train)


@given(collections())
@settings(max_examples=40)
def test_new_tags_have_no_training_image_and_every_tag_is_new_once(images):
    made = splits_of(SMALL["new_tags"], images, SEED)
    asked = [int(tag) for split in made for tag in split.asked]
    enough = [tag for tag in range(6) if images.leaves[tag] and images.tags[:, tag].sum() >= 2]
    assert sorted(asked) == enough
    for split in made:
        assert split.new
        assert not images.tags[np.ix_(split.train, split.asked)].any()
        assert list(split.test) == [at for at in range(len(images.groups)) if images.tags[at, split.asked].any()]


def test_a_group_that_crosses_providers_is_in_neither_side():
    images = Annotated(
        np.array(["a", "a", "b", "c"]),
        np.array(["Met", "Prado", "Prado", "Met"]),
        np.ones((4, 1), bool),
        np.array(["300000001"]),
        np.array(["materials"]),
        np.array([True]),
    )
    (met, _) = splits_of(Suite(splits="leave_one_provider_out", min_images=2), images, SEED)
    assert (met.name, list(met.test), list(met.train)) == ("Met", [0, 3], [2])


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_kind_of_splits_is_used_by_a_suite_of_the_settings(kind):
    assert kind in {suite.splits for suite in SUITES.values()}
