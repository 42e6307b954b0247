"""What a score is worth: isotonic regression on what cataloguers would have been shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.assistant.calibration import Calibration, calibrate, calibrated


def slow_isotonic(shares: list[float], weights: list[float]) -> list[float]:
    """Pool adjacent violators, as the textbook says it."""
    blocks: list[list[float]] = []
    for share, weight in zip(shares, weights, strict=True):
        blocks.append([share, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            share, weight, n = blocks.pop()
            before = blocks[-1]
            total = before[1] + weight
            blocks[-1] = [(before[0] * before[1] + share * weight) / total, total, before[2] + n]
    return [share for share, _, n in blocks for _ in range(int(n))]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.4, 0.5, 0.9]), st.booleans()), min_size=1, max_size=40))
def test_the_share_at_each_score_is_that_of_the_slow_reference(pairs):
    scores, right = np.array([[score] for score, _ in pairs]), np.array([[hit] for _, hit in pairs])
    right = np.hstack([right, np.ones_like(right)])  # every image has a tag; the second one is never suggested first
    scores = np.hstack([scores, np.full_like(scores, 0.95)])
    found = calibrate(scores, right)
    flat = sorted({*scores.ravel()})
    hits = [right[scores == score] for score in flat]
    expected = slow_isotonic([float(each.mean()) for each in hits], [float(len(each)) for each in hits])
    assert [found.share(score) for score in flat] == pytest.approx(expected)


def test_images_without_tags_and_tags_beyond_the_shown_ones_do_not_count():
    scores = np.linspace(0.9, 0.1, 12)[None].repeat(2, 0)
    right = np.zeros((2, 12), dtype=bool)
    assert calibrate(scores, right) is None
    right[0, [0, 11]] = True  # the twelfth is not among the ten shown
    found = calibrate(scores, right)
    assert (found.share(0.9), found.share(0.1)) == (1.0, 0.0)


def test_without_validation_a_score_is_worth_itself():
    known = {"materials": Calibration(np.array([0.0, 1.0]), np.array([0.0, 0.5]))}
    assert calibrated(known, "materials", 0.8) == pytest.approx(0.4)
    assert calibrated(known, "subjects", 0.8) == calibrated(None, "subjects", 0.8) == 0.8
