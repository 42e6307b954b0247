"""Whether one picture is another one, or a part of it: grey miniatures laid over each other where they fit best."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.images.duplicates.template_search import likenesses_of_parts
from pipeline.images.verify import MINIATURE as SIDE


def overlays(
    miniatures: np.ndarray, pairs: np.ndarray, smallest_part: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pair of rows, how far the two pictures agree at the best overlay found, float64 in [-1, 1]; and where.

    Where: the pair [m, 2] with the picture first that is compared as a whole, and the window [m, 4] of the other one,
    left, top, width and height as shares of its side.

    `miniatures` is uint8 [n, SIDE * SIDE], `pairs` int64 [m, 2]. The whole of either picture is compared with parts of
    the other, down to `smallest_part` of its width and height. The overlay is found by normalised cross-correlation;
    the agreement is that of the grey gradients' fourth roots: a fine perceptual hash whose bits, the directions of the
    gradients, weigh nearly the same, so that a frame or a rim that two pictures share does not outvote what they show.
    """
    pictures = miniatures.reshape(len(miniatures), SIDE, SIDE)
    windows = coarse_windows(smallest_part)
    wholes, larges = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((wholes, larges))  # the parts of a picture are cut out once for all that are laid over them
    found, where = np.empty(len(order)), np.empty((len(order), 4))

    def compare(part: np.ndarray) -> None:
        found[part], where[part] = likenesses_of_parts(pictures, wholes[part], larges[part], windows, smallest_part)

    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(compare, np.array_split(order, 4 * workers)))
    better = np.argmax(found.reshape(2, len(pairs)), axis=0)
    rows = better * len(pairs) + np.arange(len(pairs))
    return found[rows], np.stack([wholes[rows], larges[rows]], axis=1), where[rows]


def coarse_windows(smallest_part: float) -> np.ndarray:
    """Windows left, top, width, height to start from, as shares of the side; the whole picture first."""
    middle = (1.0 + smallest_part) / 2
    spans = [(0.0, 1.0)]
    spans += [(place * (1.0 - size), size) for size in (middle, smallest_part) for place in (0.0, 0.5, 1.0)]
    return np.array([(left, top, width, height) for left, width in spans for top, height in spans])
