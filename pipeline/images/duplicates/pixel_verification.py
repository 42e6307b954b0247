"""A second look at pictures that seem alike: laid over each other to a fraction of a point, then compared.

Two photographs of the same kind of thing before the same cloth agree in their outlines. Copies of one photograph agree
in every small block of it, and one colour correction maps all of the one to all of the other.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.compiled import compiled

SIDE = 128  # points of a picture's square in which two are compared
HALF_ROUNDS, ROUNDS = 4, 3  # of the fit of the window, first at every second point
HOPELESS = 0.5  # agreement at every second point below which a closer fit does not help
LONGEST_STEP = 0.03  # of the window in one round, as a share of the side
LEAST_CONTRAST = 0.2  # below it the two have nothing in common to fit
RIDGE = 1e-3  # a picture without any edge fits everywhere
SETTLED = 2e-4  # a step, as a share of the side, after which the next would not be seen
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

BLOCK = 8  # points of a block's side
FLAT = 3.0  # spread of grey levels below which a block shows nothing
BLEACHED, BLACKENED = 240.0, 12.0  # a change of light may have taken what a block of such a mean showed
FORGIVEN = 3  # rows of blocks, side by side, in which a line of text may be
IN_A_LINE = 0.25  # where less is left, the picture was in those rows and not a text
WORST = 0.05  # the share of what is left that may disagree

CELL = 4  # points of a cell's side; colours are compared by cells
FORGIVEN_CELLS = FORGIVEN * BLOCK // CELL  # rows, as high as the forgiven blocks
CORRECTIONS = 6  # rounds of the fit of the colour correction
NOTICED, BY_CONTRAST = 7.0, 0.2  # levels of difference that count as one, and how many more by those of an edge
SHOWN = 20.0  # levels of contrast from which on a cell counts in full: a wide plain ground may not outvote the object


def second_look(
    pictures: np.ndarray, wholes: np.ndarray, larges: np.ndarray, windows: np.ndarray, most: float
) -> np.ndarray:
    """How far the whole of one picture differs from a window of another one, float64 [m]; 0 for the same picture.

    `pictures` is uint8 [n, SIDE, SIDE, 3], `wholes` and `larges` are row numbers [m], `windows` [m, 4] left, top, width
    and height as shares of the side, near where the two fit. The difference is what the correlation of their blocks
    lacks to 1, and what a correction of colours leaves. Beyond `most` it is not measured to the end, and may be larger,
    or infinite.
    """
    differences = np.full(len(wholes), np.inf)

    def look(part: np.ndarray) -> None:
        for pair in part:
            whole = pictures[wholes[pair]].astype(np.float32)
            large = pictures[larges[pair]].astype(np.float32)
            grey, grey_large = _blurred(whole @ GREY), _blurred(large @ GREY)
            half, half_large = _halved(grey), _halved(grey_large)
            window = fitted(_blurred(half), _blurred(half_large), windows[pair], HALF_ROUNDS)
            if agreement(half, sampled(half_large, window)) < HOPELESS:
                continue
            window = fitted(_blurred(grey), _blurred(grey_large), window, ROUNDS)
            piece = sampled(large, window)
            differences[pair] = 1 - agreement(grey, _blurred(piece @ GREY))
            if differences[pair] <= most:
                differences[pair] += colour_difference(_cells(whole), _cells(piece))

    workers = len(os.sched_getaffinity(0))
    with threadpool_limits(1), ThreadPoolExecutor(workers) as threads:
        list(threads.map(look, np.array_split(np.arange(len(wholes)), 16 * workers)))
    return differences


def fitted(whole: np.ndarray, large: np.ndarray, window: np.ndarray, rounds: int) -> np.ndarray:
    """The window of `large` that fits `whole` best, near the given one, by least squares of the grey levels.

    Gauss and Newton's steps (Lucas and Kanade 1981) over the window's four numbers, contrast and brightness; points
    that fit badly weigh less, so that a watermark does not pull.
    """
    contrast, brightness, usual = 1.0, 0.0, np.inf
    for _ in range(rounds):
        squares, products = np.zeros((6, 6)), np.zeros(6)
        usual = _normal_equations(whole, large, window, contrast, brightness, usual, squares, products)
        squares += np.triu(squares, 1).T + RIDGE * np.eye(6)
        found = np.linalg.solve(squares, products)
        contrast, brightness = float(found[4]), float(found[5])
        if contrast < LEAST_CONTRAST:
            return window
        moved = window + np.clip(found[[0, 2, 1, 3]] / contrast, -LONGEST_STEP, LONGEST_STEP)
        moved[2:] = np.clip(moved[2:], 0.5, 1.02)  # a little beyond the rim, where a copy was framed
        moved[:2] = np.clip(moved[:2], -0.01, 1.01 - moved[2:])
        settled = np.abs(moved - window).max() < SETTLED
        window = moved
        if settled:
            break
    return window


@compiled
def _normal_equations(  # type: ignore[no-untyped-def]
    whole, large, window, contrast, brightness, usual, squares, products
):
    """Add up the least squares of one step, upper triangle; the mean difference that contrast and brightness leave.

    Weighed by the `usual` difference of the step before. Unknowns: left, width, top, height, contrast, brightness.
    """
    side = len(whole)
    piece, lines = np.empty((side, side), np.float32), np.empty((side, side), np.float32)
    for row in range(side):
        y = min(max((window[1] + (row + 0.5) / side * window[3]) * side - 0.5, 0.0), side - 1.0)
        upper = min(int(y), side - 2)
        for column in range(side):
            above, below = large[upper, column], large[upper + 1, column]
            lines[row, column] = above + (below - above) * np.float32(y - upper)
    for column in range(side):
        x = min(max((window[0] + (column + 0.5) / side * window[2]) * side - 0.5, 0.0), side - 1.0)
        before = min(int(x), side - 2)
        for row in range(side):
            here, there = lines[row, before], lines[row, before + 1]
            piece[row, column] = here + (there - here) * np.float32(x - before)
    slope, total = np.ones(6), 0.0
    for row in range(1, side - 1):
        for column in range(1, side - 1):
            value = piece[row, column]
            rest = abs(whole[row, column] - contrast * value - brightness)
            total += rest
            weight = 1 / (1 + (rest / (2 * usual + 1)) ** 2)
            slope[0] = (piece[row, column + 1] - piece[row, column - 1]) * (0.5 * side / window[2])
            slope[1] = slope[0] * ((column + 0.5) / side)
            slope[2] = (piece[row + 1, column] - piece[row - 1, column]) * (0.5 * side / window[3])
            slope[3] = slope[2] * ((row + 0.5) / side)
            slope[4] = value
            for one in range(6):
                weighted = slope[one] * weight
                products[one] += weighted * whole[row, column]
                for other in range(one, 6):
                    squares[one, other] += weighted * slope[other]
    return total / ((side - 2) * (side - 2))


def sampled(picture: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The window of the picture on as many points as the picture has, bilinearly."""
    side = len(picture)
    left, across = _places(window[0], window[2], side)
    top, along = _places(window[1], window[3], side)
    channels = (1,) * (picture.ndim - 2)
    above = picture[top]
    lines = above + (picture[top + 1] - above) * along.reshape(-1, 1, *channels)
    before = lines[:, left]
    return before + (lines[:, left + 1] - before) * across.reshape(1, -1, *channels)


