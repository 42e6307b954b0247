"""Compiled steps that fill a selection up to its size, in place: with even counts, or with even shares of every tag."""

import numpy as np

from pipeline.compiled import compiled, inner
from pipeline.splits.cover_minimums import FREE, SELECTED, entries_of, fits, images_in, put_back, select

CANDIDATES = 64  # groups compared for one choice
MAX_PASSES = 12  # over all groups, to even out the shares
UNFIT = -1  # in `state`: the group exceeds a bound, now and for the rest of the filling
UNIT = 1 << 16  # shares are compared in this fraction of an image


@compiled
def fill_balanced(state, counts, problem, size):
    """Fill up to `size` images: the tag with the smallest count is next, with the group that helps others most."""
    total = images_in(state, problem)
    next_index, groups = problem.column_starts[:-1].copy(), problem.column_groups.copy()
    worth, finished = UNIT // (1 + counts), np.zeros(len(counts), dtype=np.bool_)
    while total < size:
        tag, group = -1, -1
        for other in problem.order:
            if not finished[other] and (tag < 0 or counts[other] < counts[tag]):
                tag = other
        if tag < 0:
            break
        if counts[tag] < problem.upper[tag]:
            n_candidates = _find_candidates(tag, size - total, state, counts, problem, next_index, groups)
            group = _most_worth(problem.scratch[:n_candidates], problem, worth)
        if group < 0:
            finished[tag] = True
            continue
        select(group, state, counts, problem)
        total += problem.sizes[group]
        for entry in entries_of(group, problem):
            worth[problem.tags[entry]] = UNIT // (1 + counts[problem.tags[entry]])
    _free_unfit(state)


@inner
def _find_candidates(tag, room, state, counts, problem, next_index, groups):
    """Write the tag's next free groups that fit to `problem.scratch`, at most CANDIDATES; returns how many.

    Counts only rise during filling, so a group that does not fit is marked UNFIT for good. `groups` starts as the
    columns of the matrix, read from `next_index[tag]`: candidates are moved up behind what was read, so that groups
    which are selected or unfit are read only once.
    """
    index, end, n_candidates = next_index[tag], problem.column_starts[tag + 1], 0
    while index < end and n_candidates < CANDIDATES:
        group = groups[index]
        index += 1
        if state[group] != FREE:
            continue
        if problem.sizes[group] > room or not fits(group, counts, problem):
            state[group] = UNFIT
            continue
        problem.scratch[n_candidates] = group
        n_candidates += 1
    next_index[tag] = index - n_candidates
    groups[index - n_candidates : index] = problem.scratch[:n_candidates]
    return n_candidates


@inner
def _free_unfit(state):
    for group in range(len(state)):
        if state[group] == UNFIT:
            state[group] = FREE


@inner
def _most_worth(candidates, problem, worth):
    """The group that adds most `worth` per image; -1 without candidates."""
    best, best_score, best_size = -1, 0, 1
    for group in candidates:
        score = 0
        for entry in entries_of(group, problem):
            score += problem.images[entry] * worth[problem.tags[entry]]
        if score * best_size > best_score * problem.sizes[group]:
            best, best_score, best_size = group, score, problem.sizes[group]
    return best


@compiled
def fill_proportional(state, counts, problem, size, images_per_tag, n_images):
    """Fill towards `size` images with even shares: each tag's target is its share of `size`, clipped to its bounds."""
    n_tags = len(problem.lower)
    target = np.empty(n_tags, dtype=np.int64)
    weight = np.empty(n_tags, dtype=np.int64)
    for tag in range(n_tags):
        even = images_per_tag[tag] * size * UNIT // max(n_images, 1)
        target[tag] = min(max(even, problem.lower[tag] * UNIT), problem.upper[tag] * UNIT)
        weight[tag] = (1 << 24) // max(images_per_tag[tag], 1)
    total = images_in(state, problem)
    next_index, groups = problem.column_starts[:-1].copy(), problem.column_groups.copy()
    for tag in problem.order:
        while (counts[tag] + 1) * UNIT <= target[tag] + UNIT // 2 and total < size:
            n_candidates = _find_candidates(tag, size - total, state, counts, problem, next_index, groups)
            group = _most_gain(problem.scratch[:n_candidates], counts, problem, target, weight)
            if group < 0:
                break
            select(group, state, counts, problem)
            total += problem.sizes[group]
    _free_unfit(state)
    for _ in range(MAX_PASSES):
        if not _improve_shares(state, counts, problem, target, weight):
            break
    _reach_size(state, counts, problem, target, weight, size)


@inner
def _most_gain(candidates, counts, problem, target, weight):
    """The group that brings the shares of all its tags nearest to their targets; -1 without candidates."""
    best, best_gain = -1, 0
    for group in candidates:
        gain = _gain(group, 1, counts, problem, target, weight)
        if best < 0 or gain > best_gain:
            best, best_gain = group, gain
    return best


@inner
def _gain(group, sign, counts, problem, target, weight):
    """By how much selecting (+1) or putting back (-1) a group brings the shares nearer to their targets."""
    gain = 0
    for entry in entries_of(group, problem):
        tag = problem.tags[entry]
        before = counts[tag] * UNIT - target[tag]
        after = before + sign * problem.images[entry] * UNIT
        gain += weight[tag] * ((abs(before) - abs(after)) >> 8)
    return gain


@inner
def _needed(group, counts, problem):
    """Whether a minimum would be missed without the group."""
    for entry in entries_of(group, problem):
        if counts[problem.tags[entry]] - problem.images[entry] < problem.lower[problem.tags[entry]]:
            return True
    return False


@inner
def _improve_shares(state, counts, problem, target, weight):
    """Select or put back every group that brings the shares nearer, in one pass; returns whether there was any."""
    changed = False
    for group in range(len(problem.sizes)):
        sign = -1 if state[group] == SELECTED else 1
        if (sign > 0 and state[group] != FREE) or _gain(group, sign, counts, problem, target, weight) <= 0:
            continue
        if sign < 0 and not _needed(group, counts, problem):
            put_back(group, state, counts, problem)
            changed = True
        elif sign > 0 and fits(group, counts, problem):
            select(group, state, counts, problem)
            changed = True
    return changed


@inner
def _reach_size(state, counts, problem, target, weight, size):
    """Select or put back the groups that change the shares least until the size is reached, as far as bounds allow."""
    total = images_in(state, problem)
    if total == size:
        return
    sign, movable = (1, FREE) if total < size else (-1, SELECTED)
    costs = np.empty(len(problem.sizes), dtype=np.int64)
    for group in range(len(problem.sizes)):
        costs[group] = -_gain(group, sign, counts, problem, target, weight) // problem.sizes[group]
    for group in np.argsort(costs, kind="mergesort"):
        if total == size:
            return
        if state[group] != movable or problem.sizes[group] > abs(size - total):
            continue
        if sign > 0 and fits(group, counts, problem):
            select(group, state, counts, problem)
            total += problem.sizes[group]
        elif sign < 0 and not _needed(group, counts, problem):
            put_back(group, state, counts, problem)
            total -= problem.sizes[group]
