"""The compiled steps that meet the minimums: each changes `state` (per group) and `counts` (images per tag) in place.

Scores are whole numbers; between equals the first group in the matrix's order wins.
"""

from typing import NamedTuple

import numpy as np

from pipeline.compiled import compiled, inner

FREE, CHOSEN, KEPT, BARRED = 0, 1, 2, 3  # KEPT: drawn earlier, never taken out; BARRED: not to be drawn
RARITY = 1 << 20  # weight of a missing image times the number of its tag's groups
EXCHANGES = 200_000  # groups tried in a repair, at most
SWEEPS = 30  # passes that save images, at most
NEIGHBOURS = 500  # a tag with more groups is not searched for needless ones; the next sweep finds them


class Problem(NamedTuple):
    """What a draw is made from: the matrix by rows and by columns, and the bounds."""

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
def images_in(state, problem):
    """How many images the groups drawn so far hold."""
    total = 0
    for group in range(len(problem.sizes)):
        if state[group] == CHOSEN or state[group] == KEPT:
            total += problem.sizes[group]
    return total


@inner
def fits(group, counts, problem):
    """Whether the group may be drawn without exceeding any tag's upper bound."""
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        if counts[problem.tags[entry]] + problem.images[entry] > problem.upper[problem.tags[entry]]:
            return False
    return True


@inner
def move(group, sign, counts, problem):
    """Draw (+1) or put back (-1) a group; returns by how much the sum of all deficits fell."""
    less = 0
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        tag = problem.tags[entry]
        less += max(problem.lower[tag] - counts[tag], 0)
        counts[tag] += sign * problem.images[entry]
        less -= max(problem.lower[tag] - counts[tag], 0)
    return less


@inner
def _groups_of(tag, problem):
    return problem.column_starts[tag + 1] - problem.column_starts[tag]


@inner
def _covers(group, counts, problem, weighted):
    """How many missing images the group would bring, over all its tags; weighted: each by the rarity of its tag."""
    found = 0
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        tag = problem.tags[entry]
        missing = problem.lower[tag] - counts[tag]
        if missing > 0:
            weight = RARITY // _groups_of(tag, problem) if weighted else 1
            found += min(problem.images[entry], missing) * weight
    return found


@inner
def _best_cover(tag, state, counts, problem):
    """The free group of a tag that brings most missing images per image, or -1; between equals that of fewest tags.

    A missing image of a rare tag counts for more: frequent tags are covered on the way anyway.
    """
    best, best_covers, best_size, best_tags = -1, 0, 1, 0
    for place in range(problem.column_starts[tag], problem.column_starts[tag + 1]):
        group = problem.column_groups[place]
        if state[group] != FREE or not fits(group, counts, problem):
            continue
        covers = _covers(group, counts, problem, True)
        size, its_tags = problem.sizes[group], problem.starts[group + 1] - problem.starts[group]
        here, there = covers * best_size, best_covers * size
        if here > there or (here == there and best >= 0 and its_tags < best_tags):
            best, best_covers, best_size, best_tags = group, covers, size, its_tags
    return best


@compiled
def meet_minimums(state, counts, problem):
    """Draw groups until every lower bound is met or nothing fits: rare tags first, they have the least choice."""
    for tag in problem.order:
        while counts[tag] < problem.lower[tag]:
            group = _best_cover(tag, state, counts, problem)
            if group < 0:
                break
            state[group] = CHOSEN
            move(group, 1, counts, problem)


@inner
def _tightest(group, counts, problem):
    """Among the tags that keep a group out, the one with the fewest groups; -1 when it fits."""
    tightest = -1
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        tag = problem.tags[entry]
        full = counts[tag] + problem.images[entry] > problem.upper[tag]
        if full and (tightest < 0 or _groups_of(tag, problem) < _groups_of(tightest, problem)):
            tightest = tag
    return tightest


@inner
def _exchange(wanted, given, state, counts, problem):
    """Draw `wanted` in place of `given` and cover again what that opened; undone unless fewer images are missing."""
    less = move(given, -1, counts, problem)
    state[given] = FREE
    if not fits(wanted, counts, problem):
        move(given, 1, counts, problem)
        state[given] = CHOSEN
        return False
    less += move(wanted, 1, counts, problem)
    state[wanted] = CHOSEN
    state[given] = BARRED  # not to come back at once
    added = problem.scratch
    added[0], n_added = wanted, 1
    for entry in range(problem.starts[given], problem.starts[given + 1]):
        tag = problem.tags[entry]
        while less <= 0 and counts[tag] < problem.lower[tag]:
            group = _best_cover(tag, state, counts, problem)
            if group < 0:
                break
            state[group] = CHOSEN
            less += move(group, 1, counts, problem)
            added[n_added] = group
            n_added += 1
    state[given] = FREE
    if less > 0:
        return True
    for place in range(n_added):
        state[added[place]] = FREE
        move(added[place], -1, counts, problem)
    state[given] = CHOSEN
    move(given, 1, counts, problem)
    return False


