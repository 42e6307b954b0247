"""How large a test must be: against simulations from known spreads, and on predictions."""

import numpy as np
import pytest
from scipy import stats

from ml.dataset.ground_truth import EvaluationError
from ml.evaluation.power import (
    MOST_DRAWS,
    TRIALS,
    Spread,
    power_of,
    simulate,
    sizes_needed,
    spread_of,
    spreads,
    units_needed,
)
from pipeline.settings import EvaluationSettings

FAST = EvaluationSettings(resamples=50)


def drawn(providers: int, groups: int, within: float, between: float, difference: float, seed: int):
    """Images' differences, their groups and providers; two images a group, as near-duplicates differ little."""
    generator = np.random.default_rng(seed)
    true = difference + np.sqrt(between) * generator.standard_normal(providers)
    each = true[:, None] + np.sqrt(within) * generator.standard_normal((providers, groups))
    images = np.repeat(each.ravel(), 2)
    group = np.repeat(np.arange(providers * groups), 2)
    return images, group, np.array([f"p{number // groups}" for number in group])


def test_the_spread_of_a_known_population_is_found():
    found = [spread_of(*drawn(40, 25, 0.09, 0.01, 0.05, seed)) for seed in range(40)]
    assert found[0].providers == 40
    assert found[0].groups == 1000
    assert np.mean([spread.within for spread in found]) == pytest.approx(0.09, rel=0.03)
    assert np.mean([spread.between for spread in found]) == pytest.approx(0.01, rel=0.1)
    assert np.mean([spread.difference for spread in found]) == pytest.approx(0.05, abs=0.01)


def test_the_spread_equals_a_slow_analysis_of_variance():
    values = {"a": [1.0, 2.0, 6.0], "b": [3.0, 5.0], "c": [0.0]}
    images = np.array([v for row in values.values() for v in row])
    providers = np.array([name for name, row in values.items() for _ in row])
    spread = spread_of(images, np.arange(6), providers)
    within = sum((v - np.mean(row)) ** 2 for row in values.values() for v in row) / (6 - 3)
    among = sum(len(row) * (np.mean(row) - images.mean()) ** 2 for row in values.values()) / 2
    assert spread.within == pytest.approx(within)
    assert spread.between == pytest.approx(max(0.0, (among - within) / ((6 - (9 + 4 + 1) / 6) / 2)))


@pytest.mark.parametrize(("providers", "groups"), [(6, 50), (12, 20), (40, 100)])
@pytest.mark.parametrize("between", [0.0, 0.002, 0.02])
def test_power_is_the_share_of_simulated_tests_that_see_the_difference(providers, groups, between):
    """The whole test is simulated here, image by image, with scipy's own t test."""
    spread = Spread("outer_test", 0.0, 0.08, between, 0, 0)
    difference = 3 * np.sqrt(spread.of_provider(groups) / providers)
    expected = power_of(difference, spread.of_provider(groups), providers, 0.95)
    generator = np.random.default_rng(1)
    seen, trials = 0, 600
    for _ in range(trials):
        true = difference + np.sqrt(between) * generator.standard_normal(providers)
        means = (true[:, None] + np.sqrt(0.08) * generator.standard_normal((providers, groups))).mean(1)
        result = stats.ttest_1samp(means, 0.0)
        seen += bool(result.pvalue < 0.05 and means.mean() > 0)
    assert seen / trials == pytest.approx(expected, abs=0.055)  # three standard errors
    assert simulate(spread, difference, providers, groups) == pytest.approx(expected, abs=0.035)


def test_the_size_is_the_smallest_that_reaches_the_power():
    for difference, variance in ((0.03, 0.09), (0.1, 0.01), (0.3, 0.01), (0.001, 0.09)):
        units = units_needed(difference, variance, 0.8, 0.95)
        assert power_of(difference, variance, units, 0.95) >= 0.8
        assert units == 2 or power_of(difference, variance, units - 1, 0.95) < 0.8
    assert units_needed(1e-6, 0.09, 0.8, 0.95) is None


def test_no_number_of_images_replaces_providers_that_differ():
    """Where providers differ, more images of each help less and less; the number of providers has a floor."""
    spread = Spread("outer_test", 0.0, 0.09, 0.01, 300, 2)
    same, *others = sizes_needed(spread, 0.05, groups_a_provider=(10, 100, 10_000))
    assert same.groups == units_needed(0.05, 0.09, 0.8, 0.95)
    floor = units_needed(0.05, 0.01, 0.8, 0.95)
    assert [size.units for size in others] == sorted((size.units for size in others), reverse=True)
    assert others[-1].units == floor
    assert all(size.simulated == pytest.approx(0.8, abs=0.04) for size in (same, *others))


def test_sizes_that_no_memory_holds_are_not_simulated(monkeypatch):
    """Half a point takes tens of thousands of providers; a tenth of one takes 16 GB for every array of the draws."""

    def refuse(seed: int):
        raise AssertionError("drawn")

    spread = Spread("outer_test", 0.0, 0.09, 0.09, 300, 2)
    assert all(size.simulated is not None for size in sizes_needed(spread, 0.05))
    monkeypatch.setattr(np.random, "default_rng", refuse)
    for difference in (0.005, 0.001):
        sizes = list(sizes_needed(spread, difference))
        assert len(sizes) == 5
        assert all(size.units * TRIALS > MOST_DRAWS for size in sizes)
        assert [size.simulated for size in sizes] == [None] * 5


def test_with_one_provider_nothing_is_said_of_others():
    spread = spread_of(*drawn(1, 50, 0.09, 0.0, 0.1, 0))
    assert np.isnan(spread.between)
    assert [size.groups_a_provider for size in sizes_needed(spread, 0.05)] == [None]


def test_the_spread_of_two_rows_predictions(storage, dataset):
    rows = [storage / "predictions" / row for row in ("softmax", "clip_zero_shot")]
    inner, outer = spreads(*rows, dataset, FAST)
    assert (inner.split, outer.split) == ("inner_test", "outer_test")
    assert inner.difference > 0.1
    assert inner.within > 0
    only = spreads(*rows, dataset, FAST, "materials")
    assert only[0].difference != inner.difference
    with pytest.raises(EvaluationError, match="no facet colour; there are object_types"):
        spreads(*rows, dataset, FAST, "colour")
