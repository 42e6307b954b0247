"""Verifies pairs of similar pictures on their pixels: aligned to a fraction of a pixel, then compared.

Two photographs of similar objects before the same background agree in their outlines. Copies of one photograph agree in
every small block, and a single colour correction maps one to the other.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.compiled import compiled

SIDE = 128  # pixels of the square in which two pictures are compared
HALF_ROUNDS, ROUNDS = 4, 3  # of the fit of the window, first at every second pixel
HOPELESS = 0.5  # agreement at every second pixel; below it a closer fit does not help
LONGEST_STEP = 0.03  # of the window in one round, as a share of the side
LEAST_CONTRAST = 0.2  # below it the two pictures have nothing in common to fit
RIDGE = 1e-3  # a picture without any edge fits everywhere
SETTLED = 2e-4  # a step, as a share of the side, after which the next would make no difference
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

BLOCK = 8  # pixels of a block's side
FLAT = 3.0  # standard deviation of grey levels; a block below it shows nothing
BLEACHED, BLACKENED = 240.0, 12.0  # mean levels of blocks whose content a change of light may have removed
FORGIVEN = 3  # adjacent rows of blocks in which a line of text may be
IN_A_LINE = 0.25  # where less is left, those rows held the picture and not a text
WORST = 0.05  # the share of the remaining blocks that may disagree

CELL = 4  # pixels of a cell's side; colours are compared by cells
FORGIVEN_CELLS = FORGIVEN * BLOCK // CELL  # rows, as high as the forgiven blocks
CORRECTIONS = 6  # rounds of the fit of the colour correction
NOTICED, BY_CONTRAST = 7.0, 0.2  # levels of difference that count as one, and how many more per level of contrast
SHOWN = 20.0  # levels of contrast from which a cell counts fully: a large plain ground must not outweigh the object


def pixel_differences(
    pictures: np.ndarray, templates: np.ndarray, images: np.ndarray, windows: np.ndarray, most: float
) -> np.ndarray:
    """How much the whole of a picture, the template, differs from a window of another, float64 [m]; 0 for equal ones.

    `pictures` is uint8 [n, SIDE, SIDE, 3], `templates` and `images` are row numbers [m], `windows` [m, 4] are left,
    top, width and height as shares of the side, near the best fit. The difference is 1 less the correlation of their
    blocks, plus the difference of colours after correction. Beyond `most` it is not measured to the end: it may be
    larger, or infinite.
    """
    differences = np.full(len(templates), np.inf)

    def compare(part: np.ndarray) -> None:
        for pair in part:
            template = pictures[templates[pair]].astype(np.float32)
            image = pictures[images[pair]].astype(np.float32)
            grey, grey_image = _blurred(template @ GREY), _blurred(image @ GREY)
            half, half_image = _halved(grey), _halved(grey_image)
            window = fitted(_blurred(half), _blurred(half_image), windows[pair], HALF_ROUNDS)
            if agreement(half, sampled(half_image, window)) < HOPELESS:
                continue
            window = fitted(_blurred(grey), _blurred(grey_image), window, ROUNDS)
            piece = sampled(image, window)
            differences[pair] = 1 - agreement(grey, _blurred(piece @ GREY))
            if differences[pair] <= most:
                differences[pair] += colour_difference(_cells(template), _cells(piece))

    workers = len(os.sched_getaffinity(0))
    with threadpool_limits(1), ThreadPoolExecutor(workers) as threads:
        list(threads.map(compare, np.array_split(np.arange(len(templates)), 16 * workers)))
    return differences


def fitted(template: np.ndarray, image: np.ndarray, window: np.ndarray, rounds: int) -> np.ndarray:
    """The window of `image` that fits `template` best, near the given one, by least squares of the grey levels.

    Gauss-Newton steps (Lucas and Kanade 1981) over the four numbers of the window, contrast and brightness; pixels that
    fit badly weigh less, so that a watermark does not distort the fit.
    """
    contrast, brightness, usual = 1.0, 0.0, np.inf
    for _ in range(rounds):
        squares, products = np.zeros((6, 6)), np.zeros(6)
        usual = _normal_equations(template, image, window, contrast, brightness, usual, squares, products)
        squares += np.triu(squares, 1).T + RIDGE * np.eye(6)
        solution = np.linalg.solve(squares, products)
        contrast, brightness = float(solution[4]), float(solution[5])
        if contrast < LEAST_CONTRAST:
            return window
        moved = window + np.clip(solution[[0, 2, 1, 3]] / contrast, -LONGEST_STEP, LONGEST_STEP)
        moved[2:] = np.clip(moved[2:], 0.5, 1.02)  # a little beyond the rim, for copies with a frame
        moved[:2] = np.clip(moved[:2], -0.01, 1.01 - moved[2:])
        settled = np.abs(moved - window).max() < SETTLED
        window = moved
        if settled:
            break
    return window


@compiled
def _normal_equations(template, image, window, contrast, brightness, usual, squares, products):
    """Adds up the normal equations of one step, upper triangle; returns the mean difference at the given parameters.

    Weights depend on `usual`, the mean of the step before. Unknowns: left, width, top, height, contrast, brightness.
    """
    side = len(template)
    piece, lines = np.empty((side, side), np.float32), np.empty((side, side), np.float32)
    for row in range(side):
        y = min(max((window[1] + (row + 0.5) / side * window[3]) * side - 0.5, 0.0), side - 1.0)
        upper = min(int(y), side - 2)
        for column in range(side):
            above, below = image[upper, column], image[upper + 1, column]
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
            rest = abs(template[row, column] - contrast * value - brightness)
            total += rest
            weight = 1 / (1 + (rest / (2 * usual + 1)) ** 2)
            slope[0] = (piece[row, column + 1] - piece[row, column - 1]) * (0.5 * side / window[2])
            slope[1] = slope[0] * ((column + 0.5) / side)
            slope[2] = (piece[row + 1, column] - piece[row - 1, column]) * (0.5 * side / window[3])
            slope[3] = slope[2] * ((row + 0.5) / side)
            slope[4] = value
            for one in range(6):
                weighted = slope[one] * weight
                products[one] += weighted * template[row, column]
                for other in range(one, 6):
                    squares[one, other] += weighted * slope[other]
    return total / ((side - 2) * (side - 2))


def sampled(picture: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The window of the picture, sampled bilinearly at as many pixels as the picture has."""
    side = len(picture)
    left, across = _positions(window[0], window[2], side)
    top, along = _positions(window[1], window[3], side)
    channels = (1,) * (picture.ndim - 2)
    above = picture[top]
    lines = above + (picture[top + 1] - above) * along.reshape(-1, 1, *channels)
    before = lines[:, left]
    return before + (lines[:, left + 1] - before) * across.reshape(1, -1, *channels)


