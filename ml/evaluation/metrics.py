"""The paper's metrics and further ones, per image, as compiled loops; ties count at their expected value."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from pipeline.tables import COUNT_UNSEEN, IGNORE_UNSEEN

POLICIES = (IGNORE_UNSEEN, COUNT_UNSEEN)
FURTHER = (
    "leaf_r_precision",
    "hierarchical_precision",
    "hierarchical_recall",
    "hierarchical_f",
    "coherence_violations",
    "confidence",
)
LANES = 64  # half floats compared in one loop, which the compiler vectorizes
COHERENCE_DEPTH = 10  # the tags that a cataloguer sees


def main_metrics(top_k: Sequence[int]) -> list[str]:
    """The names of the paper's metrics, in the order of its tables."""
    return ["r_precision", *(f"acc_at_{k}" for k in top_k), "avg_rank_position"]


def as_bits(scores: np.ndarray) -> np.ndarray:
    """Floats viewed as the integers of their bits; contiguous arrays are not copied."""
    scores = np.ascontiguousarray(scores)
    return scores.view(f"i{scores.dtype.itemsize}")


def from_keys(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The inverse of `_order`: float64 scores of ordered keys; `dtype` is the integer type of their bits."""
    whole, sign = keys.astype(np.int64), np.iinfo(dtype).min
    bits = np.where(whole < 0, -whole | sign, whole).astype(dtype)
    return bits.view(f"f{dtype.itemsize}").astype(np.float64)


def bit_layout(dtype: np.dtype) -> tuple[np.integer, np.integer, np.integer]:
    """Mask of the magnitude, magnitude of infinity, and position of the sign in the bits of a float."""
    kind = dtype.type
    infinite = np.array([np.inf]).astype(f"f{dtype.itemsize}").view(dtype)[0]
    return kind(np.iinfo(dtype).max), infinite, kind(8 * dtype.itemsize - 1)


@njit(cache=True)
def _order(bits, mask, sign, keys, peaks):
    """Turn the bits of floats into integers with the same order, -0 equal to 0; return the largest magnitude.

    Integers, because CPUs do not compare half floats, but 32 small integers at once. `peaks` holds LANES numbers of the
    same width as the bits, so that the loop is vectorized at that width.
    """
    peaks[:] = 0
    done = bits.size // LANES * LANES
    for start in range(0, done, LANES):
        for lane in range(LANES):
            magnitude = bits[start + lane] & mask
            negative = bits[start + lane] >> sign  # all ones, or none
            keys[start + lane] = (magnitude ^ negative) - negative
            peaks[lane] = max(peaks[lane], magnitude)
    largest = peaks.max()
    for j in range(done, bits.size):
        magnitude, negative = bits[j] & mask, bits[j] >> sign
        keys[j] = (magnitude ^ negative) - negative
        largest = max(largest, magnitude)
    return largest


@njit(cache=True)
def _place(keys, key, counts):
    """How many of the keys are larger, and how many are equal.

    Half floats are counted in int16 lanes, `counts` (2, LANES), which is five times faster than one 64-bit counter;
    wider floats gain nothing from it.
    """
    larger, equal, done = 0, 0, 0
    if keys.itemsize == 2:
        counts[:] = 0
        done = keys.size // LANES * LANES
        for start in range(0, done, LANES):
            for lane in range(LANES):
                counts[0, lane] += keys[start + lane] > key
                counts[1, lane] += keys[start + lane] == key
        for lane in range(LANES):
            larger += counts[0, lane]
            equal += counts[1, lane]
    for j in range(done, keys.size):
        larger += keys[j] > key
        equal += keys[j] == key
    return larger, equal


@njit(cache=True)
def _chance(larger, equal, k):
    """Chance that one of `equal` tied tags behind `larger` others is among the k best."""
    return min(1.0, max(0.0, (k - larger) / equal))


@njit(cache=True)
def _any_in_top(larger, equal, k):
    """Chance that at least one relevant tag is among the k best, with ties in random order.

    At most one block of ties straddles k: m of its e tags, r of them relevant, fit: 1 - C(e-r, m) / C(e, m).
    """
    r, block = 0, -1
    for i in range(larger.size):
        if larger[i] + equal[i] <= k:
            return 1.0
        if larger[i] < k:
            block = i
    if block < 0:
        return 0.0
    for i in range(larger.size):
        r += larger[i] == larger[block]
    e, m = equal[block], k - larger[block]
    miss = 1.0
    for i in range(m):
        miss *= max(0, e - r - i) / (e - i)
    return 1.0 - miss


@njit(cache=True)
def _best(keys, n, best):
    """Write the n best tags to `best`, ties in the order of the tag list; return how many there are."""
    filled = 0
    for j in range(keys.size):
        if filled == n and keys[j] <= keys[best[n - 1]]:
            continue
        at = min(filled, n - 1)
        while at > 0 and keys[best[at - 1]] < keys[j]:
            best[at] = best[at - 1]
            at -= 1
        best[at] = j
        filled = min(filled + 1, n)
    return filled


@njit(cache=True)
def _leaf_r_precision(row, relevant, stated, larger, equal):
    """R-Precision of the stated tags, with their ancestors, which are right as well, left out of the ranking."""
    n_stated = stated.sum()
    total = 0.0
    for i in range(relevant.size):
        if not stated[i]:
            continue
        ahead, tied = larger[i], equal[i]
        for j in range(relevant.size):
            if not stated[j]:
                ahead -= row[relevant[j]] > row[relevant[i]]
                tied -= row[relevant[j]] == row[relevant[i]]
        total += _chance(ahead, tied, n_stated)
    return total / n_stated if n_stated else np.nan


@njit(cache=True)
def _overlap(best, n, relevant, parents, mark, stamp):
    """Number of the n best tags with all their ancestors, and how many of these are relevant."""
    for tag in relevant:
        mark[tag] = stamp
    size, common = 0, 0
    for i in range(n):
        tag = best[i]
        while tag >= 0 and mark[tag] != stamp + 1:
            common += mark[tag] == stamp
            mark[tag] = stamp + 1
            size += 1
            tag = parents[tag]
    return size, common


@njit(cache=True)
def _incoherent(row, best, n, parents):
    """Among the n best tags with a parent, the share that scores above it; NaN where none has a parent."""
    pairs, wrong = 0, 0
    for i in range(n):
        parent = parents[best[i]]
        if parent >= 0:
            pairs += 1
            wrong += row[parent] < row[best[i]]
    return wrong / pairs if pairs else np.nan


@njit(cache=True, nogil=True)
def rank_images(
    bits, mask, infinite, sign, rows, starts, tags, stated, unseen, parents, tops, values, further, hits, positions
):
    """Fill `values`, `hits` and `positions` for a batch of distinct images; return False for a NaN.

    `further` is the first column of the further metrics, -1 to leave them out.
    """
    n, n_tags = bits.shape
    row = np.empty(n_tags, bits.dtype)
    mark = np.full(n_tags, -1, np.int64)
    best = np.zeros(n_tags + COHERENCE_DEPTH, np.int64)
    counts, peaks = np.zeros((2, LANES), np.int16), np.zeros(LANES, bits.dtype)
    for b in range(n):
        image = rows[b]
        first, last = starts[image], starts[image + 1]
        known = last - first
        out = values[image]
        everything = known + unseen[image]
        if everything == 0:
            continue
        if n_tags and _order(bits[b], mask, sign, row, peaks) > infinite:
            return False
        larger = np.empty(known, np.int64)
        equal = np.empty(known, np.int64)
        right, right_all, position = 0.0, 0.0, 0.0
        for i in range(known):
            larger[i], equal[i] = _place(row, row[tags[first + i]], counts)
            hits[first + i] = _chance(larger[i], equal[i], known)
            positions[first + i] = larger[i] + (equal[i] + 1) / 2
            right += hits[first + i]
            right_all += _chance(larger[i], equal[i], everything)
            position += positions[first + i]
        u = unseen[image]
        width = tops.size + 2
        out[width] = right_all / everything
        out[2 * width - 1] = (position + u * (n_tags + (u + 1) / 2)) / everything
        for k in range(tops.size):
            out[width + 1 + k] = _any_in_top(larger, equal, tops[k])
        if known == 0:
            continue
        out[0] = right / known
        out[width - 1] = position / known
        for k in range(tops.size):
            out[1 + k] = out[width + 1 + k]
        if further < 0:
            continue
        relevant = tags[first:last]
        filled = _best(row, min(n_tags, max(known, COHERENCE_DEPTH)), best)
        size, common = _overlap(best, known, relevant, parents, mark, 2 * b)
        precision, recall = common / size, common / known
        out[further] = _leaf_r_precision(row, relevant, stated[first:last], larger, equal)
        out[further + 1] = precision
        out[further + 2] = recall
        out[further + 3] = 2 * precision * recall / (precision + recall) if common else 0.0
        out[further + 4] = _incoherent(row, best, min(filled, COHERENCE_DEPTH), parents)
        out[further + 5] = row[best[0]]
    return True
