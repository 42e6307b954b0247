"""The best constant ranking and the probes equal slow ones; folds divide no group."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dataset.relevance import Relevance
from ml.evaluation.ceiling import best_constant, probe, probe_ceiling, probe_scores, whole_groups
from ml.evaluation.image_scores import score_images
from ml.evaluation.ridge import PENALTIES, fit_ridge
from pipeline.settings import EvaluationSettings

RIGHT = st.lists(st.sets(st.integers(0, 4), max_size=4), min_size=1, max_size=8)


def slow_constant(right: list[set[int]], n_tags: int) -> float:
    """The best of all rankings, tried one by one."""
    counted = [tags for tags in right if tags]
    rankings = permutations(range(n_tags))
    return max(np.mean([len(tags & set(ranking[: len(tags)])) / len(tags) for tags in counted]) for ranking in rankings)


@given(RIGHT)
def test_the_best_constant_ranking_is_the_best_of_all(right):
    found = best_constant(Relevance.from_lists([sorted(tags) for tags in right]), 5)
    if any(right):
        assert found == pytest.approx(slow_constant(right, 5))
    else:
        assert np.isnan(found)


def test_the_best_constant_is_no_ranking_by_frequency():
    # Tag 2 is the most frequent, but always one of three: each of the first two images needs its own tag first.
    right = Relevance.from_lists([[0], [0], [1, 2, 3], [1, 2, 3], [1, 2, 3]])
    by_frequency = np.bincount(right.tags, minlength=4).astype(np.float32)
    constant = score_images(np.tile(by_frequency, (5, 1)), right, further=False).column("r_precision").mean()
    assert best_constant(right, 4) == pytest.approx((2 + 3 * 2 / 3) / 5)
    assert best_constant(right, 4) > constant


def slow_ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """With leave-one-out errors from fits without each row, and the normal equations of every penalty."""
    scale = ((x - x.mean(0)) ** 2).sum() / len(x)

    def fit(xs: np.ndarray, ys: np.ndarray, at: np.ndarray, penalty: float, middle: np.ndarray, base: np.ndarray):
        c = xs - middle
        weights = np.linalg.solve(c.T @ c + penalty * scale * np.eye(x.shape[1]), c.T @ (ys - base))
        return (at - middle) @ weights + base

    def without(row: int, penalty: float) -> np.ndarray:
        """The prediction for a row by a fit in which the row's weight is 0; the intercept is free."""
        kept = np.arange(len(x)) != row
        ones = np.column_stack([np.ones(len(x)), x - x.mean(0)])
        a = ones[kept].T @ ones[kept] + penalty * scale * np.diag([0.0, *np.ones(x.shape[1])])
        return ones[row] @ np.linalg.solve(a, ones[kept].T @ y[kept])

    errors = [sum(((y[row] - without(row, p)) ** 2).sum() for row in range(len(x))) for p in PENALTIES]
    return fit(x, y, new, PENALTIES[int(np.argmin(errors))], x.mean(0), y.mean(0))


@pytest.mark.parametrize("shape", [(12, 5), (30, 5), (8, 20), (12, 20)], ids=str)
def test_the_ridge_equals_a_slow_one(shape):
    generator = np.random.default_rng(3)
    x, new = generator.normal(size=shape), generator.normal(size=(shape[1] + 1, shape[1]))  # all weights decide
    y = (x[:, :3] + generator.normal(0, 0.5, (shape[0], 3)) > 0).astype(float)
    np.testing.assert_allclose(fit_ridge(x, y).predict(new), slow_ridge(x, y, new), atol=1e-8)


def test_one_image_and_inputs_that_are_all_alike_have_the_mean():
    alike = np.ones((4, 3), np.float16)
    for x, y in ((alike[:1], np.array([[True, False]])), (alike, np.eye(4)[:, :2])):
        np.testing.assert_allclose(fit_ridge(x, y).predict(alike), np.tile(y.mean(0), (4, 1)))


def test_a_probe_without_a_training_image_scores_nothing():
    vectors, right = seen(6, 3, 0.1)
    nothing = Relevance.from_lists([[], []])
    assert not probe_scores(vectors, vectors[:2], nothing, 3).any()
    assert np.isnan(probe(vectors, right, vectors[:2], nothing, 3))


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.integers(2, 6), st.integers(0, 5))
def test_folds_divide_no_group(groups, n_folds, seed):
    folds = whole_groups(np.array(groups), n_folds, seed)
    for group in set(groups):
        assert len(set(folds[np.array(groups) == group])) == 1
    assert len(set(folds)) == min(n_folds, len(set(groups)))