def _places(start: float, size: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.clip((start + (np.arange(side) + 0.5) / side * size) * side - 0.5, 0, side - 1)
    before = np.minimum(places.astype(np.int64), side - 2)
    return before, (places - before).astype(np.float32)


def agreement(whole: np.ndarray, piece: np.ndarray) -> float:
    """The correlation that all but the worst blocks of two grey pictures reach; 0 where they show nothing."""
    one, other = _blocks(whole), _blocks(piece)
    mean_one, mean_other = one.mean(2), other.mean(2)
    one, other = one - mean_one[..., None], other - mean_other[..., None]
    spread_one, spread_other = np.sqrt((one**2).mean(2)), np.sqrt((other**2).mean(2))
    # the constant is the variance of a JPEG's noise: what is faint may not decide
    correlation = ((one * other).mean(2) + 4) / (spread_one * spread_other + 4)
    extreme = (np.maximum(mean_one, mean_other) > BLEACHED) | (np.minimum(mean_one, mean_other) < BLACKENED)
    least, most = np.minimum(spread_one, spread_other), np.maximum(spread_one, spread_other)
    weight = np.where((most > FLAT) & ~(extreme & (least < FLAT)), np.sqrt(np.minimum(most, 20)), 0)
    kept = _without_a_line(weight, (1 - correlation) * weight, FORGIVEN)
    return _weighted_quantile(correlation.ravel(), kept.ravel(), WORST)


def _weighted_quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    if weights.sum() < 1:
        return 0.0
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])