@compiled
def repair(state, counts, problem):
    """Meet minimums that failed because other tags were full: exchange a drawn group for one of the tag's groups."""
    tries = 0
    improved = True
    while improved:
        improved = False
        for tag in problem.order:
            place = problem.column_starts[tag]
            while counts[tag] < problem.lower[tag] and place < problem.column_starts[tag + 1]:
                wanted = problem.column_groups[place]
                place += 1
                if state[wanted] != FREE:
                    continue
                full = _tightest(wanted, counts, problem)
                if full < 0:
                    state[wanted] = CHOSEN
                    move(wanted, 1, counts, problem)
                    improved = True
                    continue
                for other in range(problem.column_starts[full], problem.column_starts[full + 1]):
                    given = problem.column_groups[other]
                    if state[given] != CHOSEN:
                        continue
                    tries += 1
                    if tries > EXCHANGES:
                        return
                    if _exchange(wanted, given, state, counts, problem):
                        improved = True
                        break


@compiled
def drop_needless(state, counts, problem):
    """Put back groups that no minimum needs, last group first."""
    for group in range(len(problem.sizes) - 1, -1, -1):
        if state[group] != CHOSEN:
            continue
        if move(group, -1, counts, problem) < 0:
            move(group, 1, counts, problem)
        else:
            state[group] = FREE


@compiled
def exchange_for_fewer(state, counts, problem):
    """Meet the same minimums with fewer images: exchange a group for one of the same size or smaller that does its work
    and leaves more slack elsewhere, and put back whatever that makes needless; some sweeps over all groups.
    """
    for _ in range(SWEEPS):
        dropped = 0
        for given in range(len(state)):
            if state[given] != CHOSEN:
                continue
            if move(given, -1, counts, problem) == 0:
                state[given] = FREE
                dropped += 1
                continue
            wanted = _replacement(given, state, counts, problem)
            state[given] = FREE
            state[wanted] = CHOSEN
            move(wanted, 1, counts, problem)
            if wanted != given:
                dropped += _drop_beside(wanted, state, counts, problem)
        if dropped == 0:
            break


@inner
def _replacement(given, state, counts, problem):
    """The group that closes every gap `given` left (it is out already) and adds most slack; or `given` itself."""
    gaps, rarest = 0, -1
    for entry in range(problem.starts[given], problem.starts[given + 1]):
        tag = problem.tags[entry]
        gap = min(problem.images[entry], max(problem.lower[tag] - counts[tag], 0))
        gaps += gap
        if gap > 0 and (rarest < 0 or _groups_of(tag, problem) < _groups_of(rarest, problem)):
            rarest = tag
    best, best_slack = given, _slack(given, counts, problem)
    for place in range(problem.column_starts[rarest], problem.column_starts[rarest + 1]):
        group = problem.column_groups[place]
        if state[group] != FREE or problem.sizes[group] > problem.sizes[given]:
            continue
        slack = _slack(group, counts, problem)
        # an equal one counts as better: wandering on a plateau finds what a strict climb does not
        if slack >= best_slack and fits(group, counts, problem) and _covers(group, counts, problem, False) >= gaps:
            best, best_slack = group, slack
    return best


@inner
def _slack(group, counts, problem):
    """For how many of its tags the group would bring the count to its minimum or just above it."""
    found = 0
    for entry in range(problem.starts[group], problem.starts[group + 1]):
        tag = problem.tags[entry]
        if counts[tag] <= problem.lower[tag]:
            found += 1
    return found


@inner
def _drop_beside(wanted, state, counts, problem):
    """Put back drawn groups that share a tag with `wanted` and are needless now; returns how many."""
    dropped = 0
    for entry in range(problem.starts[wanted], problem.starts[wanted + 1]):
        tag = problem.tags[entry]
        if counts[tag] <= problem.lower[tag] or _groups_of(tag, problem) > NEIGHBOURS:
            continue
        for place in range(problem.column_starts[tag], problem.column_starts[tag + 1]):
            group = problem.column_groups[place]
            if state[group] != CHOSEN or group == wanted:
                continue
            if move(group, -1, counts, problem) < 0:
                move(group, 1, counts, problem)
            else:
                state[group] = FREE
                dropped += 1
    return dropped
