"""Whether a picture is another one, or a part of it: grey miniatures laid over each other where they agree best."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.images.duplicates.template_search import search_templates
from pipeline.images.verify import MINIATURE as SIDE


def align(miniatures: np.ndarray, pairs: np.ndarray, smallest_part: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best agreement of each pair of pictures, float64 [m] in [-1, 1], and the alignment where it is reached.

    An alignment is a pair [m, 2] of a template, compared as a whole, and the image it is compared with, and the window
    [m, 4] of that image: left, top, width and height as shares of its side.

    `miniatures` is uint8 [n, SIDE * SIDE], `pairs` int64 [m, 2]. Either picture is tried as the template, against parts
    of the other down to `smallest_part` of its width and height. The search uses normalised cross-correlation. The
    agreement compares the fourth roots of the grey gradients, a fine perceptual hash: the directions of the gradients
    have nearly the same weight, so a frame or rim that two pictures share does not outweigh what they show.
    """
    pictures = miniatures.reshape(len(miniatures), SIDE, SIDE)
    windows = coarse_windows(smallest_part)
    templates, images = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((templates, images))  # the parts of an image are cut out once for all its templates
    agreements, best_windows = np.empty(len(order)), np.empty((len(order), 4))

    def search(part: np.ndarray) -> None:
        results = np.empty(len(part)), np.empty((len(part), 4))
        search_templates(pictures, templates[part], images[part], windows, smallest_part, *results)
        agreements[part], best_windows[part] = results

    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(search, np.array_split(order, 4 * workers)))
    better = np.argmax(agreements.reshape(2, len(pairs)), axis=0)
    rows = better * len(pairs) + np.arange(len(pairs))
    return agreements[rows], np.stack([templates[rows], images[rows]], axis=1), best_windows[rows]


def coarse_windows(smallest_part: float) -> np.ndarray:
    """Windows left, top, width, height to start from, as shares of the side; the whole picture first."""
    middle = (1.0 + smallest_part) / 2
    spans = [(0.0, 1.0)]
    spans += [(offset * (1.0 - size), size) for size in (middle, smallest_part) for offset in (0.0, 0.5, 1.0)]
    return np.array([(left, top, width, height) for left, width in spans for top, height in spans])
