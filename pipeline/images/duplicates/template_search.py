"""The compiled search for the window of one miniature that agrees best with the whole of another, the template.

Sums are kept per column and added up last, so that the loops are vectorised without reordering any addition: every
machine finds the same. Plain loops over few arrays compile in seconds, whole-array expressions take a minute.
"""

import numpy as np

from pipeline.compiled import compiled, inner
from pipeline.images.verify import MINIATURE as SIDE

COARSE = 2  # every second row and column is compared first
HALF = SIDE // COARSE
WORTH_CLIMBING = 0.6  # correlation at the best coarse window; below it no shift of a few per cent helps
WORTH_REFINING = 0.5  # agreement of gradients after the coarse climb; below it no step of a few per cent helps
# Steps of the climb, as shares of the side: first on every second point in grey levels, then on all in gradients.
STRIDES, STEPS = np.array([COARSE, COARSE, 1, 1]), np.array([0.04, 0.02, 0.01, 0.005])
ROUNDS = 8
BETTER = 1e-6  # a smaller gain is a rounding error
# Layers of the working memory, each SIDE x SIDE float32.
TEMPLATE, IMAGE, PART, BLURRED, RIGHT, DOWN, LINES = range(7)
# Lines of the last layer.
SHARE, ROW, DOT, NORM = range(4)
SUMS = HALF * HALF  # the row behind the parts' points


@compiled
def search_templates(pictures, templates, images, windows, smallest_part, agreements, best_windows):
    """Write the best agreement [m] of every template with a window of its image, and that window [m, 4].

    `templates` and `images` are row numbers [m] of `pictures`; the search is fastest if they are sorted by `images`.
    """
    work, sources = np.zeros((7, SIDE, SIDE), np.float32), np.zeros(SIDE, np.int32)
    parts, window = np.zeros((SUMS + 1, len(windows)), np.float32), np.zeros(4)
    loaded = -1
    for pair in range(len(templates)):
        if images[pair] != loaded:
            loaded = images[pair]
            _copy(pictures[loaded], work[IMAGE])
            _cut_parts(work, sources, windows, parts)
        _copy(pictures[templates[pair]], work[TEMPLATE])
        agreements[pair] = _search_template(work, sources, windows, parts, window, smallest_part)
        best_windows[pair] = window


@inner
def _copy(source, target):
    for row in range(SIDE):
        for column in range(SIDE):
            target[row, column] = source[row, column]


@inner
def _cut_parts(work, sources, windows, parts):
    """Every coarse window of the image, less its mean and divided by its norm; zeros if it is flat."""
    for number in range(len(windows)):
        _sample(work, sources, windows[number], STRIDES[0])
        mean = 0.0
        for row in range(HALF):
            for column in range(HALF):
                mean += work[PART, row, column]
        mean /= HALF * HALF
        norm = 0.0
        for row in range(HALF):
            for column in range(HALF):
                norm += (work[PART, row, column] - mean) ** 2
        scale = 1.0 / np.sqrt(norm) if norm > 1e-6 else 0.0
        for row in range(HALF):
            for column in range(HALF):
                parts[row * HALF + column, number] = (work[PART, row, column] - mean) * scale


@inner
def _search_template(work, sources, windows, parts, window, smallest_part):
    """The agreement of the template with the best window: a coarse search, then a climb in smaller steps."""
    best, start = _best_window(work, parts)
    if best < WORTH_CLIMBING:
        return -1.0
    for edge in range(4):
        window[edge] = windows[start, edge]
    _gradients_of_template(work)
    agreement = 1.0
    for level in range(len(STEPS)):
        if agreement >= WORTH_REFINING:
            agreement = _climb(work, sources, window, level, smallest_part)
    return agreement


@inner
def _best_window(work, parts):
    """The correlation of the template with the best coarse window, and the number of that window."""
    n_windows = parts.shape[1]
    for number in range(n_windows):
        parts[SUMS, number] = 0.0
    mean = 0.0
    for row in range(0, SIDE, COARSE):
        for column in range(0, SIDE, COARSE):
            mean += work[TEMPLATE, row, column]
    mean /= HALF * HALF
    norm = 0.0
    for row in range(HALF):
        for column in range(HALF):
            value = np.float32(work[TEMPLATE, row * COARSE, column * COARSE] - mean)
            norm += float(value) ** 2
            for number in range(n_windows):
                parts[SUMS, number] += value * parts[row * HALF + column, number]
    best, start = 0.0, 0
    for number in range(n_windows):
        if parts[SUMS, number] > best:
            best, start = parts[SUMS, number], number
    return (best / np.sqrt(norm) if norm > 1e-6 else 0.0), start


@inner
def _climb(work, sources, window, level, smallest_part):
    """Move the edges of the window by a step while that helps; changes `window`, returns the agreement reached."""
    stride, step = STRIDES[level], STEPS[level]
    best = _agreement(work, sources, window, stride)
    if best < WORTH_REFINING:
        return best
    for _ in range(ROUNDS):
        improved = False
        for move in range(8):
            axis, far, by = move // 2 % 2, move >= 4, step if move % 2 else -step
            start, size = window[axis], window[2 + axis]
            if not far:
                window[axis] += by
                by = -by
            window[2 + axis] += by
            moved = -2.0
            left, width = window[axis], window[2 + axis]
            if left >= -1e-9 and left + width <= 1.0 + 1e-9 and width >= smallest_part - 0.05:
                moved = _agreement(work, sources, window, stride)
            if moved > best + BETTER:
                best, improved = moved, True
            else:
                window[axis], window[2 + axis] = start, size
        if not improved:
            break
    return best


