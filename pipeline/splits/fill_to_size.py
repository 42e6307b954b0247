"""The compiled steps that fill a draw up to its size, in place: evenly in count, or evenly in share."""

import numpy as np

from pipeline.compiled import compiled, inner
from pipeline.splits.cover_minimums import CHOSEN, FREE, fits, images_in, move

CANDIDATES = 64  # groups compared for one pick
SWEEPS = 12  # passes over all groups that even out the shares, at most
UNFIT = -1  # in `state`: would exceed a bound, now and for the rest of the filling
UNIT = 1 << 16  # shares are compared in this fraction of an image


@compiled
def fill_balanced(state, counts, problem, size, waiting, worth, place, groups):
    """Up to `size` images: again and again the tag with the smallest count gets a group, one that helps others too."""
    total = images_in(state, problem)
    waiting, n_waiting = problem.order.copy(), len(problem.order)
    place, groups = problem.column_starts[:-1].copy(), problem.column_groups.copy()
    worth = UNIT // (1 + counts)
    while total < size and n_waiting > 0:
        smallest = 0
        for index in range(1, n_waiting):
            if counts[waiting[index]] < counts[waiting[smallest]]:
                smallest = index
        tag = waiting[smallest]
        group = -1
        if counts[tag] < problem.upper[tag]:
            group = _best_raise(tag, size - total, state, counts, problem, worth, place, groups)
        if group < 0:
            n_waiting -= 1
            for index in range(smallest, n_waiting):
                waiting[index] = waiting[index + 1]
            continue
        state[group] = CHOSEN
        move(group, 1, counts, problem)
        total += problem.sizes[group]
        for entry in range(problem.starts[group], problem.starts[group + 1]):
            worth[problem.tags[entry]] = UNIT // (1 + counts[problem.tags[entry]])
    for group in range(len(state)):
        if state[group] == UNFIT:
            state[group] = FREE


@inner
def _best_raise(tag, room, state, counts, problem, worth, place, groups):
    """Among the tag's next free groups, the one that raises small counts most per image; -1 when none fits any more.

    Counts only rise here, so a group that does not fit never will again. What was seen and stays free is moved up
    behind what is done with, so no entry of `groups` is passed twice in vain.
    """
    best, best_score, best_size, seen = -1, 0, 1, 0
    position, end = place[tag], problem.column_starts[tag + 1]
    candidates = problem.scratch
    while position < end and seen < CANDIDATES:
        group = groups[position]
        position += 1
        if state[group] != FREE:
            continue
        if problem.sizes[group] > room or not fits(group, counts, problem):
            state[group] = UNFIT
            continue
        score = 0
        for entry in range(problem.starts[group], problem.starts[group + 1]):
            score += problem.images[entry] * worth[problem.tags[entry]]
        if score * best_size > best_score * problem.sizes[group]:
            best, best_score, best_size = group, score, problem.sizes[group]
        candidates[seen] = group
        seen += 1
    place[tag] = position - seen
    for index in range(seen):
        groups[position - seen + index] = candidates[index]
    return best


@compiled
def fill_proportional(state, counts, problem, size, images_per_tag, n_images, place, groups):
    """Towards `size` images with even shares: each tag's target is its share of `size`, clipped to its bounds."""
    n_tags = len(problem.lower)
    target = np.empty(n_tags, dtype=np.int64)
    weight = np.empty(n_tags, dtype=np.int64)
    for tag in range(n_tags):
        even = images_per_tag[tag] * size * UNIT // max(n_images, 1)
        target[tag] = min(max(even, problem.lower[tag] * UNIT), problem.upper[tag] * UNIT)
        weight[tag] = (1 << 24) // max(images_per_tag[tag], 1)
    total = images_in(state, problem)
    for tag in problem.order:
        while (counts[tag] + 1) * UNIT <= target[tag] + UNIT // 2 and total < size:
            best = _best_step(tag, size - total, state, counts, problem, target, weight, place, groups)
            if best < 0:
                break
            state[best] = CHOSEN
            move(best, 1, counts, problem)
            total += problem.sizes[best]
    for group in range(len(state)):
        if state[group] == UNFIT:
            state[group] = FREE
    for _ in range(SWEEPS):
        if not _sweep(state, counts, problem, target, weight):
            break
    _reach_size(state, counts, problem, target, weight, size)


@inner
def _best_step(tag, room, state, counts, problem, target, weight, place, groups):
    """Among the tag's next free groups, the one that brings the shares of all its tags nearest; -1 when none fits."""
    best, best_gain, seen = -1, 0, 0
    position, end = place[tag], problem.column_starts[tag + 1]
    candidates = problem.scratch
    while position < end and seen < CANDIDATES:
        group = groups[position]
        position += 1
        if state[group] != FREE:
            continue
        if problem.sizes[group] > room or not fits(group, counts, problem):
            state[group] = UNFIT
            continue
        gain = _gain(group, 1, counts, problem, target, weight)
        if best < 0 or gain > best_gain:
            best, best_gain = group, gain
        candidates[seen] = group
        seen += 1
    place[tag] = position - seen
    for index in range(seen):
        groups[position - seen + index] = candidates[index]
    return best


@inner
def _gain(group, sign, counts, problem, target, weight):
    """By how much drawing (+1) or putting back (-1) a group brings the shares nearer to their targets."""
    gain = 0
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        tag = problem.tags[entry]
        before = counts[tag] * UNIT - target[tag]
        after = before + sign * problem.images[entry] * UNIT
        gain += weight[tag] * ((abs(before) - abs(after)) >> 8)
    return gain


@inner
def _loses_minimum(group, counts, problem):
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        if counts[problem.tags[entry]] - problem.images[entry] < problem.lower[problem.tags[entry]]:
            return True
    return False


@inner
def _sweep(state, counts, problem, target, weight):
    """One pass over all groups: draw or put back each that brings the shares nearer; returns whether any did."""
    changed = False
    for group in range(len(problem.sizes)):
        if state[group] == CHOSEN:
            if _gain(group, -1, counts, problem, target, weight) > 0 and not _loses_minimum(group, counts, problem):
                state[group] = FREE
                move(group, -1, counts, problem)
                changed = True
        elif (
            state[group] == FREE
            and _gain(group, 1, counts, problem, target, weight) > 0
            and fits(group, counts, problem)
        ):
            state[group] = CHOSEN
            move(group, 1, counts, problem)
            changed = True
    return changed


@inner
def _reach_size(state, counts, problem, target, weight, size):
    """Draw or put back groups at the least cost to the shares until the size is reached, as far as bounds allow."""
    total = images_in(state, problem)
    if total == size:
        return
    sign, movable = (1, FREE) if total < size else (-1, CHOSEN)
    costs = np.empty(len(problem.sizes), dtype=np.int64)
    for group in range(len(problem.sizes)):
        costs[group] = -_gain(group, sign, counts, problem, target, weight) // problem.sizes[group]
    for group in np.argsort(costs, kind="mergesort"):
        if total == size:
            return
        if state[group] != movable or problem.sizes[group] > abs(size - total):
            continue
        if sign > 0 and not fits(group, counts, problem):
            continue
        if sign < 0 and _loses_minimum(group, counts, problem):
            continue
        state[group] = CHOSEN if sign > 0 else FREE
        move(group, sign, counts, problem)
        total += sign * problem.sizes[group]
