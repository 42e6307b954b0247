"""Samples groups of images so that every tag's count lies within its bounds, in compiled code and O(entries).

The steps: cover the minimums, rarest tag first; repair those that failed by swapping groups; drop what no minimum
needs; then fill up to the size, by raising the smallest counts first (`balanced`) or towards even shares
(`proportional`). Groups are visited in the order of the matrix, a seeded order of their ids, so nothing depends on the
order of rows. All numbers are integers, so every machine selects the same groups.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from pipeline.splits.cover_minimums import (
    EXCLUDED,
    FREE,
    KEPT,
    SELECTED,
    Problem,
    cover_minimums,
    drop_redundant,
    repair,
    swap_for_fewer_images,
)
from pipeline.splits.fill_to_size import CANDIDATES, fill_balanced, fill_proportional


@dataclass(frozen=True)
class TagMatrix:
    """Images per group and tag, sparse by rows: the entries of group g are `starts[g]` to `starts[g + 1]`.

    `sizes` are images per group. Groups are numbered in a seeded order, tags by id.
    """

    starts: np.ndarray
    tags: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray
    n_tags: int

    def images_per_tag(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Images of every tag, in all groups or in those of the mask `groups`."""
        weights = self.counts if groups is None else self.counts * np.repeat(groups, np.diff(self.starts))
        return np.bincount(self.tags, weights=weights, minlength=self.n_tags).astype(np.int64)


@dataclass(frozen=True)
class Bounds:
    """The least and the most images per tag, and how many images are wanted in total."""

    lower: np.ndarray
    upper: np.ndarray
    size: int


def sample_groups(
    matrix: TagMatrix,
    bounds: Bounds,
    objective: Literal["balanced", "proportional"],
    *,
    kept: np.ndarray | None = None,
    free: np.ndarray | None = None,
) -> np.ndarray:
    """A mask of the selected groups: those of `kept`, and others from `free` only (None: from all).

    Only `kept` itself can exceed an upper bound. Lower bounds may stay unmet; the caller reports them (`reachable`
    tells whether the tag alone could meet its bound).
    """
    state = np.full(len(matrix.sizes), FREE, dtype=np.int8)
    if free is not None:
        state[~free] = EXCLUDED
    if kept is not None:
        state[kept] = KEPT
    problem = _problem(matrix, bounds)
    counts = matrix.images_per_tag(state == KEPT)
    cover_minimums(state, counts, problem)
    if (counts < problem.lower).any():
        repair(state, counts, problem)
    drop_redundant(state, counts, problem)
    if matrix.sizes[(state == SELECTED) | (state == KEPT)].sum() > bounds.size:
        swap_for_fewer_images(state, counts, problem)
    if objective == "balanced":
        fill_balanced(state, counts, problem, bounds.size)
    else:
        usable = state != EXCLUDED
        per_tag, n_images = matrix.images_per_tag(usable), int(matrix.sizes[usable].sum())
        fill_proportional(state, counts, problem, bounds.size, per_tag, n_images)
    return (state == SELECTED) | (state == KEPT)


def _problem(matrix: TagMatrix, bounds: Bounds) -> Problem:
    """The matrix by rows and by columns with the bounds; every array has the same type, so the steps compile once."""
    n_groups = len(matrix.sizes)
    shape = (n_groups, matrix.n_tags)
    columns = csr_array((np.ones(len(matrix.tags), np.int8), matrix.tags, matrix.starts), shape=shape).tocsc()
    return Problem(
        starts=matrix.starts.astype(np.int64),
        tags=matrix.tags.astype(np.int64),
        images=matrix.counts.astype(np.int64),
        sizes=matrix.sizes.astype(np.int64),
        column_starts=columns.indptr.astype(np.int64),
        column_groups=columns.indices.astype(np.int64),
        lower=bounds.lower.astype(np.int64),
        upper=bounds.upper.astype(np.int64),
        order=np.argsort(np.diff(columns.indptr), kind="stable"),
        scratch=np.zeros(max(n_groups, CANDIDATES), dtype=np.int64),
    )


def reachable(
    matrix: TagMatrix, upper: np.ndarray, tag: int, kept: np.ndarray | None = None, free: np.ndarray | None = None
) -> int:
    """The most images of one tag that any selection can hold within the upper bounds, if no other tag had a minimum.

    An independent check, by subset sums over the groups that fit; a lower bound above the result cannot be met.
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