def _positions(start: float, size: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of a window's side: the source pixel before it, and the weight of the next one."""
    positions = np.clip((start + (np.arange(side) + 0.5) / side * size) * side - 0.5, 0, side - 1)
    before = np.minimum(positions.astype(np.int64), side - 2)
    return before, (positions - before).astype(np.float32)


def agreement(template: np.ndarray, piece: np.ndarray) -> float:
    """The correlation that all but the worst blocks of two grey pictures reach; 0 if they show nothing."""
    one, other = _blocks(template), _blocks(piece)
    mean_one, mean_other = one.mean(2), other.mean(2)
    one, other = one - mean_one[..., None], other - mean_other[..., None]
    spread_one, spread_other = np.sqrt((one**2).mean(2)), np.sqrt((other**2).mean(2))
    # the constant is the variance of JPEG noise: faint structure must not decide
    correlation = ((one * other).mean(2) + 4) / (spread_one * spread_other + 4)
    extreme = (np.maximum(mean_one, mean_other) > BLEACHED) | (np.minimum(mean_one, mean_other) < BLACKENED)
    least, most = np.minimum(spread_one, spread_other), np.maximum(spread_one, spread_other)
    weight = np.where((most > FLAT) & ~(extreme & (least < FLAT)), np.sqrt(np.minimum(most, 20)), 0)
    kept = _without_a_line(weight, (1 - correlation) * weight, FORGIVEN)
    values, weights = correlation.ravel(), kept.ravel()
    if weights.sum() < 1:
        return 0.0
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, WORST)])


def colour_difference(whole: np.ndarray, piece: np.ndarray) -> float:
    """The difference of two pictures [n, n, 3] after the best colour correction: a mean of fourth powers.

    A difference of a few levels counts as 1; beside edges it takes more, because a shift by half a pixel causes it. The
    correction is one affine map of the three channels, fitted where neither picture is bleached or blackened.
    """
    if _clipped(piece) > _clipped(whole):  # corrected towards the picture that lost more
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
    """The weights [n, n], 0 in the worst adjacent rows; unchanged if little else would be left."""
    worst = np.convolve(badness.sum(1), np.ones(rows), "valid").argmax()
    kept = weight.copy()
    kept[worst : worst + rows] = 0
    return kept if kept.sum() >= IN_A_LINE * weight.sum() else weight


def _corrected(whole: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The piece in the colours of the whole, and the remaining difference of every cell; levels are 0 to 1."""
    inputs = np.concatenate([piece, np.ones((len(piece), 1))], axis=1)
    ridge = np.diag([1.0, 1.0, 1.0, 0.1])  # pulls towards no correction
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
    """The range of levels among a cell and its neighbours, in the channel where it is widest."""
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
