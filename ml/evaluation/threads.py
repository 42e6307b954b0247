"""Runs compiled loops, which release the GIL, in threads on consecutive pieces of their rows."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

Result = TypeVar("Result")
SMALL = 64  # fewer rows are not worth a thread


def in_threads(work: Callable[[int, int], Result], rows: int) -> list[Result]:
    """`work(start, stop)` on consecutive pieces of `rows`, one per core; results in order."""
    workers = min(cores(), max(1, rows // SMALL))
    edges = [rows * number // workers for number in range(workers + 1)]
    pieces = list(pairwise(edges))
    if workers == 1:
        return [work(*piece) for piece in pieces]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda piece: work(*piece), pieces))


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
