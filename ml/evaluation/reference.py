"""The two reference rows of every table: the label prior, and the oracle with a perfect ranking."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ml.dataset.ground_truth import Dataset, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.tag_list import FacetTags
from ml.evaluation.evaluate import Row, Scored, Source, results_of, score_source
from pipeline import TEST_SPLITS
from pipeline.settings import EvaluationSettings

PRIOR, ORACLE = "label_prior", "oracle"


def reference_rows(
    dataset: Path, splits: tuple[str, ...] = TEST_SPLITS, settings: EvaluationSettings | None = None
) -> list[Row]:
    """Rows of `results` for the label prior and the oracle."""
    settings = settings or EvaluationSettings()
    loaded = load_dataset(dataset)
    rows: list[Row] = []
    for split in splits:
        truth = load_truth(loaded, split)
        for scored in (score_prior(loaded, truth, settings), score_oracle(loaded, truth, settings)):
            rows += results_of(scored, loaded, settings)
    return rows


def prior_scores(tags: FacetTags) -> np.ndarray:
    """One score per tag: the rank of its number of training images, equal where the numbers are equal.

    Ranks, not counts: they are exact in float16 up to 2,048 different numbers.
    """
    return np.unique(tags.n_train, return_inverse=True)[1].astype(np.float16)


def score_prior(dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Scored:
    """The same ranking for every image: tags by their number of training images."""

    def batches(tags: FacetTags) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        scores = prior_scores(tags)
        for images in _slices(len(truth.groups), settings.batch_rows):
            yield np.tile(scores, (len(images), 1)), images

    return score_source(Source(PRIOR, 0, PRIOR, batches), dataset, truth, settings)


def score_oracle(dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Scored:
    """All relevant tags of the tag list ahead of all others: the best result a model with this list can have."""

    def batches(tags: FacetTags) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        relevance = truth.relevance[tags.facet]
        for images in _slices(len(truth.groups), settings.batch_rows):
            scores = np.zeros((len(images), len(tags)), np.float16)
            first, last = relevance.starts[images[0]], relevance.starts[images[-1] + 1]
            rows = np.repeat(np.arange(len(images)), np.diff(relevance.starts)[images])
            scores[rows, relevance.tags[first:last]] = 1
            yield scores, images

    return score_source(Source(ORACLE, 0, ORACLE, batches), dataset, truth, settings)


def _slices(n: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, n, size):
        yield np.arange(start, min(n, start + size))
