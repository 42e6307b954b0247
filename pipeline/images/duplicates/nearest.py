"""The nearest rows of every row, exactly: by cosine above a bound, and by Hamming distance.

Most cosines are far below what they have to beat. The vectors are projected onto their leading directions (PCA), and
the norm of what remains is one number more: the product of two such short vectors is never below the cosine
(Cauchy-Schwarz). The cosine itself is computed only where that bound is high enough.
"""

import os
from collections.abc import Generator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Lock

import numpy as np
from numba import njit
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from pipeline.compiled import BARE, compiled, inner
from pipeline.waits import Progress

BLOCK = 1024  # rows compared with as many others at a time: 4 MB of products stay in the cache
FEW, MANY = 384, 640  # leading directions of the matrix product, and of the second bound where the first is not enough
SAMPLE = 20_000  # vectors that the directions are computed from; the neighbours are the same for any directions
TRIED = 2_000  # vectors whose pairs tell how many the first bound leaves
MOST_LEFT = 0.3  # share of pairs; where the bound leaves more, the plain product takes less time
SLACK = np.float32(1e-4)  # well above the rounding errors of sums of thousands of products in float32
PLAIN_FROM = 0.15  # share of a block's pairs; where the bound leaves more, all cosines of the block are computed
TRIED_ROWS = 16  # every so manieth row of a block tells that share
CHUNK = 256  # hashes compared at a time
NONE = np.empty((0, 0), np.float32)