def colour_difference(whole: np.ndarray, piece: np.ndarray) -> float:
    """What is left between two pictures [n, n, 3] after the best colour correction: a mean of fourth powers.

    A difference of a few levels counts as 1, more beside edges, where half a point of shift makes as much. The
    correction is one affine map of the three channels, fitted where neither picture is bleached or blackened.
    """
    if _clipped(piece) > _clipped(whole):  # the correction goes towards the one that lost more
        whole, piece = piece, whole
    corrected, rest = _corrected(whole.reshape(-1, 3) / 255, piece.reshape(-1, 3) / 255)
    n = len(whole)
    shown = np.clip(corrected * 255, 0, 255).reshape(whole.shape)
    contrast = np.maximum(_contrast(shown), _contrast(whole))
    squared = ((rest * 255).reshape(n, n) / (NOTICED + BY_CONTRAST * contrast)) ** 2
    weight = np.minimum(contrast, SHOWN) / SHOWN
    kept = _without_a_line(weight, squared, FORGIVEN_CELLS)
    return float(((squared**2 * kept).sum() / max(kept.sum(), FORGIVEN_CELLS)) ** 0.25)


def _without_a_line(weight: np.ndarray, badness: np.ndarray, rows: int) -> np.ndarray:
    """The weights [n, n], 0 in the rows side by side that are worst; all of them where little else would be left."""
    worst = np.convolve(badness.sum(1), np.ones(rows), "valid").argmax()
    kept = weight.copy()
    kept[worst : worst + rows] = 0
    return kept if kept.sum() >= IN_A_LINE * weight.sum() else weight


def _corrected(whole: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The piece in the whole's colours, and the difference left at each cell; both of levels 0 to 1."""
    inputs = np.concatenate([piece, np.ones((len(piece), 1))], axis=1)
    ridge = np.diag([1.0, 1.0, 1.0, 0.1])  # towards no correction
    weights, corrected, rest = np.ones_like(whole), piece, np.zeros(len(whole))
    for _ in range(CORRECTIONS):
        squares = np.einsum("ni,nj,nc->cij", inputs, inputs, weights) + ridge
        products = np.einsum("ni,nc->ci", inputs, (whole - piece) * weights)
        correction = np.linalg.solve(squares, products[..., None])[..., 0].T
        corrected = piece + inputs @ correction
        lost = ((whole > 0.97) & (corrected > 0.95)) | ((whole < 0.02) & (corrected < 0.04))
        rest = np.sqrt((np.where(lost, 0, corrected - whole) ** 2).mean(1))
        usual = np.quantile(rest, 0.6) + 0.004
        weights = np.where(lost, 0, (1 / (1 + (rest / (1.5 * usual)) ** 2) ** 2)[:, None]) + 1e-4
    return corrected, rest


def _clipped(picture: np.ndarray) -> float:
    return float(((picture > 247) | (picture < 5)).mean())


def _contrast(picture: np.ndarray) -> np.ndarray:
    """The range of levels among a cell and its neighbours, of the channel where it is widest."""
    n = len(picture)
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    around = np.stack([padded[row : row + n, column : column + n] for row in range(3) for column in range(3)])
    return (around.max(0) - around.min(0)).max(2)


def _blurred(grey: np.ndarray) -> np.ndarray:
    """After a 3 x 3 binomial blur."""
    padded = np.pad(grey, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)


def _halved(grey: np.ndarray) -> np.ndarray:
    side = len(grey) // 2
    return grey.reshape(side, 2, side, 2).mean((1, 3))


def _blocks(grey: np.ndarray) -> np.ndarray:
    n = len(grey) // BLOCK
    return grey.reshape(n, BLOCK, n, BLOCK).transpose(0, 2, 1, 3).reshape(n, n, BLOCK * BLOCK)


def _cells(picture: np.ndarray) -> np.ndarray:
    n = len(picture) // CELL
    return picture.reshape(n, CELL, n, CELL, 3).mean((1, 3))
