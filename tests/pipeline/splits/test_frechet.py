"""Fréchet distances against scipy's matrix square root, in every shape a provider can have."""

import itertools
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from threadpoolctl import threadpool_limits

from pipeline.splits import frechet

DIMENSIONS = 24


def slow_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The textbook formula with scipy's matrix square root of the product."""
    c1, c2 = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    shift = one.mean(axis=0) - other.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", linalg.LinAlgWarning
        )  # it says so where n < d; it is right to 1e-6 all the same
        root = linalg.sqrtm(c1 @ c2)
    return float(shift @ shift + np.trace(c1 + c2) - 2 * np.trace(root).real)


def rows(n: int, seed: int, rank: int = DIMENSIONS) -> np.ndarray:
    """Correlated rows with a mean of their own, spread over `rank` directions of falling variance."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(np.random.default_rng(99).standard_normal((DIMENSIONS, DIMENSIONS)))[0]
    latent = rng.standard_normal((n, rank)) * np.geomspace(1, 0.05, rank) * np.exp(0.3 * rng.standard_normal(rank))
    return latent @ mixing[:rank] + 0.3 * rng.standard_normal(DIMENSIONS)


def distances_to_whole(sets: list[np.ndarray], workers: int = frechet.WORKERS) -> list[float]:
    """The distance of every set to the union of all."""
    whole, each = frechet.moments_of_sets(sets, workers)
    return frechet.distances_to(frechet.reference(whole), sets, each, workers)


WHOLE = rows(800, seed=0)


@pytest.mark.parametrize("n", [2, 3, 10, DIMENSIONS - 1, DIMENSIONS, DIMENSIONS + 1, 60, 500])
def test_the_distance_is_that_of_the_textbook_for_few_and_many_rows(n):
    one, whole = rows(n, seed=n), frechet.reference(frechet.moments(WHOLE))
    expected = slow_distance(one, WHOLE)
    assert frechet.frechet_distance(frechet.moments(one), whole) == pytest.approx(expected, rel=1e-6)
    assert frechet.frechet_distance_of_rows(one, whole) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("columns", [1, 7, DIMENSIONS])
def test_products_by_blocks_of_columns_change_no_distance(columns, monkeypatch):
    """The demo's vectors are shorter than a block: only such blocks take the parts of the factor apart."""
    one, whole = rows(60, seed=1), frechet.reference(frechet.moments(WHOLE))
    monkeypatch.setattr(frechet, "COLUMNS_PER_BLOCK", columns)
    expected = slow_distance(one, WHOLE)
    assert whole.triangular
    assert frechet.frechet_distance(frechet.moments(one), whole) == pytest.approx(expected, rel=1e-9)
    assert frechet.frechet_distance_of_rows(one, whole) == pytest.approx(expected, rel=1e-9)


def test_the_distance_of_known_gaussians():
    # N(0, 1) and N(3, 4) a dimension: (0 - 3)² + (1 - 2)² = 10 in each of two dimensions
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    one = frechet.Moments(5, np.zeros(2), square.T @ square)
    other = frechet.Moments(5, np.full(2, 3.0), 4 * square.T @ square)
    assert frechet.frechet_distance(one, frechet.reference(other)) == pytest.approx(20.0, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 12, 400])
def test_a_set_is_at_distance_zero_from_itself(n):
    one = rows(n, seed=5)
    itself = frechet.reference(frechet.moments(one))
    assert frechet.frechet_distance_of_rows(one, itself) == 0.0
    assert frechet.frechet_distance(frechet.moments(one), itself) == 0.0


def test_a_whole_without_full_rank_still_has_distances():
    flat = rows(300, seed=3, rank=9)
    whole = frechet.reference(frechet.moments(flat))
    assert not whole.triangular
    assert whole.factor.shape == (DIMENSIONS, 9)
    one = rows(40, seed=4)
    # the product of the covariances is singular, so the reference takes the symmetric form of full-rank A
    root = linalg.sqrtm(np.cov(one, rowvar=False)).real
    common = np.sqrt(np.linalg.eigvalsh(root @ np.cov(flat, rowvar=False) @ root).clip(0)).sum()
    shift = one.mean(axis=0) - flat.mean(axis=0)
    expected = shift @ shift + np.cov(one, rowvar=False).trace() + np.cov(flat, rowvar=False).trace() - 2 * common
    assert frechet.frechet_distance_of_rows(one, whole) == pytest.approx(expected, rel=1e-6)


def test_a_single_row_has_no_spread():
    whole = frechet.reference(frechet.moments(WHOLE))
    shift = WHOLE[0] - WHOLE.mean(axis=0)
    expected = shift @ shift + np.cov(WHOLE, rowvar=False).trace()
    assert frechet.frechet_distance_of_rows(WHOLE[:1], whole) == pytest.approx(expected)


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(1, 199), max_size=5), block=st.integers(1, 250))
def test_moments_merge_over_any_cuts(cuts, block):
    sample = (WHOLE[:200] + 1e3).astype(np.float32)  # a large mean: cancellation would show
    whole = frechet.moments(sample, rows_per_block=block)
    edges = [0, *sorted(set(cuts)), 200]
    pieces = [frechet.moments(sample[start:end]) for start, end in itertools.pairwise(edges)]
    merged = frechet.merged(pieces)
    for found in (whole, merged):
        assert found.n == 200
        np.testing.assert_allclose(found.mean, sample.astype(float).mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance, np.cov(sample.astype(float), rowvar=False), rtol=1e-9, atol=1e-12)


def test_merging_leaves_its_parts_alone():
    part = frechet.moments(WHOLE[:50])
    before = part.scatter.copy()
    frechet.merged([part, frechet.moments(WHOLE[50:90])])
    np.testing.assert_array_equal(part.scatter, before)


