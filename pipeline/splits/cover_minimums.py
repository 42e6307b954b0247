"""Compiled steps that cover the minimums of all tags; each changes `state` (per group) and `counts` (images per tag).

Scores are whole numbers; of equal groups the first in the matrix's order is taken.
"""

from typing import NamedTuple

import numpy as np

from pipeline.compiled import compiled, inner

FREE, SELECTED, KEPT, EXCLUDED = 0, 1, 2, 3  # KEPT: selected earlier and never removed; EXCLUDED: never selected
RARITY = 1 << 20  # a missing image weighs this much, divided by the number of its tag's groups
MAX_SWAPS = 200_000  # tried in a repair
MAX_PASSES = 30  # of `swap_for_fewer_images`
MAX_NEIGHBOURS = 500  # tags with more groups are not searched for removable groups; the next pass does it


class Problem(NamedTuple):
    """The matrix of images per group and tag, by rows and by columns, and the bounds of every tag."""

    starts: np.ndarray  # the entries of group g are starts[g] to starts[g + 1]
    tags: np.ndarray  # of every entry
    images: np.ndarray  # of every entry
    sizes: np.ndarray  # images of every group
    column_starts: np.ndarray  # the groups of tag t are at column_starts[t] to column_starts[t + 1]
    column_groups: np.ndarray  # in the groups' order
    lower: np.ndarray  # least images of every tag
    upper: np.ndarray  # most images of every tag
    order: np.ndarray  # tags from rare to frequent
    scratch: np.ndarray  # working memory, as many numbers as there are groups


@inner
def entries_of(group, problem):
    """The entries of a group."""
    return range(problem.starts[group], problem.starts[group + 1])


@inner
def groups_of(tag, problem):
    """The groups that have images of a tag."""
    return problem.column_groups[problem.column_starts[tag] : problem.column_starts[tag + 1]]


@inner
def _n_groups(tag, problem):
    return problem.column_starts[tag + 1] - problem.column_starts[tag]


@inner
def images_in(state, problem):
    """How many images the selected and kept groups hold."""
    total = 0
    for group in range(len(problem.sizes)):
        if state[group] == SELECTED or state[group] == KEPT:
            total += problem.sizes[group]
    return total


@inner
def fits(group, counts, problem):
    """Whether adding the group keeps every tag within its upper bound."""
    for entry in entries_of(group, problem):
        if counts[problem.tags[entry]] + problem.images[entry] > problem.upper[problem.tags[entry]]:
            return False
    return True


@inner
def _move(group, sign, counts, problem):
    """Add (+1) or subtract (-1) a group's images; returns by how much the sum of all deficits falls."""
    less = 0
    for entry in entries_of(group, problem):
        tag = problem.tags[entry]
        less += max(problem.lower[tag] - counts[tag], 0)
        counts[tag] += sign * problem.images[entry]
        less -= max(problem.lower[tag] - counts[tag], 0)
    return less


@inner
def select(group, state, counts, problem):
    """Select a group; returns by how much the sum of all deficits falls."""
    state[group] = SELECTED
    return _move(group, 1, counts, problem)


@inner
def put_back(group, state, counts, problem):
    """Undo `select`; returns by how much the sum of all deficits falls, 0 or less."""
    state[group] = FREE
    return _move(group, -1, counts, problem)


@inner
def _coverage(group, counts, problem, weighted):
    """How many missing images the group would add, over all its tags; if weighted, each by the rarity of its tag."""
    covered = 0
    for entry in entries_of(group, problem):
        tag = problem.tags[entry]
        missing = problem.lower[tag] - counts[tag]
        if missing > 0:
            weight = RARITY // _n_groups(tag, problem) if weighted else 1
            covered += min(problem.images[entry], missing) * weight
    return covered


@inner
def _best_group(tag, state, counts, problem):
    """The free group of a tag that adds most missing images per image, or -1; ties go to the group with fewest tags.

    Missing images of rare tags weigh more: those of frequent tags are covered along the way.
    """
    best, best_coverage, best_size, best_tags = -1, 0, 1, 0
    for group in groups_of(tag, problem):
        if state[group] != FREE or not fits(group, counts, problem):
            continue
        coverage = _coverage(group, counts, problem, True)
        size, n_tags = problem.sizes[group], len(entries_of(group, problem))
        ours, theirs = coverage * best_size, best_coverage * size
        if ours > theirs or (ours == theirs and best >= 0 and n_tags < best_tags):
            best, best_coverage, best_size, best_tags = group, coverage, size, n_tags
    return best


@compiled
def cover_minimums(state, counts, problem):
    """Select groups until every lower bound is met or nothing fits, rare tags first: they have fewest groups."""
    for tag in problem.order:
        while counts[tag] < problem.lower[tag]:
            group = _best_group(tag, state, counts, problem)
            if group < 0:
                break
            select(group, state, counts, problem)


@inner
def _tightest(group, counts, problem):
    """Of the tags whose upper bound the group would exceed, the one with the fewest groups; -1 if the group fits."""
    tightest = -1
    for entry in entries_of(group, problem):
        tag = problem.tags[entry]
        full = counts[tag] + problem.images[entry] > problem.upper[tag]
        if full and (tightest < 0 or _n_groups(tag, problem) < _n_groups(tightest, problem)):
            tightest = tag
    return tightest


