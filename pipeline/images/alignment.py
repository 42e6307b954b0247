"""Whether one picture is another one, or a part of it: grey miniatures laid over each other where they fit best."""

import numba
import numpy as np

from pipeline.images.verify import MINIATURE as SIDE

COARSE = 2  # every second row and column is compared first
WORTH_CLIMBING = 0.6  # correlation at the best coarse window below which no shift of a few per cent helps
WORTH_REFINING = 0.5  # agreement of gradients after the coarse climb below which finer steps do not help
STEPS = (0.04, 0.02)  # of the picture's side
FINE_STEPS = (0.01, 0.005)
ROUNDS = 8


def likenesses(miniatures: np.ndarray, pairs: np.ndarray, smallest_part: float) -> np.ndarray:
    """For each pair of rows, how far the two pictures agree at the best overlay found, float64 in [-1, 1].

    `miniatures` is uint8 [n, SIDE * SIDE], `pairs` int64 [m, 2]. The whole of either picture is compared with parts of
    the other, down to `smallest_part` of its width and height. The overlay is found by normalised cross-correlation;
    the agreement is that of the grey gradients' fourth roots: a fine perceptual hash whose bits, the directions of the
    gradients, weigh nearly the same, so that a frame or a rim that two pictures share does not outvote what they show.
    """
    windows = coarse_windows(smallest_part)
    return _likenesses(miniatures.reshape(len(miniatures), SIDE, SIDE), pairs, windows, smallest_part)


def coarse_windows(smallest_part: float) -> np.ndarray:
    """Windows left, top, width, height to start from, as shares of the side; the whole picture first."""
    middle = (1.0 + smallest_part) / 2
    spans = [(0.0, 1.0)]
    spans += [(place * (1.0 - size), size) for size in (middle, smallest_part) for place in (0.0, 0.5, 1.0)]
    return np.array([(left, top, width, height) for left, width in spans for top, height in spans])


@numba.njit(parallel=True, cache=True)
def _likenesses(miniatures, pairs, windows, smallest_part):  # type: ignore[no-untyped-def]
    best = np.empty(len(pairs))
    for number in numba.prange(len(pairs)):
        one, other = miniatures[pairs[number, 0]], miniatures[pairs[number, 1]]
        there = _likeness(one, other, windows, smallest_part)
        back = _likeness(other, one, windows, smallest_part)
        best[number] = max(there, back)
    return best


@numba.njit(cache=True)
def _likeness(whole, large, windows, smallest_part):  # type: ignore[no-untyped-def]
    """The agreement of `whole` with the best part of `large`: a coarse search, then a climb in smaller steps."""
    window = windows[0].copy()
    best = -1.0
    for candidate in windows:
        found = _correlation(whole, _part(large, candidate, COARSE), COARSE)
        if found > best:
            best, window = found, candidate.copy()
    if best < WORTH_CLIMBING:
        return -1.0
    whole_gradients = _roots(_blurred(whole.astype(np.float64)))
    for step in STEPS:
        _climb(whole, whole_gradients, large, window, step, smallest_part, False)
    best = _agreement(whole, whole_gradients, large, window, True)
    if best < WORTH_REFINING:
        return best
    for step in FINE_STEPS:
        best = _climb(whole, whole_gradients, large, window, step, smallest_part, True)
    return best


@numba.njit(cache=True)
def _climb(whole, whole_gradients, large, window, step, smallest_part, fine):  # type: ignore[no-untyped-def]
    """Move each edge of the window by a step while that helps; changes `window`, returns the agreement reached."""
    best = _agreement(whole, whole_gradients, large, window, fine)
    for _ in range(ROUNDS):
        improved = False
        for edge in range(4):
            for sign in (-1.0, 1.0):
                trial = window.copy()
                axis = edge % 2
                if edge < 2:
                    trial[axis] += sign * step
                    trial[2 + axis] -= sign * step
                else:
                    trial[2 + axis] += sign * step
                if not _inside(trial, smallest_part):
                    continue
                found = _agreement(whole, whole_gradients, large, trial, fine)
                if found > best + 1e-9:
                    best = found
                    window[:] = trial
                    improved = True
        if not improved:
            break
    return best