@inner
def _agreement(work, sources, window, stride):
    """The agreement of the template with a window of the image: in gradients, or coarsely in grey levels."""
    _sample(work, sources, window, stride)
    if stride == 1:
        return _agreement_of_gradients(work)
    sum_a = sum_b = sum_aa = sum_bb = sum_ab = 0.0
    for row in range(HALF):
        for column in range(HALF):
            a, b = work[TEMPLATE, row * COARSE, column * COARSE], work[PART, row, column]
            sum_a += a
            sum_b += b
            sum_aa += a * a
            sum_bb += b * b
            sum_ab += a * b
    count = HALF * HALF
    variance_a, variance_b = sum_aa - sum_a * sum_a / count, sum_bb - sum_b * sum_b / count
    if variance_a < 1e-6 or variance_b < 1e-6:
        return 0.0
    return (sum_ab - sum_a * sum_b / count) / np.sqrt(variance_a * variance_b)


@inner
def _sample(work, sources, window, stride):
    """Layer PART: the window of the image, sampled bilinearly at SIDE / stride points a side."""
    left, top, width, height = window[0], window[1], window[2], window[3]
    for column in range(SIDE // stride):
        x = min(max((left + (column * stride + 0.5) / SIDE * width) * SIDE - 0.5, 0.0), SIDE - 1.0)
        sources[column] = min(int(x), SIDE - 2)
        work[LINES, SHARE, column] = x - sources[column]
    for row in range(SIDE // stride):
        y = min(max((top + (row * stride + 0.5) / SIDE * height) * SIDE - 0.5, 0.0), SIDE - 1.0)
        upper = min(int(y), SIDE - 2)
        lower_share = np.float32(y - upper)
        for column in range(SIDE):
            above, below = work[IMAGE, upper, column], work[IMAGE, upper + 1, column]
            work[LINES, ROW, column] = above + (below - above) * lower_share
        for column in range(SIDE // stride):
            source = sources[column]
            before, behind = work[LINES, ROW, source], work[LINES, ROW, source + 1]
            work[PART, row, column] = before + (behind - before) * work[LINES, SHARE, column]


@inner
def _blur_part(work):
    """Layer BLURRED: PART after a 3 x 3 binomial blur, the rim unchanged; parts of a picture are coarser."""
    for column in range(SIDE):
        work[BLURRED, 0, column] = work[PART, 0, column]
        work[BLURRED, SIDE - 1, column] = work[PART, SIDE - 1, column]
    for row in range(1, SIDE - 1):
        for column in range(SIDE):
            work[LINES, ROW, column] = (
                work[PART, row - 1, column] + 2 * work[PART, row, column] + work[PART, row + 1, column]
            )
        for column in range(1, SIDE - 1):
            near = work[LINES, ROW, column - 1] + 2 * work[LINES, ROW, column] + work[LINES, ROW, column + 1]
            work[BLURRED, row, column] = near * np.float32(1 / 16)
        work[BLURRED, row, 0] = work[PART, row, 0]
        work[BLURRED, row, SIDE - 1] = work[PART, row, SIDE - 1]


@inner
def _root(value):
    """The fourth root with the sign of the value."""
    root = np.sqrt(np.sqrt(abs(value)))
    return root if value >= 0 else -root


@inner
def _gradients_of_template(work):
    """Layers RIGHT and DOWN: roots of the template's differences to right and lower neighbours, of norm 1 together."""
    _copy(work[TEMPLATE], work[PART])
    _blur_part(work)
    norm = 0.0
    for row in range(SIDE):
        for column in range(SIDE - 1):
            root = _root(work[BLURRED, row, column + 1] - work[BLURRED, row, column])
            work[RIGHT, row, column] = root
            norm += root * root
    for row in range(SIDE - 1):
        for column in range(SIDE):
            root = _root(work[BLURRED, row + 1, column] - work[BLURRED, row, column])
            work[DOWN, row, column] = root
            norm += root * root
    scale = np.float32(1.0 / np.sqrt(norm) if norm > 1e-9 else 0.0)
    for row in range(SIDE):
        for column in range(SIDE):
            work[RIGHT, row, column] *= scale
            work[DOWN, row, column] *= scale


@inner
def _agreement_of_gradients(work):
    """The cosine between the roots of the gradients of the template and of layer PART."""
    _blur_part(work)
    for column in range(SIDE):
        work[LINES, DOT, column] = work[LINES, NORM, column] = 0.0
    for row in range(SIDE):
        for column in range(SIDE - 1):
            root = _root(work[BLURRED, row, column + 1] - work[BLURRED, row, column])
            work[LINES, DOT, column] += root * work[RIGHT, row, column]
            work[LINES, NORM, column] += root * root
    for row in range(SIDE - 1):
        for column in range(SIDE):
            root = _root(work[BLURRED, row + 1, column] - work[BLURRED, row, column])
            work[LINES, DOT, column] += root * work[DOWN, row, column]
            work[LINES, NORM, column] += root * root
    dot = norm = 0.0
    for column in range(SIDE):
        dot += work[LINES, DOT, column]
        norm += work[LINES, NORM, column]
    return dot / np.sqrt(norm) if norm > 1e-9 else 0.0
