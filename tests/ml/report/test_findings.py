"""Verdicts on the claims follow from paired differences and their intervals."""

import polars as pl
import pytest

from ml.report.findings import findings
from pipeline.settings import EvaluationSettings
from pipeline.tables import COMPARISONS, RESULTS
from tests.ml.scored import FAST


def comparison(first: str, second: str, low: float, high: float, split="inner_test", facet="mean") -> dict:
    middle = (low + high) / 2
    return {
        "split": split,
        "first": first,
        "second": second,
        "facet": facet,
        "metric": "r_precision",
        "difference": middle,
        "low": low,
        "high": high,
        "p_value": 0.5,
        "p_holm": 0.5,
        "tells": "tells",
    }


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.01, 0.01, "holds"), (0.03, 0.05, "fails"), (-0.05, -0.03, "fails"), (0.01, 0.03, "undecided")],
)
def test_equal_means_surely_within_the_margin(low, high, verdict):
    rows = pl.DataFrame([comparison("multilabel", "multilabel_materials", low, high, facet="materials")])
    assert findings(rows, RESULTS.empty(), EvaluationSettings())[0].verdict == verdict


@pytest.mark.parametrize(
    ("lows", "verdict"), [([0.01] * 4, "holds"), ([0.01, 0.01, -0.02, 0.01], "undecided"), ([-0.2] * 4, "fails")]
)
def test_best_means_ahead_of_every_other(lows, verdict):
    others = ("multilabel", "softmax_wce", "hsoftmax_nodes", "hsoftmax_levels")
    # the pairs are stored the other way round: the finding turns their signs
    rows = [comparison(other, "softmax", -(low + 0.1), -low) for other, low in zip(others, lows, strict=True)]
    found = findings(pl.DataFrame(rows), RESULTS.empty(), EvaluationSettings())[1]
    assert found.verdict == verdict
    assert found.differences[0].first == "softmax"


@pytest.mark.parametrize(
    ("lows", "verdict"),
    [((-0.009, 0.0), "holds"), ((-0.03, 0.0), "undecided"), ((0.0, -0.05), "fails"), ((0.0,), "not tested")],
)
def test_one_network_is_not_worse_than_the_ensembles_only_within_the_margin(lows: tuple[float, ...], verdict: str):
    ensembles = ("ensemble_ml_s", "ensemble_ml_s_clip")
    rows = [comparison("one", other, low, low + 0.03) for other, low in zip(ensembles, lows, strict=False)]
    row = {"baseline": "one", "split": "inner_test", "facet": "mean", "metric": "r_precision", "run": "x", "seed": 0}
    of_one = RESULTS.frame([row | {"policy": "ignore_unseen", "value": 0.5}])
    found = findings(pl.DataFrame(rows), of_one, EvaluationSettings())[-1]
    assert found.verdict == verdict
    assert "it was not shown (docs/experiments/one-model.md)" in found.because


@pytest.mark.parametrize(
    ("low", "high", "verdict", "because"),
    [
        (0.01, 0.05, "holds", "Every interval lies above zero."),
        (-0.05, -0.01, "fails", "With Softmax the tags are surely found more often."),
        (-0.01, 0.01, "undecided", "At least one interval holds zero: too close for these images to decide."),
    ],
)
def test_rare_tags_against_their_parents(low, high, verdict, because):
    row = {"baseline": "softmax", "split": "inner_test", "facet": "object_types", "metric": "rare_tag_parent_gain"}
    row |= {"run": "x", "seed": 0, "policy": "ignore_unseen", "value": (low + high) / 2, "low": low, "high": high}
    found = findings(COMPARISONS.empty(), RESULTS.frame([row]), EvaluationSettings())[-1]
    assert (found.verdict, found.because) == (verdict, because)


def test_a_claim_without_its_rows_is_not_tested():
    found = findings(pl.DataFrame([comparison("softmax", "multilabel", 0.1, 0.2)]), RESULTS.empty(), FAST)
    assert [finding.verdict for finding in found].count("not tested") == 9


def test_the_price_of_an_ensemble_stands_in_its_finding():
    costs = {"ensemble_ml_s": {"parameters_m": 3.0, "ms_per_image": 9.0}, "softmax": {"parameters_m": 1.5}}
    costs["softmax"]["ms_per_image"] = 4.5
    found = findings(COMPARISONS.empty(), RESULTS.empty(), EvaluationSettings(), costs)
    price = "It costs 9 ms an image and 3 million parameters, where Softmax alone costs 4.5 ms and 1.5 million."
    assert [finding.because.endswith(price) for finding in found].count(True) == 1