@numba.njit(cache=True)
def _agreement(whole, whole_gradients, large, window, fine):  # type: ignore[no-untyped-def]
    if not fine:
        return _correlation(whole, _part(large, window, COARSE), COARSE)
    gradients = _roots(_blurred(_part(large, window, 1)))
    norm = np.sqrt((whole_gradients * whole_gradients).sum() * (gradients * gradients).sum())
    return (whole_gradients * gradients).sum() / norm if norm > 1e-9 else 0.0


@numba.njit(cache=True)
def _inside(window, smallest_part):  # type: ignore[no-untyped-def]
    for axis in range(2):
        start, size = window[axis], window[2 + axis]
        if start < -1e-9 or start + size > 1.0 + 1e-9 or size < smallest_part - 0.05:
            return False
    return True


@numba.njit(cache=True)
def _part(large, window, stride):  # type: ignore[no-untyped-def]
    """The window of `large` on a grid of SIDE / stride points a side, sampled bilinearly."""
    left, top, width, height = window
    part = np.empty((SIDE // stride, SIDE // stride))
    for row in range(0, SIDE, stride):
        y = min(max((top + (row + 0.5) / SIDE * height) * SIDE - 0.5, 0.0), SIDE - 1.0)
        y0 = min(int(y), SIDE - 2)
        fy = y - y0
        for column in range(0, SIDE, stride):
            x = min(max((left + (column + 0.5) / SIDE * width) * SIDE - 0.5, 0.0), SIDE - 1.0)
            x0 = min(int(x), SIDE - 2)
            fx = x - x0
            upper = large[y0, x0] * (1 - fx) + large[y0, x0 + 1] * fx
            lower = large[y0 + 1, x0] * (1 - fx) + large[y0 + 1, x0 + 1] * fx
            part[row // stride, column // stride] = upper * (1 - fy) + lower * fy
    return part


@numba.njit(cache=True)
def _correlation(whole, part, stride):  # type: ignore[no-untyped-def]
    """Zero-mean normalised cross-correlation of every `stride`-th point of `whole` with `part`."""
    count = part.size
    sum_a = sum_b = sum_aa = sum_bb = sum_ab = 0.0
    for row in range(part.shape[0]):
        for column in range(part.shape[1]):
            a = float(whole[row * stride, column * stride])
            b = part[row, column]
            sum_a += a
            sum_b += b
            sum_aa += a * a
            sum_bb += b * b
            sum_ab += a * b
    variance_a = sum_aa - sum_a * sum_a / count
    variance_b = sum_bb - sum_b * sum_b / count
    if variance_a < 1e-6 or variance_b < 1e-6:
        return 0.0
    return (sum_ab - sum_a * sum_b / count) / np.sqrt(variance_a * variance_b)


@numba.njit(cache=True)
def _blurred(grey):  # type: ignore[no-untyped-def]
    """A 3 x 3 binomial blur inside, the border as it is: part of a picture is coarser than the whole."""
    out = grey.copy()
    for row in range(1, SIDE - 1):
        for column in range(1, SIDE - 1):
            near = grey[row - 1, column] + grey[row + 1, column] + grey[row, column - 1] + grey[row, column + 1]
            corners = grey[row - 1, column - 1] + grey[row - 1, column + 1]
            corners += grey[row + 1, column - 1] + grey[row + 1, column + 1]
            out[row, column] = (4 * grey[row, column] + 2 * near + corners) / 16
    return out


@numba.njit(cache=True)
def _roots(grey):  # type: ignore[no-untyped-def]
    """The fourth roots of the differences to the right and lower neighbours, with their signs."""
    out = np.zeros((2, SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            if column + 1 < SIDE:
                out[0, row, column] = _root(grey[row, column + 1] - grey[row, column])
            if row + 1 < SIDE:
                out[1, row, column] = _root(grey[row + 1, column] - grey[row, column])
    return out


@numba.njit(cache=True)
def _root(value):  # type: ignore[no-untyped-def]
    return np.sqrt(np.sqrt(value)) if value >= 0 else -np.sqrt(np.sqrt(-value))