def nearest_by_cosine(vectors: np.ndarray, count: int, at_least: float, progress: Progress | None = None) -> np.ndarray:
    """Pairs of each row and its `count` nearest other rows: int64 [m, 2], smaller row first, sorted, each once.

    `vectors` is float32 [n, d] of length 1. Pairs below `at_least` are left out. Of equal cosines, the first rows
    count. `progress` is in pairs of blocks.
    """
    cosines, rows = _empty(len(vectors), count, np.float32(at_least))
    short = _short_vectors(vectors, count, at_least)
    first = vectors if short is None else short[:, : FEW + 1]
    second = NONE if short is None else short
    blocks, lock, done, of = _blocks(len(vectors)), Lock(), 0, sum(range(-(-len(vectors) // BLOCK) + 1))

    def compare() -> None:
        nonlocal done
        while True:
            with lock:
                one, other = next(blocks, (None, None))
            if one is None or other is None:
                return
            products, bounds = first[one] @ first[other].T, second
            tried = products[::TRIED_ROWS] >= np.minimum(cosines[one, -1:][::TRIED_ROWS], cosines[other, -1])
            if short is not None and tried.mean() > PLAIN_FROM:
                products, bounds = vectors[one] @ vectors[other].T, NONE
            # Another thread may raise what has to be beaten meanwhile: then some pairs more come back, none is missed.
            pairs, found = _reached(products, one.start, other.start, bounds, vectors, cosines)
            with lock:
                _insert_pairs(pairs, found, cosines, rows)
                done += 1
                if progress is not None:
                    progress(done, of)

    workers = len(os.sched_getaffinity(0))
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as threads:
        comparing = [threads.submit(compare) for _ in range(workers)]
        try:
            wait(comparing, return_when=FIRST_EXCEPTION)
        finally:
            with lock:
                blocks.close()  # after an error or Ctrl-C no thread begins another block
        for thread in comparing:
            thread.result()
    return _pairs(rows)


def nearest_by_hash(hashes: np.ndarray, count: int) -> np.ndarray:
    """Pairs of each row and its `count` nearest other rows by Hamming distance, as `nearest_by_cosine` returns them.

    `hashes` is uint64 [n]. Of equal distances, the first rows count.
    """
    closeness, rows = _empty(len(hashes), count, np.int64(-65))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        starts = range(0, len(hashes), BLOCK)
        list(threads.map(lambda start: _nearest_hashes(hashes, start, start + BLOCK, closeness, rows), starts))
    return _pairs(rows)


def _empty(n: int, count: int, worst: np.generic) -> tuple[np.ndarray, np.ndarray]:
    """Places [n, count] for the nearest of each row, best first: their similarity, and their row; n stands for none."""
    return np.full((n, count), worst), np.full((n, count), n, np.int64)


def _pairs(rows: np.ndarray) -> np.ndarray:
    n = len(rows)
    one, place = np.nonzero(rows < n)
    other = rows[one, place]
    keys = np.unique(np.minimum(one, other) * n + np.maximum(one, other))
    return np.stack([keys // n, keys % n], axis=1) if n else np.empty((0, 2), np.int64)


def _blocks(n: int) -> Generator[tuple[slice, slice], None, None]:
    """Every pair of blocks once, a block with itself included; all rows have met about as many others at any time."""
    starts = range(0, n, BLOCK)
    for apart in starts:
        for one in range(0, n - apart, BLOCK):
            yield slice(one, one + BLOCK), slice(one + apart, one + apart + BLOCK)


def _short_vectors(vectors: np.ndarray, count: int, at_least: float) -> np.ndarray | None:
    """The vectors along FEW directions, the norm of the rest, along MANY - FEW further ones, and the norm of that rest.

    Returns float32 [n, MANY + 2], or None where the vectors are few or spread evenly over all directions.
    """
    n, d = vectors.shape
    if n <= TRIED or d <= MANY:
        return None
    sample, tried = vectors[:: -(-n // SAMPLE)], vectors[:: -(-n // TRIED)]
    _, directions = eigh(sample.T @ sample, subset_by_index=(d - MANY, d - 1))
    directions = np.ascontiguousarray(directions[:, ::-1], np.float32)
    bounds = _shortened(tried, directions)[:, : FEW + 1]
    rank = len(tried) - 1 - max(1, round(count * len(tried) / n))
    beaten = np.maximum(np.partition(tried @ tried.T, rank, axis=1)[:, rank], at_least)
    if np.mean(bounds @ bounds.T >= np.minimum(beaten[:, None], beaten)) > MOST_LEFT:
        return None
    return _shortened(vectors, directions)


def _shortened(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    short = np.empty((len(vectors), MANY + 2), np.float32)
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        along = vectors[block] @ directions
        short[block, :FEW], short[block, FEW + 1 : -1] = along[:, :FEW], along[:, FEW:]
        for column, k in ((FEW, FEW), (-1, MANY)):
            short[block, column] = np.sqrt(np.maximum(0, 1 - np.square(along[:, :k]).sum(axis=1)))
    return short


@njit(**BARE, fastmath={"reassoc", "contract"})  # sums may be reordered: these are compared with a margin, or ranked
def _product(one, other):
    """The inner product of two float32 vectors of one length."""
    total = np.float32(0)
    for place in range(len(one)):
        total += one[place] * other[place]
    return total


@compiled
def _reached(products, first_row, first_other, short, vectors, cosines):
    """The pairs that rank among the nearest of either row so far, and their cosines: int64 [m, 2] and float32 [m].

    `products` bounds the cosines of a block of rows with a block of others, which begin at these rows.
    """
    pairs, found, n_found = np.empty((BLOCK, 2), np.int64), np.empty(BLOCK, np.float32), 0
    last, width = cosines.shape[1] - 1, products.shape[1]
    others_beat, left = np.empty(width, np.float32), np.empty(width + 1, np.int64)
    for other_place in range(width):
        others_beat[other_place] = cosines[first_other + other_place, last]
    for place in range(len(products)):
        row, n_left = first_row + place, 0
        beaten = cosines[row, last]
        for other_place in range(max(0, row + 1 - first_other), width):  # without a branch, so most pairs cost little
            left[n_left] = other_place
            n_left += products[place, other_place] + SLACK >= min(beaten, others_beat[other_place])
        for number in range(n_left):
            other = first_other + left[number]
            to_beat = min(beaten, others_beat[left[number]])
            if len(short) > 0:
                bound = products[place, left[number]] + SLACK
                further = _product(short[row, FEW + 1 :], short[other, FEW + 1 :])
                if bound - short[row, FEW] * short[other, FEW] + further < to_beat:
                    continue
            cosine = _product(vectors[row], vectors[other])
            if cosine < to_beat:
                continue
            if n_found == len(found):
                pairs = np.concatenate((pairs, np.empty_like(pairs)))
                found = np.concatenate((found, np.empty_like(found)))
            pairs[n_found, 0], pairs[n_found, 1], found[n_found] = row, other, cosine
            n_found += 1
    return pairs[:n_found], found[:n_found]


@compiled
def _insert_pairs(pairs, found, similarities, rows):
    for number in range(len(pairs)):
        one, other = pairs[number, 0], pairs[number, 1]
        _insert(found[number], other, similarities[one], rows[one])
        _insert(found[number], one, similarities[other], rows[other])


@inner
def _insert(similarity, row, similarities, rows):
    """Put the row in its place among the nearest, best first; of equal ones the smaller row is better."""
    place = len(rows)
    while place > 0:
        before = similarities[place - 1]
        if before > similarity or (before == similarity and rows[place - 1] < row):
            break
        if place < len(rows):
            similarities[place], rows[place] = before, rows[place - 1]
        place -= 1
    if place < len(rows):
        similarities[place], rows[place] = similarity, row


@inner
def _count_bits(value):
    """The bits that are set in a uint64, in the form that compilers know as one instruction."""
    value = value - ((value >> np.uint64(1)) & np.uint64(0x5555555555555555))
    value = (value & np.uint64(0x3333333333333333)) + ((value >> np.uint64(2)) & np.uint64(0x3333333333333333))
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (value * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def _nearest_hashes(hashes, start, end, closeness, rows):
    """Fill in the nearest of the rows `start` to `end`; `closeness` is the Hamming distance, negated."""
    n, last = len(hashes), closeness.shape[1] - 1
    distances = np.empty(CHUNK, np.uint64)
    for row in range(start, min(end, n)):
        for chunk in range(0, n, CHUNK):
            length, least = min(CHUNK, n - chunk), np.uint64(65)
            for place in range(length):
                distances[place] = _count_bits(hashes[row] ^ hashes[chunk + place])
                least = min(least, distances[place])
            if -np.int64(least) <= closeness[row, last]:
                continue
            for place in range(length):
                if chunk + place != row and -np.int64(distances[place]) > closeness[row, last]:
                    _insert(-np.int64(distances[place]), chunk + place, closeness[row], rows[row])
