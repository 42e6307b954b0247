"""Draw groups of images so that every tag's count lies between its bounds: compiled, whole numbers only, O(entries).

The steps: meet the minimums, rarest tag first; repair those that failed by exchanging groups; drop what the minimums
do not need; then fill up to the size, either raising the smallest counts first (`balanced`) or towards even shares
(`proportional`). Groups are visited in the order of the matrix, which is a seeded order of their ids: nothing depends
on the order of rows, and no step computes with fractions, so every machine draws the same.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from pipeline.splits import cover_minimums as drawing
from pipeline.splits import fill_to_size as filling


@dataclass(frozen=True)
class TagMatrix:
    """Images per group and tag, sparse by rows: the entries of group g are `starts[g]` to `starts[g + 1]`.

    `sizes` are images per group. Groups and tags are numbered in a decided order.
    """

    starts: np.ndarray
    tags: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray
    n_tags: int

    def images_per_tag(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Images of every tag, in all groups or in those of a mask."""
        weights = self.counts if groups is None else self.counts * np.repeat(groups, np.diff(self.starts))
        return np.bincount(self.tags, weights=weights, minlength=self.n_tags).astype(np.int64)


@dataclass(frozen=True)
class Bounds:
    """Least and most images per tag, and how many images are wanted in all."""

    lower: np.ndarray
    upper: np.ndarray
    size: int


def draw(
    matrix: TagMatrix,
    bounds: Bounds,
    objective: Literal["balanced", "proportional"],
    *,
    kept: np.ndarray | None = None,
    free: np.ndarray | None = None,
) -> np.ndarray:
    """A mask of the groups drawn, those of `kept` included; others come only from `free` (None: all).

    No upper bound is exceeded but by `kept` itself. A lower bound that stays unmet is for the caller to report
    (`reachable` says whether the tag alone could meet it).
    """
    n_groups = len(matrix.sizes)
    state = np.full(n_groups, drawing.FREE, dtype=np.int8)
    if free is not None:
        state[~free] = drawing.BARRED
    if kept is not None:
        state[kept] = drawing.KEPT
    problem = _problem(matrix, bounds)
    counts = matrix.images_per_tag(state == drawing.KEPT)
    drawing.meet_minimums(state, counts, problem)
    if (counts < problem.lower).any():
        drawing.repair(state, counts, problem)
    drawing.drop_needless(state, counts, problem)
    if matrix.sizes[(state == drawing.CHOSEN) | (state == drawing.KEPT)].sum() > bounds.size:
        drawing.exchange_for_fewer(state, counts, problem)
    place, groups = problem.column_starts[:-1].copy(), problem.column_groups.copy()
    if objective == "balanced":
        waiting, worth = problem.order.copy(), np.zeros(matrix.n_tags, dtype=np.int64)
        filling.fill_balanced(state, counts, problem, bounds.size, waiting, worth, place, groups)
    else:
        drawable = state != drawing.BARRED
        per_tag, images = matrix.images_per_tag(drawable), int(matrix.sizes[drawable].sum())
        filling.fill_proportional(state, counts, problem, bounds.size, per_tag, images, place, groups)
    return (state == drawing.CHOSEN) | (state == drawing.KEPT)


def _problem(matrix: TagMatrix, bounds: Bounds) -> drawing.Problem:
    """What a draw is made from, with the matrix by columns too; of one type throughout, so that it compiles once."""
    n_groups = len(matrix.sizes)
    shape = (n_groups, matrix.n_tags)
    columns = csr_array((np.ones(len(matrix.tags), np.int8), matrix.tags, matrix.starts), shape=shape).tocsc()
    return drawing.Problem(
        starts=matrix.starts.astype(np.int64),
        tags=matrix.tags.astype(np.int64),
        images=matrix.counts.astype(np.int64),
        sizes=matrix.sizes.astype(np.int64),
        column_starts=columns.indptr.astype(np.int64),
        column_groups=columns.indices.astype(np.int64),
        lower=bounds.lower.astype(np.int64),
        upper=bounds.upper.astype(np.int64),
        order=np.argsort(np.diff(columns.indptr), kind="stable"),
        scratch=np.zeros(max(n_groups, filling.CANDIDATES), dtype=np.int64),
    )


def reachable(
    matrix: TagMatrix, upper: np.ndarray, tag: int, kept: np.ndarray | None = None, free: np.ndarray | None = None
) -> int:
    """The most images of one tag that any draw can hold without exceeding an upper bound, were there no other minimum.

    An independent check by subset sums over the groups that fit at all; a lower bound above it cannot be met.
    """
    already = matrix.images_per_tag(kept) if kept is not None else np.zeros(matrix.n_tags, dtype=np.int64)
    room = int(upper[tag] - already[tag])
    sums = 1
    for group in np.unique(np.searchsorted(matrix.starts, np.flatnonzero(matrix.tags == tag), side="right") - 1):
        if (free is not None and not free[group]) or (kept is not None and kept[group]):
            continue
        entries = slice(matrix.starts[group], matrix.starts[group + 1])
        its_tags, its_counts = matrix.tags[entries], matrix.counts[entries]
        if (already[its_tags] + its_counts <= upper[its_tags]).all():
            sums |= sums << int(its_counts[its_tags == tag][0])
            sums &= (1 << (room + 1)) - 1
    return int(already[tag]) + (sums.bit_length() - 1 if room >= 0 else 0)
