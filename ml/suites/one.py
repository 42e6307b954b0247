"""The row `one` and the ensembles on stored features: several rows of the suites on one scale, mixed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ml.dataset.tag_list import FacetTags
from ml.models.calibration import Scale, fit_scale, mixing_weights
from ml.models.tag_texts import tag_texts, text_vectors
from ml.suites.task import Scores, Task
from pipeline.splits.suites import fold_of_images

VALIDATION_FOLDS = 5  # one of them chooses scales and weights: a fifth of the training groups
Row = Callable[[Task], Scores]


def mixture(parts: Mapping[str, Row], new: frozenset[str], *, chosen: bool) -> Row:
    """A row that mixes others, each on its scale; `new` are the parts that rank tags without a training image.

    Scales are fitted on a fifth of the training groups, by parts that were trained on the rest; so are the weights
    where they are `chosen`, else they are equal. Where they are chosen, a parent is as probable as what is below it.
    """

    def scores(task: Task) -> Scores:
        inner = inner_task(task)
        validated = {name: part(inner) for name, part in parts.items()}
        tested = {name: part(task) for name, part in parts.items()}
        mixed = {}
        for facet in task.collection.facets:
            relevant = task.collection.truth(facet, inner.split.test)
            scales = [fit_scale(validated[name][facet], relevant) for name in parts]
            weights = np.full(len(parts), 1 / len(parts))
            if chosen:
                own = [validated[name][facet] for name in parts]
                weights = mixing_weights(*probabilities_of(scales, own, relevant))
            seen = task.truth(facet).any(0)
            known = np.stack([seen | (name in new) for name in parts])
            each = (expit(scale.logit(tested[name][facet])) for scale, name in zip(scales, parts, strict=True))
            mixed[facet] = _mixed(np.stack(list(each)), weights, known)
            if chosen:
                mixed[facet] = with_parents(mixed[facet], task.collection.facets[facet].tags)
        return {facet: values.astype(np.float32) for facet, values in mixed.items()}

    return scores


def inner_task(task: Task) -> Task:
    """The training images as a split of their own, with one fold as its test."""
    rows = task.split.train
    inside = fold_of_images(task.collection.annotated, VALIDATION_FOLDS, task.seed)[rows] == 0
    return replace(task, split=replace(task.split, train=rows[~inside], test=rows[inside]))


def probabilities_of(
    scales: list[Scale], scores: list[NDArray[np.float32]], relevant: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each part's probabilities of the pairs of an annotated image and a tag, and whether the tag holds."""
    annotated = relevant.any(1)
    logits = [scale.logit(each[annotated]).ravel() for scale, each in zip(scales, scores, strict=True)]
    return expit(np.stack(logits)), relevant[annotated].ravel()


def _mixed(
    probabilities: NDArray[np.float64], weights: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The mean over the parts (parts, images, tags) that know a tag; where none does, over all."""
    import torch  # which takes a second

    from ml.models.one import known_weights

    of_tag = known_weights(torch.from_numpy(weights)[:, None], torch.from_numpy(known))
    return np.einsum("pnt,pt->nt", probabilities, of_tag.numpy())


def with_parents(scores: NDArray[np.float64], tags: FacetTags) -> NDArray[np.float64]:
    """The scores (images, tags), each tag's raised to the highest below it."""
    import torch

    from ml.models.hierarchy import ancestor_pairs, raise_parents

    return raise_parents(torch.from_numpy(scores), ancestor_pairs([tags])).numpy()


@lru_cache(maxsize=64)
def _vectors(texts: tuple[str, ...], encoder: str | None) -> NDArray[np.float32]:
    """The same for every split of a collection: the encoder takes a second."""
    return text_vectors(texts, encoder)


def descriptions(task: Task, encoder: str | None) -> dict[str, NDArray[np.float32]]:
    """Vectors of the tags' texts by facet, without their mean, at unit length. Raises WeightsError."""
    found = {}
    for facet, known in task.collection.facets.items():
        vectors = _vectors(tuple(tag_texts(known.tags, {})), encoder)
        centred = vectors - vectors.mean(0)
        found[facet] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return found
