"""The parts of a row's loss on the outer test, beside a slow count."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.baselines import PRIOR
from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import read_predictions
from ml.dataset.relevance import Relevance
from ml.evaluation.losses import STRENGTHS, as_logarithms, divide_loss, losses_of
from ml.evaluation.score_run import evaluate_benchmark
from pipeline.settings import EvaluationSettings
from pipeline.tables import COUNT_UNSEEN

FAST = EvaluationSettings(resamples=50)


def slow_r_precision(scores, right: list[set[int]], unseen: list[int]) -> float:
    """Image by image, with ties at their expected value; a tag without training images is always missed."""
    values = []
    for row, tags, missing in zip(scores, right, unseen, strict=True):
        asked = len(tags) + missing
        if not asked:
            continue
        hits = 0.0
        for tag in tags:
            larger, equal = sum(s > row[tag] for s in row), sum(s == row[tag] for s in row)
            hits += min(1, max(0, (asked - larger) / equal))
        values.append(hits / asked)
    return sum(values) / len(values)


def slow_parts(logs, right: list[set[int]], unseen: list[int], n_train: list[int]) -> dict[str, float]:
    n_test = [sum(tag in tags for tags in right) for tag in range(len(n_train))]
    shift = [math.log(test + 0.5) - math.log(train + 0.5) for test, train in zip(n_test, n_train, strict=True)]
    reached = [
        slow_r_precision([[s + strength * d for s, d in zip(row, shift, strict=True)] for row in logs], right, unseen)
        for strength in STRENGTHS
    ]
    perfect = slow_r_precision([[float(tag in tags) for tag in range(len(n_train))] for tags in right], right, unseen)
    return {"support": 1 - perfect, "frequencies": max(reached) - reached[0], "pictures": perfect - max(reached)}


@st.composite
def predicted(draw: st.DrawFn):
    n, width = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    right = [draw(st.sets(st.integers(0, width - 1))) for _ in range(n)]
    unseen = [draw(st.integers(0, 2)) for _ in range(n)]
    n_train = [draw(st.integers(1, 50)) for _ in range(width)]
    logs = np.array([[-draw(st.integers(0, 30)) / 4 for _ in range(width)] for _ in range(n)])
    return logs, right, unseen, n_train


@given(predicted())
@settings(max_examples=100)
def test_parts_equal_a_slow_count_and_add_up_to_the_loss(given_):
    logs, right, unseen, n_train = given_
    if not any(right) and not any(unseen):
        return
    parts = divide_loss(logs, Relevance.from_lists([sorted(tags) for tags in right], unseen), np.array(n_train))
    assert parts == pytest.approx(slow_parts(logs, right, unseen, n_train), abs=1e-9)
    assert sum(parts.values()) == pytest.approx(1 - slow_r_precision(logs, right, unseen), abs=1e-9)
    assert all(value >= -1e-12 for value in parts.values())


def test_each_part_is_what_it_is_called():
    """Two tags, one of them much rarer in the test than in training, and images whose tag has no training image."""
    right, unseen = [{1}] * 8 + [set()] * 2, [0] * 8 + [1] * 2
    relevance = Relevance.from_lists([sorted(tags) for tags in right], unseen)
    by_frequency = np.log(np.tile([90.0, 10.0], (10, 1)))
    assert divide_loss(by_frequency, relevance, np.array([90, 10])) == pytest.approx(
        {"support": 0.2, "frequencies": 0.8, "pictures": 0.0}
    )
    half = Relevance.from_lists([[0]] * 5 + [[1]] * 5)
    blind = divide_loss(by_frequency, half, np.array([90, 10]))
    assert blind == pytest.approx({"support": 0.0, "frequencies": 0.0, "pictures": 0.5})


def test_a_runs_breakdowns_hold_the_losses_of_every_row_and_of_the_prior(storage):
    benchmark = evaluate_benchmark(storage, FAST)
    losses = benchmark.breakdowns.filter(by="loss")
    assert losses["split"].unique().to_list() == ["outer_test"]
    counted = benchmark.results.filter(split="outer_test", metric="r_precision", policy=COUNT_UNSEEN)
    for row in ("softmax", "clip_zero_shot", PRIOR):
        for facet in ("materials", "subjects"):
            reached = 1 - losses.filter(baseline=row, facet=facet)["value"].sum()
            assert reached == pytest.approx(counted.filter(baseline=row, facet=facet)["value"].item(), abs=1e-4), row


def test_scores_that_are_probabilities_become_logarithms():
    assert as_logarithms(np.array([[0.5, 0.0]])) == pytest.approx(np.log([[0.5, np.finfo(np.float16).tiny]]))
    assert as_logarithms(np.array([[-3.0, 2.0]])).tolist() == [[-3.0, 2.0]]


def test_a_row_with_one_head_has_the_losses_of_its_facet(storage, dataset):
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, "outer_test")
    folder = storage / "predictions" / "multilabel_materials"
    assert list(read_predictions(folder, truth, loaded)) == ["materials"]
    rows = [row for row in losses_of([folder], loaded, truth) if row["baseline"] != PRIOR]
    assert {row["facet"] for row in rows} == {"materials"}
