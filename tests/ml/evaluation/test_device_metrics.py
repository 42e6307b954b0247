"""The metrics in torch equal the compiled ones, which equal their definition: ties, unseen tags, and empty rows too."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ml.dataset.ground_truth import EvaluationError
from ml.dataset.relevance import Relevance
from ml.evaluation.device_metrics import rank_on, why_unavailable
from ml.evaluation.evaluate import evaluate
from ml.evaluation.image_scores import ImageScores, score_images
from pipeline.settings import EvaluationSettings
from tests.ml.torch_threads import one_thread  # noqa: F401

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def random_batch(generator: np.random.Generator, n: int, n_tags: int, levels: int):
    """Scores with many ties, a random forest of tags, and relevance with unseen tags and images without any."""
    scores = generator.integers(-levels, levels, (n, n_tags)) / 8
    lists = [sorted(generator.permutation(n_tags)[: generator.integers(0, min(6, n_tags + 1))]) for _ in range(n)]
    plain = Relevance.from_lists(lists, generator.integers(0, 3, n))
    stated = generator.random(len(plain.tags)) < 0.6
    parents = np.array([generator.integers(-1, tag) if tag else -1 for tag in range(n_tags)])
    return scores, Relevance(plain.starts, plain.tags, stated, plain.unseen), parents


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("n", "n_tags", "levels"), [(4_000, 5, 2), (4_000, 12, 4), (2_000, 60, 40), (5, 1, 1)])
def test_ten_thousand_random_cases_equal_the_compiled_metrics(device, dtype, n, n_tags, levels):
    scores, relevance, parents = random_batch(np.random.default_rng(n_tags), n, n_tags, levels)
    scores = scores.astype(dtype)
    compiled = score_images(scores, relevance, top_k=(1, 3, 10), parents=parents)
    ours = ImageScores(relevance, (1, 3, 10))
    order = np.random.default_rng(0).permutation(n)
    for rows in np.array_split(order, 3):
        rank_on(device, ours, scores[rows], rows, parents)
    for name in ("values", "hits", "positions"):
        np.testing.assert_allclose(getattr(ours, name), getattr(compiled, name), rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_an_empty_tag_list_and_infinite_scores(device):
    for scores, lists in ((np.empty((2, 0), np.float16), [[], []]), (np.array([[-np.inf, 0, np.inf]]), [[0]])):
        relevance = Relevance.from_lists(lists, [1] * len(lists))
        wanted = score_images(scores, relevance)
        ours = ImageScores(relevance, (1, 10))
        rank_on(device, ours, scores, np.arange(len(lists)), np.full(scores.shape[1], -1))
        np.testing.assert_allclose(ours.values, wanted.values, atol=1e-12)


def test_a_nan_is_an_error():
    scores = ImageScores(Relevance.from_lists([[0]]), (1,))
    with pytest.raises(ValueError, match="NaN"):
        rank_on("cpu", scores, np.array([[0.5, np.nan]]), np.array([0]), np.array([-1, -1]))


def test_an_evaluation_on_a_device_gives_the_same_rows(predictions: Path, dataset: Path, monkeypatch):
    settings = EvaluationSettings(resamples=50, batch_rows=7)
    compiled = evaluate(predictions, dataset, settings=settings)
    monkeypatch.setattr("ml.evaluation.device_metrics.why_unavailable", lambda device: "")
    monkeypatch.setattr("ml.evaluation.device_metrics.rank_on", lambda device, *batch: rank_on("cpu", *batch))
    assert evaluate(predictions, dataset, settings=settings, device="elsewhere") == compiled


def test_a_device_that_is_not_there_is_one_sentence(predictions: Path, dataset: Path):
    assert why_unavailable("cpu") == ""
    with pytest.raises(EvaluationError, match=r"Nothing can be scored on nonsense \(.+\); leave the device out\.$"):
        evaluate(predictions, dataset, device="nonsense")
