"""The rows of the suites: heads on stored features, in closed form or by a short training, beside four references."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from ml.evaluation.ridge import fit_ridge
from ml.models.tag_texts import hashed_pieces
from ml.suites.one import descriptions, mixture
from ml.suites.task import Scores, Task, principal_components

NEIGHBOURS = 10
CEILING_FOLDS = 5


@dataclass(frozen=True)
class SuiteRow:
    """A row: how it scores the test images, and whether it can rank tags without a training image."""

    scores: Callable[[Task], Scores]
    ranks_new: bool = False
    reference: bool = False  # it looks at no picture, or at the test itself
    by_name: bool = False  # it is run only where the settings name it


def of_facets(task: Task, score: Callable[[np.ndarray, np.ndarray, np.ndarray, str], np.ndarray]) -> Scores:
    """`score(inputs, targets, test inputs, facet)` for every facet, from the training images annotated in it."""
    train, test = task.components
    scores = {}
    for facet in task.collection.facets:
        truth = task.truth(facet)
        annotated = truth.any(1)
        empty = np.zeros((len(test), truth.shape[1]), np.float32)
        scored = score(train[annotated], truth[annotated], test, facet) if annotated.any() else empty
        scores[facet] = scored.astype(np.float32)
    return scores


def ridge(task: Task) -> Scores:
    """A linear probe in closed form."""
    return of_facets(task, lambda x, y, test, _: fit_ridge(x, y).predict(test))


def nearest(task: Task) -> Scores:
    """The mean of the ten most similar training images' tags, weighted by cosine; ties fall to the frequencies."""

    def score(x: np.ndarray, y: np.ndarray, test: np.ndarray, facet: str) -> np.ndarray:
        likeness = _unit(test) @ _unit(x).T
        number = min(NEIGHBOURS, likeness.shape[1])
        best = np.argpartition(-likeness, number - 1, axis=1)[:, :number]
        weights = np.zeros_like(likeness)
        np.put_along_axis(weights, best, np.take_along_axis(likeness, best, 1) + 1, 1)
        return weights @ y.astype(np.float32) / number + 1e-3 * y.mean(0)

    return of_facets(task, score)


def text(task: Task) -> Scores:
    """Pictures are mapped to the words of the tags' labels, so that a new tag is ranked by its words."""
    return _by_description(task, {name: hashed_pieces(facet.texts) for name, facet in task.collection.facets.items()})


def hierarchy(task: Task) -> Scores:
    """Pictures are mapped to the tags' places in the thesaurus, so that a new tag is ranked by what lies above it."""
    places = {}
    for name, facet in task.collection.facets.items():
        places[name] = np.zeros((len(facet.tags), len(facet.tags)), np.float32)
        for number, path in enumerate(facet.tags.paths):
            places[name][number, list(path)] = 1
    return _by_description(task, places)


def _by_description(task: Task, descriptions: Mapping[str, np.ndarray]) -> Scores:
    """Romera-Paredes and Torr 2015 (ESZSL): one ridge from pictures to tags, through the descriptions of the tags."""

    def score(x: np.ndarray, y: np.ndarray, test: np.ndarray, facet: str) -> np.ndarray:
        of_tags = descriptions[facet].astype(np.float64)
        seen = y.any(0)
        known = of_tags[seen]
        weights = fit_ridge(x, y[:, seen]).weights
        small = known @ known.T + np.eye(len(known))
        return test @ (weights @ solve(small, known, assume_a="pos")) @ of_tags.T + 1e-6 * y.mean(0)

    return of_facets(task, score)


def by_texts(encoder: str | None) -> Callable[[Task], Scores]:
    """As `text`, by vectors of label and path; `encoder` as in `ml.models.tag_texts.text_vectors`."""
    return lambda task: _by_description(task, descriptions(task, encoder))


def label_prior(task: Task) -> Scores:
    """Every tag by its number of training images."""
    n = len(task.split.test)
    return {facet: np.tile(task.truth(facet).sum(0), (n, 1)).astype(np.float32) for facet in task.collection.facets}


