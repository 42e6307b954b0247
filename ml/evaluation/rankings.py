"""Rankings that look at no picture: tags by their frequency in training, for all images or for each provider."""

import numpy as np

from ml.dataset.ground_truth import Dataset, EvaluationError, load_truth, split_files
from ml.dataset.tag_list import FacetTags


def prior_scores(tags: FacetTags) -> np.ndarray:
    """One score per tag: the rank of its number of training images, equal where the numbers are equal.

    Ranks, not counts: they are exact in float16 up to 2,048 different numbers.
    """
    return np.unique(tags.n_train, return_inverse=True)[1].astype(np.float16)


class ProviderFrequencies:
    """How often each provider's training images have each tag; what a provider's name alone gives.

    The score of a tag is its share of the provider's images, smoothed by one image with the tags of the whole training
    set. A provider without training images has the ranking of the label prior.
    """

    def __init__(self, dataset: Dataset) -> None:
        truth = load_truth(dataset, "train")
        names = truth.images["data_provider"].fill_null("")
        self.providers = {name: number for number, name in enumerate(names.unique().sort())}
        of_image = np.array([self.providers[name] for name in names], np.int64)
        self.images = np.bincount(of_image, minlength=len(self.providers))
        self.counts = {}
        for facet, tags in dataset.facets.items():
            relevance = truth.relevance[facet]
            cells = of_image[relevance.images] * len(tags) + relevance.tags
            counted = np.bincount(cells, minlength=len(self.providers) * len(tags))
            self.counts[facet] = counted.reshape(len(self.providers), len(tags))

    def scores(self, tags: FacetTags, providers: np.ndarray) -> np.ndarray:
        """Scores, float32 (b, tags), of images of these providers (b,), by name."""
        prior = np.array(tags.n_train, np.float64) / max(1, self.images.sum())
        table = np.vstack([(self.counts[tags.facet] + prior) / (self.images + 1)[:, None], prior])
        rows = np.array([self.providers.get(name, len(self.providers)) for name in providers], np.int64)
        return table[rows].astype(np.float32)


def provider_frequencies(dataset: Dataset) -> ProviderFrequencies | None:
    """The frequencies of a dataset's training images; None where the folder has only test images."""
    if dataset.read is None:
        try:
            split_files(dataset.folder, "train")
        except EvaluationError:
            return None
    return ProviderFrequencies(dataset)
