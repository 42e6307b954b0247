"""Where a row loses on the outer test: to tags without training images, to other tag frequencies, to the pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ml.baselines import PRIOR
from ml.dataset.ground_truth import Dataset, Truth
from ml.dataset.prediction_files import open_predictions
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import FacetTags
from ml.evaluation.evaluate import Row, six_digits
from ml.evaluation.image_scores import score_images
from pipeline.tables import COUNT_UNSEEN

BY = "loss"  # in `breakdowns`
PARTS = ("support", "frequencies", "pictures")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the correction for tag frequencies; 1 is right for calibrated scores
SMOOTH = 0.5  # images added to the count of every tag


def losses_of(folders: Sequence[Path], dataset: Dataset, truth: Truth) -> Iterator[Row]:
    """Rows of `breakdowns` that divide what every row and the label prior lose on a split, by facet.

    A facet that a row has no file for is left out. Raises PredictionError as open_predictions does.
    """
    for folder in folders:
        for facet, tags in dataset.facets.items():
            if (folder / truth.name / f"{facet}.parquet").exists():
                file = open_predictions(folder, dataset, truth, tags)
                scores = file.matrix(len(tags))
                logs = scores if file.logarithms else as_logarithms(scores)
                names = {"run": dataset.run, "baseline": file.baseline, "seed": file.seed, "split": truth.name}
                yield from _rows(names, tags, truth.relevance[facet], logs)
    names = {"run": dataset.run, "baseline": PRIOR, "seed": 0, "split": truth.name}
    for facet, tags in dataset.facets.items():
        by_frequency = np.log(np.array(tags.n_train, np.float64) + SMOOTH)
        logs = np.tile(by_frequency, (len(truth.groups), 1))
        yield from _rows(names, tags, truth.relevance[facet], logs)


def _rows(names: dict[str, object], tags: FacetTags, relevance: Relevance, logs: np.ndarray) -> Iterator[Row]:
    n = int((np.diff(relevance.starts) + relevance.unseen > 0).sum())
    if not n or not len(tags):
        return
    for part, value in divide_loss(logs, relevance, np.array(tags.n_train)).items():
        cells = {"facet": tags.facet, "by": BY, "level": part, "metric": "r_precision", "n": n}
        yield {**names, **cells, "value": six_digits(value)}


def divide_loss(logs: np.ndarray, relevance: Relevance, n_train: np.ndarray) -> dict[str, float]:
    """What is lost of an R-Precision of 1, with tags without training images counted as missed; the parts add up to it.

    `logs` are log-probabilities (images, tags). `support` is what a perfect ranking of the tag list loses.
    `frequencies` is what the row gains when the test's tag frequencies take the place of the training's, as Saerens,
    Latinne and Decaestecker 2002 correct for a new prior; the best of five strengths, so that it is never negative.
    `pictures` is the rest.
    """
    n_test = np.bincount(relevance.tags, minlength=len(n_train))
    shift = np.log(n_test + SMOOTH) - np.log(n_train + SMOOTH)
    reached = [_counted(logs + strength * shift, relevance) for strength in STRENGTHS]
    perfect, best = _counted(relevance.dense(logs.shape[1]), relevance), max(reached)
    return {"support": 1 - perfect, "frequencies": best - reached[0], "pictures": perfect - best}


def as_logarithms(scores: np.ndarray) -> np.ndarray:
    """Logs of scores that are probabilities; other scores as they are."""
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        return scores
    return np.log(np.maximum(scores, np.finfo(np.float16).tiny))


def _counted(scores: np.ndarray, relevance: Relevance) -> float:
    """Mean R-Precision with unseen tags counted as missed."""
    measured = score_images(np.ascontiguousarray(scores, np.float64), relevance, further=False)
    return float(np.nanmean(measured.column("r_precision", COUNT_UNSEEN)))
