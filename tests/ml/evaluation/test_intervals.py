"""Intervals cover the truth as often as they say; paired tests find what is there and no more."""

import numpy as np
import pytest

from ml.evaluation.intervals import (
    Ratios,
    compare_paired,
    draw_signs,
    draw_weights,
    holm,
    interval,
    replicate,
    resample,
    resample_row,
    sum_by_group,
)


def test_sums_by_group_leave_out_what_does_not_count():
    values = np.array([[1.0, np.nan], [0.0, 2.0], [1.0, np.nan]])
    ratios = sum_by_group(values, np.array([0, 0, 1]), 2)
    assert ratios.sums.tolist() == [[1.0, 2.0], [1.0, 0.0]]
    assert ratios.counts.tolist() == [[2.0, 1.0], [1.0, 0.0]]
    assert ratios.values.tolist() == [pytest.approx(2 / 3), 2.0]


def test_a_metric_that_counts_nothing_is_nan():
    assert np.isnan(sum_by_group(np.array([[np.nan]]), np.array([0]), 1).values[0])


def test_weights_draw_as_many_groups_as_there_are_and_depend_on_the_resample_alone():
    whole = draw_weights(101, 0, 200, 7)
    assert (whole.sum(1) == 101).all()
    np.testing.assert_array_equal(whole[50:60], draw_weights(101, 50, 60, 7))
    assert (whole != draw_weights(101, 0, 200, 8)).any()
    # the counts of a multinomial draw have mean 1 and variance 1 - 1/n
    assert whole.mean() == 1
    assert whole.var() == pytest.approx(1 - 1 / 101, rel=0.05)


def test_signs_are_fair_and_independent():
    signs = draw_signs(130, 0, 2_000, 3)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.01
    assert np.abs(np.corrcoef(signs[:, [0, 63, 64, 129]].T) - np.eye(4)).max() < 0.08


def test_resampled_sums_equal_drawing_groups_one_by_one():
    generator = np.random.default_rng(0)
    sums = generator.random((37, 5))
    weights = draw_weights(37, 0, 50, 340)
    slow = np.array([sum(int(w) * row for w, row in zip(line, sums, strict=True)) for line in weights])
    np.testing.assert_allclose(resample(sums, 50, 340), slow)


def test_an_interval_has_the_width_of_the_standard_error():
    values = np.random.default_rng(2).normal(5, 2, (4_000, 1))
    ratios = sum_by_group(values, np.arange(4_000), 4_000)
    low, high = interval(replicate(ratios, 4_000, 340), 4_000, 0.95)
    assert (high - low)[0] == pytest.approx(2 * 1.96 * 2 / np.sqrt(4_000), rel=0.05)


def test_groups_widen_an_interval():
    values = np.repeat(np.random.default_rng(3).random((100, 1)), 10, axis=0)
    alone = interval(replicate(sum_by_group(values, np.arange(1_000), 1_000), 1_000, 1), 1_000, 0.95)
    grouped = interval(replicate(sum_by_group(values, np.arange(1_000) // 10, 100), 1_000, 1), 100, 0.95)
    assert (grouped[1] - grouped[0])[0] == pytest.approx(np.sqrt(10) * (alone[1] - alone[0])[0], rel=0.15)


def coverage(simulations: int, n_groups: int, accuracy: float, resamples: int = 1_000) -> float:
    """Share of simulated test sets whose 95 % interval holds the true accuracy; groups of 1 to 4 alike images."""
    generator = np.random.default_rng(340)
    inside = 0
    for number in range(simulations):
        sizes = generator.integers(1, 5, n_groups)
        chance = generator.beta(8 * accuracy, 8 * (1 - accuracy), n_groups)  # images of a group are alike
        groups = np.repeat(np.arange(n_groups), sizes)
        values = (generator.random(len(groups)) < chance[groups]).astype(float)[:, None]
        ratios = sum_by_group(values, groups, n_groups)
        low, high = interval(replicate(ratios, resamples, number), n_groups, 0.95)
        inside += low[0] <= accuracy <= high[0]
    return inside / simulations


@pytest.mark.long
@pytest.mark.parametrize(("n_groups", "accuracy"), [(40, 0.7), (200, 0.85), (1_000, 0.6)])
def test_intervals_cover_the_truth_93_to_97_times_in_a_hundred(n_groups, accuracy):
    assert 0.93 <= coverage(2_000, n_groups, accuracy) <= 0.97


def test_intervals_cover_the_truth_in_a_short_simulation():
    assert 0.90 <= coverage(300, 100, 0.7, resamples=400) <= 0.99


def two_rows(difference: float, seed: int, n: int = 400):
    generator = np.random.default_rng(seed)
    hard = generator.normal(0, 1, n)
    first = hard + generator.normal(0, 0.3, n) + difference
    second = hard + generator.normal(0, 0.3, n)
    rows = [sum_by_group(v[:, None], np.arange(n), n) for v in (first, second)]
    return [resample_row(row, 500, 340) for row in rows]


def test_a_paired_test_sees_what_hides_in_the_spread_of_images():
    first, second = two_rows(0.1, 1)
    paired = compare_paired(first, second, [0], 0.95)
    assert paired.low > 0
    assert paired.p_value < 0.01
    back = compare_paired(second, first, [0], 0.95)
    assert back.difference == pytest.approx(-paired.difference)
    assert (back.low, back.high) == (pytest.approx(-paired.high), pytest.approx(-paired.low))
    assert back.p_value == paired.p_value


def test_a_row_does_not_differ_from_itself():
    first, _ = two_rows(0.0, 2)
    paired = compare_paired(first, first, [0], 0.95)
    assert (paired.difference, paired.low, paired.high, paired.p_value) == (0, 0, 0, 1)


def test_p_values_are_even_where_nothing_differs():
    p_values = [compare_paired(*two_rows(0.0, seed, 60), [0], 0.95).p_value for seed in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.10


def test_rows_that_count_other_images_are_not_compared():
    one = resample_row(Ratios(np.ones((3, 1)), np.ones((3, 1))), 10, 1)
    two = resample_row(Ratios(np.ones((3, 1)), np.array([[1.0], [1.0], [0.0]])), 10, 1)
    with pytest.raises(ValueError, match="do not count the same images"):
        compare_paired(one, two, [0], 0.95)


def test_holm_corrects_for_the_number_of_comparisons():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    corrected = holm([0.02, float("nan"), 0.9])
    assert corrected[0] == pytest.approx(0.04)
    assert np.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.9)
