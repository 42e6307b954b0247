"""Sampling groups: bounds and objectives, against brute force on small cases and recounted on larger ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splits.group_sampling import Bounds, TagMatrix, reachable, sample_groups


def matrix_of(groups: list[dict[int, int]], n_tags: int, sizes: list[int] | None = None) -> TagMatrix:
    """A matrix from one {tag: images} per group."""
    starts = np.cumsum([0, *(len(group) for group in groups)])
    tags = np.array([tag for group in groups for tag in sorted(group)], dtype=np.int32)
    counts = np.array([group[tag] for group in groups for tag in sorted(group)], dtype=np.int32)
    sizes = sizes or [max(group.values(), default=1) for group in groups]
    return TagMatrix(starts.astype(np.int64), tags, counts, np.array(sizes, dtype=np.int64), n_tags)


def bounds_of(matrix: TagMatrix, minimum: int, size: int) -> Bounds:
    """The protocol's bounds: at most a third of a tag's images, at least the minimum or that."""
    upper = matrix.images_per_tag() * 33 // 100
    return Bounds(np.minimum(minimum, upper), upper, size)


def long_tailed(n: int, seed: int, n_tags: int = 80) -> TagMatrix:
    """Random groups, most of one image, with one to four tags of Zipf frequency."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, n_tags + 1) ** -1.1
    groups, sizes = [], []
    for _ in range(n):
        size = int(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 2, 3]))
        tags = rng.choice(n_tags, rng.integers(1, 5), replace=False, p=weights / weights.sum())
        groups.append({int(tag): int(rng.integers(1, size + 1)) for tag in tags})
        sizes.append(size)
    return matrix_of(groups, n_tags, sizes)


SMALL_GROUPS = st.lists(
    st.dictionaries(st.integers(0, 3), st.integers(1, 2), min_size=1, max_size=3), min_size=1, max_size=9
)


def feasible(matrix: TagMatrix, lower: np.ndarray, upper: np.ndarray) -> list[np.ndarray]:
    """The counts of every choice of groups within the upper bounds, by trying all."""
    n = len(matrix.sizes)
    table = np.zeros((n, matrix.n_tags), dtype=int)
    table[np.repeat(np.arange(n), np.diff(matrix.starts)), matrix.tags] = matrix.counts
    counts = np.array(list(itertools.product([0, 1], repeat=n))) @ table
    return list(counts[((counts >= lower) & (counts <= upper)).all(axis=1)])


@settings(max_examples=150)
@given(
    groups=SMALL_GROUPS,
    lower=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    room=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    size=st.integers(0, 12),
    objective=st.sampled_from(["balanced", "proportional"]),
)
def test_no_maximum_is_exceeded_and_a_tag_called_unreachable_is_so(groups, lower, room, size, objective):
    matrix = matrix_of(groups, 4)
    low, high = np.array(lower), np.array(lower) + np.array(room)
    selected = matrix.images_per_tag(sample_groups(matrix, Bounds(low, high, size), objective))
    assert (selected <= high).all()
    choices = feasible(matrix, np.zeros(4, dtype=int), high)
    for tag in range(4):
        assert reachable(matrix, high, tag) >= max(found[tag] for found in choices)
        if len(matrix.tags) and (np.diff(matrix.starts) == 1).all():  # tags alone: the relaxation is exact
            assert reachable(matrix, high, tag) == max(found[tag] for found in choices)


def test_minimums_that_can_be_met_together_nearly_always_are():
    rng = np.random.default_rng(12)
    met = tried = 0
    while tried < 200:
        n_groups = int(rng.integers(4, 11))
        sizes = rng.choice([1, 1, 1, 2], n_groups).tolist()
        groups = [{int(t): s for t in rng.choice(5, rng.integers(1, 4), replace=False)} for s in sizes]
        matrix = matrix_of(groups, 5, sizes)
        lower = rng.integers(0, 3, 5)
        upper = lower + rng.integers(0, 2, 5)
        if not feasible(matrix, lower, upper):
            continue
        tried += 1
        met += bool((matrix.images_per_tag(sample_groups(matrix, Bounds(lower, upper, 0), "balanced")) >= lower).all())
    assert met >= 190


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("objective", ["balanced", "proportional"])
def test_long_tailed_tags_keep_all_their_bounds(seed, objective):
    matrix = long_tailed(3_000, seed)
    bounds = bounds_of(matrix, minimum=5, size=400)
    selected = sample_groups(matrix, bounds, objective)
    counts = matrix.images_per_tag(selected)
    assert (counts <= bounds.upper).all()
    assert (counts >= bounds.lower).all()
    assert matrix.sizes[selected].sum() == 400


def test_a_minimal_selection_is_near_the_optimum():
    from scipy.optimize import Bounds as Range
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csr_matrix

    matrix = long_tailed(1_500, seed=3)
    bounds = bounds_of(matrix, minimum=5, size=0)
    ours = matrix.sizes[sample_groups(matrix, bounds, "balanced")].sum()
    table = csr_matrix((matrix.counts, matrix.tags, matrix.starts), shape=(len(matrix.sizes), matrix.n_tags)).T
    optimum = milp(
        matrix.sizes.astype(float),
        constraints=LinearConstraint(table, bounds.lower, bounds.upper),
        integrality=np.ones(len(matrix.sizes)),
        bounds=Range(0, 1),
        options={"mip_rel_gap": 0.01, "time_limit": 20},
    )
    assert optimum.mip_dual_bound <= ours <= 1.12 * optimum.mip_dual_bound


def test_balanced_counts_are_more_even_and_proportional_shares_nearer():
    matrix = long_tailed(6_000, seed=1)
    bounds = bounds_of(matrix, minimum=5, size=600)
    n_images, counts = matrix.images_per_tag(), {}
    for objective in ("balanced", "proportional"):
        counts[objective] = matrix.images_per_tag(sample_groups(matrix, bounds, objective))
    target = np.clip(n_images * 600 / matrix.sizes.sum(), bounds.lower, bounds.upper)
    deviation = {name: np.abs(found - target).mean() for name, found in counts.items()}
    assert deviation["proportional"] < 1.0 < deviation["balanced"]
    rarer_half = np.argsort(n_images, kind="stable")[:40]
    assert counts["balanced"][rarer_half].mean() > 2 * counts["proportional"][rarer_half].mean()


def test_a_swap_meets_a_minimum_that_greed_alone_misses():
    # tag 0 needs its one free group, but that group holds tag 1, full once the better-looking group is selected
    matrix = matrix_of([{0: 1, 1: 1}, {1: 1, 2: 1, 3: 1}, {2: 1}, {3: 1}], 4)
    bounds = Bounds(np.array([1, 1, 1, 1]), np.array([1, 1, 1, 1]), 0)
    assert matrix.images_per_tag(sample_groups(matrix, bounds, "balanced")).tolist() == [1, 1, 1, 1]


def test_kept_groups_stay_and_excluded_groups_are_not_selected():
    matrix = long_tailed(1_000, seed=2)
    bounds = bounds_of(matrix, minimum=5, size=150)
    kept, free = np.zeros(1_000, dtype=bool), np.ones(1_000, dtype=bool)
    kept[[3, 500]] = True
    free[[1, 2, 3, 500]] = False
    selected = sample_groups(matrix, bounds, "balanced", kept=kept, free=free)
    assert selected[[3, 500]].all()
    assert not selected[[1, 2]].any()


def test_nothing_is_selected_from_nothing():
    empty = matrix_of([], 3)
    assert sample_groups(empty, Bounds(np.zeros(3, int), np.zeros(3, int), 5), "proportional").tolist() == []