def test_distances_of_many_sets_are_those_of_each_to_their_union():
    sets = [rows(n, seed=n).astype(np.float16) for n in (1, 2, 7, 23, 24, 90, 300)]
    union = np.concatenate(sets).astype(float)
    found = distances_to_whole(sets)
    for one, distance in zip(sets[1:], found[1:], strict=True):
        assert distance == pytest.approx(slow_distance(one.astype(float), union), rel=1e-6)
    assert distances_to_whole(sets, workers=1) == found


def test_progress_counts_every_set():
    told: list[tuple[int, int]] = []
    assert frechet.in_threads(len, ["a", "bc", "d"], progress=lambda done, of: told.append((done, of))) == [1, 2, 1]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_no_rows_and_numbers_that_are_none_are_refused():
    with pytest.raises(frechet.DistanceError, match="without images"):
        frechet.moments(np.empty((0, 4)))
    with pytest.raises(frechet.DistanceError, match="not a finite number"):
        frechet.moments(np.array([[1.0, np.inf]]))


def test_the_kernel_distance_is_the_mean_over_pairs():
    one, other = rows(6, seed=1), rows(9, seed=2)

    def kernel(x, y):
        return (x @ y / DIMENSIONS + 1) ** 3

    expected = (
        np.mean([kernel(one[i], one[j]) for i in range(6) for j in range(6) if i != j])
        + np.mean([kernel(other[i], other[j]) for i in range(9) for j in range(9) if i != j])
        - 2 * np.mean([kernel(x, y) for x in one for y in other])
    )
    assert frechet.kernel_distance(one, other) == pytest.approx(expected)
    assert frechet.kernel_distance(one[:1], other) is None


def test_the_same_image_in_both_sets_leaves_the_cross_term():
    one, other = rows(5, seed=1), rows(8, seed=2)
    with_copy = np.concatenate([other, one[:1]])
    same = np.zeros((5, 9), dtype=bool)
    same[0, 8] = True
    pairs = [(x, y) for i, x in enumerate(one) for j, y in enumerate(with_copy) if not same[i, j]]
    cross = np.mean([(x @ y / DIMENSIONS + 1) ** 3 for x, y in pairs])
    difference = frechet.kernel_distance(one, with_copy, same) - frechet.kernel_distance(one, with_copy)
    everything = np.mean([(x @ y / DIMENSIONS + 1) ** 3 for x in one for y in with_copy])
    assert difference == pytest.approx(2 * (everything - cross))


@pytest.mark.parametrize("n", [16, 120, 1_000])
def test_the_interval_is_as_wide_as_distances_of_new_samples_vary(n):
    whole = frechet.reference(frechet.moments(WHOLE))
    mixing = np.linalg.qr(np.random.default_rng(99).standard_normal((DIMENSIONS, DIMENSIONS)))[0]
    rng = np.random.default_rng(8)
    widths, distances = [], []
    with threadpool_limits(limits=1, user_api="blas"):  # as in `in_threads`; on small matrices threads only wait
        for _ in range(60):
            sample = rng.standard_normal((n, DIMENSIONS)) * np.geomspace(1, 0.05, DIMENSIONS) @ mixing + 0.2
            distance = frechet.frechet_distance_of_rows(sample, whole)
            low, high = frechet.resampling_interval(sample, distance, whole, resamples=20, generator=rng)
            distances.append(distance)
            widths.append((high - low) / (2 * 1.96))
    assert np.mean(widths) / np.std(distances) == pytest.approx(1.1, abs=0.35)


@pytest.mark.parametrize("n", [4, 30, 700])
def test_an_interval_is_that_of_the_distances_of_its_subsamples(n):
    sample, whole = rows(n, seed=n).astype(np.float16), frechet.reference(frechet.moments(WHOLE))
    low, high = frechet.resampling_interval(sample, 9.0, whole, resamples=5, generator=np.random.default_rng(1))
    generator, m = np.random.default_rng(1), min(n // 2, 256)
    subsamples = [sample[generator.permutation(n)[:m]] for _ in range(5)]
    values = [frechet.frechet_distance_of_rows(subsample, whole) for subsample in subsamples]
    margin = 1.96 * np.std(values, ddof=1) * np.sqrt(m / (n - m))
    assert (low, high) == pytest.approx((max(9.0 - margin, 0.0), 9.0 + margin), rel=1e-9)


def test_three_rows_have_no_interval():
    whole = frechet.reference(frechet.moments(WHOLE))
    generator = np.random.default_rng(0)
    assert frechet.resampling_interval(WHOLE[:3], 1.0, whole, resamples=20, generator=generator) is None


def turns_beside(work: Callable[[], object]) -> int:
    """How often a millisecond passes in another thread while something is computed."""
    turns = 0
    with ThreadPoolExecutor(1) as pool:
        computed = pool.submit(work)
        while not computed.done():
            time.sleep(0.001)
            turns += 1
    return turns


def test_python_goes_on_while_eigenvalues_and_products_are_computed():
    """scipy's `eigvalsh`, `dtrmm` and `dsygst` keep the GIL: all providers' distances used 1.4 to 1.7 of 2 cores."""
    matrix = np.eye(1_200)
    matrix[np.tril_indices(1_200)] += np.random.default_rng(0).standard_normal(720_600)
    whole = frechet.Reference(np.zeros(1_200), 1.0, matrix, triangular=True)
    many = np.ones((4_000, 1_200))
    assert turns_beside(lambda: frechet._sum_of_roots(matrix)) > 10
    assert turns_beside(lambda: frechet._times_factor(many, whole)) > 10
