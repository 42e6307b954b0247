"""The agreement of two orders of rows."""

from itertools import combinations

import numpy as np
import pytest

from ml.dataset.ground_truth import EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.agreement import Means, agreement, compare_orders, means_of, rows_of
from ml.evaluation.intervals import Ratios
from ml.evaluation.score_run import evaluate_benchmark
from pipeline.settings import EvaluationSettings

# Every facet counts in means, and the small museum has groups enough for an interval.
FAST = EvaluationSettings(resamples=200, least_support=0, least_headroom=0, least_groups=6)


def drawn(means, units: int, noise: float, seed: int) -> Means:
    """Rows with these means, each measured on the same units with noise."""
    generator = np.random.default_rng(seed)
    values = np.asarray(means) + noise * generator.standard_normal((units, len(means)))
    rows = [Ratios(values[:, [at]], np.ones((units, 1))) for at in range(len(means))]
    return means_of(rows, [0], FAST, seed)


def test_tau_counts_pairs_in_the_same_order():
    one, other = [0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.1, 0.2, 0.5, 0.4]
    same = sum((a - b) * (c - d) > 0 for (a, c), (b, d) in combinations(zip(one, other, strict=True), 2))
    made = agreement(drawn(one, 6, 0.0, 0), drawn(other, 6, 0.0, 1), 0.95, 6)
    assert made.tau == pytest.approx((same - (10 - same)) / 10)
    assert (made.low, made.high) == pytest.approx((made.tau, made.tau))


def test_clear_orders_agree_surely_and_chance_does_not():
    clear = agreement(drawn(np.arange(8), 60, 0.3, 0), drawn(np.arange(8), 60, 0.3, 1), 0.95, 6)
    assert clear.tau == pytest.approx(1)
    assert clear.low > 0.9
    chance = agreement(drawn(np.zeros(8), 60, 1.0, 0), drawn(np.zeros(8), 60, 1.0, 1), 0.95, 6)
    assert chance.low < 0 < chance.high


def test_few_units_have_no_interval_and_one_row_no_order():
    made = agreement(drawn([0.1, 0.2], 5, 0.0, 0), drawn([0.1, 0.2], 9, 0.0, 0), 0.95, 6)
    assert made.tau == pytest.approx(1)
    assert np.isnan(made.low)
    with pytest.raises(ValueError, match="two rows"):
        agreement(drawn([0.1], 5, 0.0, 0), drawn([0.1], 5, 0.0, 0), 0.95, 6)


def test_the_settings_say_how_few_units_have_no_interval(storage):
    _, agreed = compare_orders(storage, storage, "inner_test", FAST.model_copy(update={"least_groups": 10_000}))
    assert (agreed.tau, np.isnan(agreed.low)) == (pytest.approx(1), True)


def test_a_run_agrees_with_itself_and_its_means_are_those_of_its_results(storage, tmp_path):
    values, agreed = compare_orders(storage, storage, "inner_test", FAST)
    assert agreed.tau == pytest.approx(1)
    assert agreed.low > 0.3
    results = evaluate_benchmark(storage, FAST).results
    means = results.filter(split="inner_test", facet="mean", metric="r_precision", policy="ignore_unseen")
    for row in means.filter(baseline="softmax").iter_rows(named=True):
        assert values["softmax"] == pytest.approx((row["value"], row["value"]), rel=1e-5)
    assert "multilabel_materials" not in values  # it has no mean
    outer, _ = rows_of(storage, "outer_test", FAST)
    truth = load_truth(load_dataset(storage / "dataset"), "outer_test")
    assert len(outer["softmax"].sums) == truth.images["data_provider"].n_unique()
    (tmp_path / "predictions").mkdir()
    (tmp_path / "dataset").symlink_to(storage / "dataset")
    (tmp_path / "predictions" / "softmax").symlink_to(storage / "predictions" / "softmax")
    with pytest.raises(EvaluationError, match="have 1 rows in common"):
        compare_orders(storage, tmp_path, "inner_test", FAST)