@inner
def _swap(wanted, given, state, counts, problem):
    """Select `wanted` in place of `given` and cover what that uncovers; undone unless fewer images are missing."""
    less = put_back(given, state, counts, problem)
    if not fits(wanted, counts, problem):
        select(given, state, counts, problem)
        return False
    less += select(wanted, state, counts, problem)
    state[given] = EXCLUDED  # not to be selected again at once
    added = problem.scratch
    added[0], n_added = wanted, 1
    for entry in entries_of(given, problem):
        tag = problem.tags[entry]
        while less <= 0 and counts[tag] < problem.lower[tag]:
            group = _best_group(tag, state, counts, problem)
            if group < 0:
                break
            less += select(group, state, counts, problem)
            added[n_added] = group
            n_added += 1
    state[given] = FREE
    if less > 0:
        return True
    for group in added[:n_added]:
        put_back(group, state, counts, problem)
    select(given, state, counts, problem)
    return False


@compiled
def repair(state, counts, problem):
    """Cover minimums that failed because other tags were full: swap a selected group for one of the missing tag."""
    tries, improved = 0, True
    while improved:
        improved = False
        for tag in problem.order:
            for wanted in groups_of(tag, problem):
                if counts[tag] >= problem.lower[tag]:
                    break
                if state[wanted] != FREE:
                    continue
                full = _tightest(wanted, counts, problem)
                if full < 0:
                    select(wanted, state, counts, problem)
                    improved = True
                    continue
                for given in groups_of(full, problem):
                    if state[given] != SELECTED:
                        continue
                    tries += 1
                    if tries > MAX_SWAPS:
                        return
                    if _swap(wanted, given, state, counts, problem):
                        improved = True
                        break


@inner
def _drop_if_redundant(group, state, counts, problem):
    """Put a selected group back unless a minimum needs it; returns whether it was put back."""
    if put_back(group, state, counts, problem) == 0:
        return True
    select(group, state, counts, problem)
    return False


@compiled
def drop_redundant(state, counts, problem):
    """Put back groups that no minimum needs, last group first."""
    for group in range(len(problem.sizes) - 1, -1, -1):
        if state[group] == SELECTED:
            _drop_if_redundant(group, state, counts, problem)


@compiled
def swap_for_fewer_images(state, counts, problem):
    """Cover the same minimums with fewer images: swap groups for others of at most their size that leave more slack,
    and put back groups that become redundant; up to MAX_PASSES over all groups.
    """
    for _ in range(MAX_PASSES):
        dropped = 0
        for given in range(len(state)):
            if state[given] != SELECTED:
                continue
            if _move(given, -1, counts, problem) == 0:
                state[given] = FREE
                dropped += 1
                continue
            wanted = _replacement(given, state, counts, problem)
            state[given] = FREE
            select(wanted, state, counts, problem)
            if wanted != given:
                dropped += _drop_neighbours(wanted, state, counts, problem)
        if dropped == 0:
            break


@inner
def _replacement(given, state, counts, problem):
    """The best group to swap in for `given`: it restores all minimums and leaves most slack; `given` if there is none.

    The images of `given` are already subtracted from `counts`.
    """
    gaps, rarest = 0, -1
    for entry in entries_of(given, problem):
        tag = problem.tags[entry]
        gap = min(problem.images[entry], max(problem.lower[tag] - counts[tag], 0))
        gaps += gap
        if gap > 0 and (rarest < 0 or _n_groups(tag, problem) < _n_groups(rarest, problem)):
            rarest = tag
    best, best_slack = given, _slack(given, counts, problem)
    for group in groups_of(rarest, problem):
        if state[group] != FREE or problem.sizes[group] > problem.sizes[given]:
            continue
        slack = _slack(group, counts, problem)
        # an equal group counts as better: moving along a plateau finds improvements that a strict climb misses
        if slack >= best_slack and fits(group, counts, problem) and _coverage(group, counts, problem, False) >= gaps:
            best, best_slack = group, slack
    return best


@inner
def _slack(group, counts, problem):
    """How many of the group's tags are at or below their minimum without it."""
    n_tags = 0
    for entry in entries_of(group, problem):
        tag = problem.tags[entry]
        if counts[tag] <= problem.lower[tag]:
            n_tags += 1
    return n_tags


@inner
def _drop_neighbours(wanted, state, counts, problem):
    """Put back the redundant groups that share a tag with `wanted`; returns how many.

    Tags with more than MAX_NEIGHBOURS groups are not searched for removable groups; the next pass does it.
    """
    dropped = 0
    for entry in entries_of(wanted, problem):
        tag = problem.tags[entry]
        if counts[tag] <= problem.lower[tag] or _n_groups(tag, problem) > MAX_NEIGHBOURS:
            continue
        for group in groups_of(tag, problem):
            if state[group] == SELECTED and group != wanted:
                dropped += _drop_if_redundant(group, state, counts, problem)
    return dropped
