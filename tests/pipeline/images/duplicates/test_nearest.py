"""The nearest rows of every row: the same as by sorting all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.compiled import compiled
from pipeline.images.duplicates import nearest
from pipeline.images.duplicates.nearest import nearest_by_cosine, nearest_by_hash


def slow(similarities: np.ndarray, count: int, at_least: float) -> set[tuple[int, int]]:
    """The same pairs by sorting every row; equal ones by their number."""
    found = set()
    for row, similarity in enumerate(similarities):
        others = [other for other in np.argsort(-similarity, kind="stable") if other != row]
        found |= {
            (min(row, int(other)), max(row, int(other))) for other in others[:count] if similarity[other] >= at_least
        }
    return found


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    assert pairs.dtype == np.int64
    assert pairs.shape[1:] == (2,)
    listed = [tuple(pair) for pair in pairs.tolist()]
    assert listed == sorted(set(listed))
    return set(listed)


def vectors_of(n: int, d: int, seed: int, *, decay: float, steps: int = 0) -> np.ndarray:
    """Unit vectors whose spectrum falls as the power `decay`; with `steps`, some of them are equal."""
    random = np.random.default_rng(seed)
    drawn = random.standard_normal((n, d)) * np.arange(1, d + 1) ** -decay
    if steps:
        drawn = np.round(drawn * steps) + 1e-3
    copies = random.random(n) < 0.2
    drawn[copies] = drawn[random.integers(0, n, copies.sum())] + 0.01 * drawn[copies]
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@compiled
def cosines(vectors):
    """All cosines as the product computes them, so that equal vectors are equally near."""
    found = np.empty((len(vectors), len(vectors)), np.float32)
    for row in range(len(vectors)):
        for other in range(len(vectors)):
            found[row, other] = nearest._product(vectors[row], vectors[other])
    return found


@pytest.mark.parametrize(
    ("decay", "at_least", "plain"),
    [(0.0, -1.0, True), (0.0, 0.1, True), (0.0, 0.3, False), (1.0, -1.0, False), (1.0, 0.1, False), (1.0, 0.3, False)],
)
def test_the_bounds_lose_nothing(monkeypatch, decay: float, at_least: float, plain: bool):
    monkeypatch.setattr(nearest, "TRIED", 50)
    vectors = vectors_of(1500, 1000, 1, decay=decay)
    products = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    assert (nearest._short_vectors(vectors, 5, at_least) is None) == plain
    assert as_set(nearest_by_cosine(vectors, 5, at_least)) == slow(products, 5, at_least)


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 6), st.sampled_from([3, 7, 64]), st.integers(0, 99))
@settings(max_examples=40)
def test_any_number_of_vectors_gives_what_sorting_gives(n, d, count, block, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK", block)
        vectors = vectors_of(max(n, 1), d, seed, decay=0.5, steps=2)[:n]
        assert as_set(nearest_by_cosine(vectors, count, 0.2)) == slow(cosines(vectors), count, 0.2)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=40)
def test_hashes_are_compared_by_their_bits(drawn, count, seed):
    random = np.random.default_rng(seed)
    hashes = np.array([*drawn, *drawn[:10]], np.uint64)
    hashes ^= np.uint64(1) << random.integers(0, 64, len(hashes)).astype(np.uint64) if len(hashes) else hashes
    closeness = -np.bitwise_count(hashes[:, None] ^ hashes).astype(np.int64)
    assert as_set(nearest_by_hash(hashes, count)) == slow(closeness, count, -65)


def test_a_bound_is_never_below_the_cosine():
    vectors = vectors_of(200, 700, 2, decay=0.8)
    random = np.random.default_rng(0)
    directions = np.linalg.qr(random.standard_normal((700, nearest.MANY)))[0].astype(np.float32)
    short = nearest._shortened(vectors, directions)
    exact = vectors.astype(np.float64) @ vectors.T
    first = short[:, : nearest.FEW + 1] @ short[:, : nearest.FEW + 1].T
    rest = short[:, nearest.FEW + 1 :] @ short[:, nearest.FEW + 1 :].T
    second = first - np.outer(short[:, nearest.FEW], short[:, nearest.FEW]) + rest
    assert (first >= exact - nearest.SLACK).all()
    assert (second >= exact - nearest.SLACK).all()
    assert second.sum() < first.sum()


def test_progress_counts_every_pair_of_blocks(monkeypatch):
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(nearest, "BLOCK", 64)
    nearest_by_cosine(vectors_of(500, 8, 3, decay=0.5), 5, 0.2, lambda done, of: told.append((done, of)))
    assert told == [(number, 36) for number in range(1, 37)]


def test_an_error_in_one_thread_ends_the_others_after_their_block(monkeypatch):
    asked = []

    def first_fails(products, *given):
        asked.append(products.shape)
        if len(asked) == 1:
            raise MemoryError
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)

    monkeypatch.setattr(nearest, "_reached", first_fails)
    monkeypatch.setattr(nearest, "BLOCK", 8)
    with pytest.raises(MemoryError):
        nearest_by_cosine(vectors_of(4000, 8, 3, decay=0.5), 5, 0.2)
    assert len(asked) < 10_000  # of 125,250
