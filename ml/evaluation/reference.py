"""The reference rows of every table: the label prior, the museum's name alone, and the oracle's perfect ranking."""

from collections.abc import Iterator

import numpy as np

from ml.baselines import ORACLE, PRIOR, PROVIDER
from ml.dataset.ground_truth import Dataset, Truth
from ml.dataset.tag_list import FacetTags
from ml.evaluation.evaluate import Scored, Source, score_source
from ml.evaluation.rankings import ProviderFrequencies, prior_scores, provider_frequencies
from pipeline.settings import EvaluationSettings


def score_references(dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Iterator[Scored]:
    """The reference rows on one split; without training images there is no row of the museum's name."""
    yield score_prior(dataset, truth, settings)
    frequencies = provider_frequencies(dataset)
    if frequencies is not None:
        yield score_provider(frequencies, dataset, truth, settings)
    yield score_oracle(dataset, truth, settings)


def score_prior(dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Scored:
    """The same ranking for every image: tags by their number of training images."""

    def batches(tags: FacetTags) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        scores = prior_scores(tags)
        for images in _slices(len(truth.groups), settings.batch_rows):
            yield np.tile(scores, (len(images), 1)), images

    return score_source(Source(PRIOR, 0, PRIOR, batches), dataset, truth, settings)


def score_provider(
    frequencies: ProviderFrequencies, dataset: Dataset, truth: Truth, settings: EvaluationSettings
) -> Scored:
    """What the name of its provider says of an image: tags by their frequency in that provider's training images."""
    names = truth.images["data_provider"].fill_null("").to_numpy()

    def batches(tags: FacetTags) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images in _slices(len(truth.groups), settings.batch_rows):
            yield frequencies.scores(tags, names[images]), images

    return score_source(Source(PROVIDER, 0, PROVIDER, batches), dataset, truth, settings)


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
