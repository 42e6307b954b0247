"""Moments and distances of many sets at once: the whole is merged from its sets, and threads share the sets."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.splits.frechet import (
    ROWS_PER_BLOCK,
    Moments,
    Reference,
    frechet_distance,
    frechet_distance_of_rows,
    merged,
    moments,
    reference,
)

WORKERS = 2  # threads, each on its own set with BLAS on one core: faster than BLAS on all cores, set after set

Item = TypeVar("Item")
Result = TypeVar("Result")


def moments_of_sets(sets: Sequence[np.ndarray], workers: int = WORKERS) -> tuple[Moments, list[Moments | None]]:
    """The moments of the union of disjoint sets of rows [n, d], and of each set that has d rows or more.

    A smaller set is better served by its rows (its covariance has no full rank), so its own entry is None.
    """
    large = [index for index, rows in enumerate(sets) if len(rows) >= rows.shape[1]]
    each: list[Moments | None] = [None] * len(sets)
    for index, found in zip(large, in_threads(lambda index: moments(sets[index]), large, workers), strict=True):
        each[index] = found
    small = list(_blocks_across(rows for rows in sets if len(rows) < rows.shape[1]))
    whole = merged([*in_threads(moments, small, workers), *(found for found in each if found is not None)])
    return whole, each


def distances_to(
    to: Reference, sets: Sequence[np.ndarray], each: Sequence[Moments | None], workers: int = WORKERS
) -> list[float]:
    """The squared Fréchet distance of every set to one reference."""

    def distance(index: int) -> float:
        known = each[index]
        return frechet_distance_of_rows(sets[index], to) if known is None else frechet_distance(known, to)

    return in_threads(distance, range(len(sets)), workers)


def distances_to_whole(sets: Sequence[np.ndarray], workers: int = WORKERS) -> list[float]:
    """The squared Fréchet distance of every set to the union of all."""
    whole, each = moments_of_sets(sets, workers)
    return distances_to(reference(whole), sets, each, workers)


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], workers: int = WORKERS) -> list[Result]:
    """`work` on every item, results in order; BLAS keeps to one thread meanwhile (it lets other threads run)."""
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


def _blocks_across(sets: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The rows of many small sets, joined into blocks of about ROWS_PER_BLOCK."""
    waiting: list[np.ndarray] = []
    for rows in sets:
        waiting.append(rows)
        if sum(map(len, waiting)) >= ROWS_PER_BLOCK:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