def provider(task: Task) -> Scores:
    """The tags' frequencies at the image's provider, as training knows them: what provenance alone gives."""
    providers = task.collection.annotated.providers
    of_train, of_test = providers[task.split.train], providers[task.split.test]
    scores = label_prior(task)
    for facet, by_frequency in scores.items():
        truth = task.truth(facet)
        for name in np.unique(of_test):
            counts = truth[of_train == name].sum(0)
            by_frequency[of_test == name] *= 1e-6  # among tags that the provider has equally often
            by_frequency[of_test == name] += counts
    return scores


def constant(task: Task) -> Scores:
    """One ranking for all images, by the tags' frequencies in the test itself, which no row can know.

    The best ranking for all images may be another: `best_constant` of ml/evaluation/ceiling.py has its figure.
    """
    n, facets = len(task.split.test), task.collection.facets
    counts = {facet: task.collection.truth(facet, task.split.test).sum(0) for facet in facets}
    return {facet: np.tile(count, (n, 1)).astype(np.float32) for facet, count in counts.items()}


def ceiling(task: Task) -> Scores:
    """A linear probe trained inside the test, by five folds with groups kept whole: what its pictures can tell."""
    rows = task.split.test
    names, group = np.unique(task.collection.annotated.groups[rows], return_inverse=True)
    fold = np.random.default_rng(task.seed).permutation(len(names))[group] % CEILING_FOLDS
    fit = principal_components(task.collection.vectors[rows].astype(np.float32), task.dimensions, scaled=False)
    vectors = fit(task.collection.vectors[rows].astype(np.float32))
    scores = {}
    for facet in task.collection.facets:
        truth = task.collection.truth(facet, rows)
        scores[facet] = np.zeros(truth.shape, np.float32)
        for number in range(CEILING_FOLDS):
            inside = (fold != number) & truth.any(1)
            if inside.any():
                fitted = fit_ridge(vectors[inside], truth[inside])
                scores[facet][fold == number] = fitted.predict(vectors[fold == number])
    return scores


def trained(head: str, *, class_weights: bool = False) -> Callable[[Task], Scores]:
    """A head of the paper's rows, trained on the components in a short training."""

    def scores(task: Task) -> Scores:
        from ml.suites.heads import train_heads  # torch takes a second to import

        return train_heads(task, head, class_weights)

    return scores


HEADS_ALONE = {"multilabel": trained("multilabel"), "softmax": trained("softmax")}


def one(encoder: str | None) -> Callable[[Task], Scores]:
    """The parts of the benchmark's row `one`."""
    parts = {"multilabel": HEADS_ALONE["multilabel"], "texts": by_texts(encoder), "memory": nearest}
    return mixture(parts, frozenset({"texts"}), chosen=True)


ROWS: dict[str, SuiteRow] = {
    "multilabel": SuiteRow(trained("multilabel")),
    "softmax": SuiteRow(trained("softmax")),
    "softmax_wce": SuiteRow(trained("softmax", class_weights=True)),
    "hsoftmax_nodes": SuiteRow(trained("hsoftmax_nodes", class_weights=True)),
    "hsoftmax_levels": SuiteRow(trained("hsoftmax_levels", class_weights=True)),
    "ridge": SuiteRow(ridge),
    "nearest": SuiteRow(nearest),
    "text": SuiteRow(text, ranks_new=True),
    "hierarchy": SuiteRow(hierarchy, ranks_new=True),
    "label_prior": SuiteRow(label_prior, reference=True),
    "provider": SuiteRow(provider, reference=True),
    "constant": SuiteRow(constant, ranks_new=True, reference=True),
    "ceiling": SuiteRow(ceiling, ranks_new=True, reference=True),
    "ensemble_ml_s": SuiteRow(mixture(HEADS_ALONE, frozenset(), chosen=False), by_name=True),
    "ensemble_ml_s_text": SuiteRow(
        mixture(HEADS_ALONE | {"text": text}, frozenset({"text"}), chosen=False), ranks_new=True, by_name=True
    ),
    "one": SuiteRow(one("minilm"), ranks_new=True, by_name=True),
    "one_pieces": SuiteRow(one(None), ranks_new=True, by_name=True),
}
DEFAULT_ROWS = tuple(name for name, row in ROWS.items() if not row.by_name)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
