"""A row's own scores, given to other pictures: what is left of its figure when the pictures do not matter.

Inside, pictures are exchanged within a provider only, so that what a row knows of a museum stays and what it sees is
lost. Outside, where no row knows the museums, they are exchanged among all images of the test.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from ml.dataset.ground_truth import Truth
from ml.dataset.relevance import Relevance
from ml.evaluation.comparisons import main_ratios
from ml.evaluation.evaluate import Scored
from ml.evaluation.intervals import Ratios
from ml.evaluation.units import providers_of, unit_of
from pipeline.settings import EvaluationSettings
from pipeline.splits.order import seeded_order

EXCHANGED = "exchanged_pictures"  # `second` of comparisons: the first row's own scores, given to other pictures


def exchanged_ratios(score: Callable[[Truth], Scored], truth: Truth, settings: EvaluationSettings) -> Ratios:
    """The ratios of a row with its pictures exchanged, the mean of `settings.exchanges` exchanges.

    `score` scores the row on a truth. It is given the same images, with the right tags of other images.
    """
    ratios = [main_ratios(score(exchanged(truth, settings.seed + n))) for n in range(settings.exchanges)]
    return Ratios(np.mean([each.sums for each in ratios], axis=0), ratios[0].counts)


def exchanged(truth: Truth, seed: int) -> Truth:
    """The truth with the right tags of each facet exchanged between images that have some that occur in training.

    Images are put in a random order, and each gets the tags of the next one: of its provider on the inner test, of
    the whole test on the outer one. An image that is alone keeps its own.
    """
    among = np.zeros(len(truth.groups), np.int64) if unit_of(truth.name) == "provider" else providers_of(truth)
    names = [f"{record} {view}" for record, view in zip(truth.record_ids, truth.views, strict=True)]
    order = seeded_order(seed, pl.Series(names))
    changed = {facet: _permuted(relevance, among, order) for facet, relevance in truth.relevance.items()}
    return replace(truth, relevance=changed)


def _permuted(relevance: Relevance, among: np.ndarray, order: np.ndarray) -> Relevance:
    images = np.flatnonzero(np.diff(relevance.starts) > 0)
    images = images[np.lexsort((order[images], among[images]))]
    giver = np.arange(len(relevance))
    _, first = np.unique(among[images], return_index=True)
    for block in np.split(images, first[1:]):
        giver[block] = np.roll(block, -1)
    return relevance.of(giver)