def seen(n: int, n_tags: int, noise: float) -> tuple[np.ndarray, Relevance]:
    generator = np.random.default_rng(7)
    tags = generator.integers(0, n_tags, n)
    return np.eye(n_tags)[tags] + generator.normal(0, noise, (n, n_tags)), Relevance.from_lists([[tag] for tag in tags])


def test_a_probe_finds_what_features_show_and_nothing_in_noise():
    settings = EvaluationSettings(probe_repeats=2)
    vectors, right = seen(90, 3, 0.1)
    assert probe_ceiling(vectors, right, 3, np.arange(90), settings) == 1.0
    assert probe(vectors, right, vectors[::-1].copy(), right.of(np.arange(90)[::-1]), 3) == 1.0
    noise = np.random.default_rng(1).normal(size=(90, 3))
    assert probe_ceiling(noise, right, 3, np.arange(90), settings) < 0.5


def test_the_ceiling_equals_a_slow_one():
    settings = EvaluationSettings(probe_repeats=2, probe_folds=3)
    vectors, right = seen(30, 3, 0.7)
    groups = np.arange(30) // 2
    values = []
    for repeat in range(2):
        folds, hits = whole_groups(groups, 3, settings.seed + repeat), []
        targets = np.eye(3)[right.tags]
        for image in range(30):
            others = folds != folds[image]
            scores = slow_ridge(vectors[others], targets[others], vectors[[image]])
            hits.append(scores.argmax() == right.tags[image])
        values.append(np.mean(hits))
    assert probe_ceiling(vectors, right, 3, groups, settings) == pytest.approx(np.mean(values))


def test_near_duplicates_do_not_raise_the_ceiling():
    """Every picture twice: a probe that saw its twin in training would find it, though the pictures show nothing."""
    generator = np.random.default_rng(2)
    noise, tags = generator.normal(size=(40, 60)), generator.integers(0, 2, 40)
    right = Relevance.from_lists([[tag] for tag in np.repeat(tags, 2)])
    twice, settings = np.repeat(noise, 2, axis=0), EvaluationSettings(probe_repeats=1)
    assert probe_ceiling(twice, right, 2, np.arange(80), settings) > 0.8
    assert probe_ceiling(twice, right, 2, np.arange(80) // 2, settings) < 0.7


def test_one_group_has_no_ceiling():
    vectors, right = seen(10, 3, 0.1)
    assert np.isnan(probe_ceiling(vectors, right, 3, np.zeros(10, int), EvaluationSettings()))


def test_a_large_test_is_divided_once():
    """Each division of the paper's tests costs minutes, and chance in it moves the figure in the fourth digit."""
    generator = np.random.default_rng(5)
    vectors, right = (
        generator.normal(size=(120, 6)),
        Relevance.from_lists([[int(t)] for t in generator.integers(0, 3, 120)]),
    )
    groups = np.arange(120)
    once = probe_ceiling(vectors, right, 3, groups, EvaluationSettings(probe_repeats=1))
    several = EvaluationSettings(probe_repeats=4)
    assert probe_ceiling(vectors, right, 3, groups, several) != once
    assert probe_ceiling(vectors, right, 3, groups, several.model_copy(update={"probe_repeated_up_to": 119})) == once


@pytest.mark.parametrize("shape", [(400, 12), (60, 90)], ids=["more rows", "more columns"])
def test_the_penalty_of_many_rows_is_judged_on_some(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    generator = np.random.default_rng(6)
    x = generator.normal(size=shape)
    y = x @ generator.normal(size=(shape[1], 4)) + generator.normal(size=(shape[0], 4))
    by_all = fit_ridge(x, y)
    monkeypatch.setattr("ml.evaluation.ridge.MOST_JUDGED", 40)
    by_some = fit_ridge(x, y)
    chosen = [np.linalg.norm(fitted.weights) for fitted in (by_all, by_some)]
    assert chosen[1] == pytest.approx(chosen[0], rel=0.3)
    assert np.corrcoef(by_all.predict(x).ravel(), by_some.predict(x).ravel())[0, 1] > 0.95
