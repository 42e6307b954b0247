"""One word for what a test can tell, what it lacks, and which rows get a ✓."""

import polars as pl
import pytest

from ml.baselines import PRIOR, PROVIDER
from ml.evaluation.exchanged import EXCHANGED
from ml.evaluation.tells import Figures, sentence, word_of
from ml.evaluation.verdicts import Difference, standings, turned, verdict_of
from pipeline.settings import EvaluationSettings
from pipeline.tables import COMPARISONS

SETTINGS = EvaluationSettings()
GOOD = {"images": 300, "groups": 290, "providers": 8, "support": 0.9, "constant": 0.4, "ceiling": 0.6, "probe": 0.3}


def figures(split: str = "outer_test", **changes) -> Figures:
    return Figures(split, "materials", **{**GOOD, **changes})


@pytest.mark.parametrize(
    ("split", "changes", "word"),
    [
        pytest.param("outer_test", {}, "tells", id="good"),
        pytest.param("outer_test", {"providers": 2}, "weak", id="two providers"),
        pytest.param("outer_test", {"images": 99}, "weak", id="few images"),
        pytest.param("outer_test", {"probe": None, "ceiling": None}, "weak", id="no features"),
        pytest.param("outer_test", {"support": 0.69}, "cannot tell", id="tags without training images"),
        pytest.param("outer_test", {"constant": 0.51}, "cannot tell", id="one ranking does as well"),
        pytest.param("outer_test", {"constant": 0.95, "ceiling": None, "probe": None}, "cannot tell", id="no room"),
        pytest.param("outer_test", {"ceiling": 0.2, "probe": 0.7}, "tells", id="the better probe counts"),
        pytest.param("outer_test", {"images": 0, "support": 0.0, "constant": None}, "cannot tell", id="nothing known"),
        pytest.param("inner_test", {"providers": 1, "images": 40, "groups": 40}, "tells", id="inside, groups count"),
        pytest.param("inner_test", {"groups": 11}, "weak", id="few groups"),
    ],
)
def test_the_word_follows_from_the_figures_and_the_bounds(split, changes, word):
    assert word_of(figures(split, **changes), SETTINGS) == word


def test_the_bounds_are_settings():
    two = figures(providers=2)
    assert word_of(two, EvaluationSettings(least_providers=2)) == "tells"
    assert word_of(figures(support=0.5), EvaluationSettings(least_support=0.5)) == "tells"
    assert word_of(figures(constant=0.55), EvaluationSettings(least_headroom=0.05)) == "tells"


def test_what_is_missing_is_said_with_the_settings_that_change_it():
    assert sentence(figures(), SETTINGS) == ""
    assert sentence(figures(support=0.2, providers=2), SETTINGS) == (
        "20% of the right tags occur in training, 70% are needed; 2 providers, 6 are needed. Settings that change it: "
        "splits.outer_min_share, splits.outer_max_share, splits.outer_min_entropy_bits, splits.reselect, "
        "splits.outer_providers."
    )
    assert "reaches 0.55 and pictures 0.60: they add 0.05" in sentence(figures(constant=0.55), SETTINGS)


def difference(second: str, low: float | None, high: float | None, tells: str = "tells") -> Difference:
    return Difference("softmax", second, "inner_test", "mean", 0.1, low, high, tells)


ABOVE, AROUND, BELOW = (0.05, 0.15), (-0.05, 0.15), (-0.15, -0.05)


@pytest.mark.parametrize(
    ("prior", "provider", "exchanged", "verdict"),
    [
        pytest.param(ABOVE, ABOVE, ABOVE, "better", id="it sees"),
        pytest.param(ABOVE, ABOVE, AROUND, "not surely", id="a lucky ranking for all images"),
        pytest.param(ABOVE, AROUND, ABOVE, "not surely", id="no more than the museum's name"),
        pytest.param(ABOVE, (0.0, 0.0), (0.0, 0.0), "not surely", id="the museum's name itself"),
        pytest.param(BELOW, BELOW, AROUND, "worse", id="below the prior"),
        pytest.param(AROUND, ABOVE, ABOVE, "not surely", id="around the prior"),
    ],
)
def test_a_row_is_better_only_when_it_beats_what_needs_no_eyes(prior, provider, exchanged, verdict):
    pairs = ((PRIOR, prior), (PROVIDER, provider), (EXCHANGED, exchanged))
    assert verdict_of(difference(second, *ends) for second, ends in pairs) == verdict


@pytest.mark.parametrize("missing", [{"low": None, "high": None}, {"tells": "weak"}, {"tells": "cannot tell"}])
def test_without_an_interval_or_on_a_test_that_cannot_tell_there_is_no_verdict(missing):
    given = {"low": 0.05, "high": 0.15, "tells": "tells"} | missing
    assert verdict_of(difference(second, **given) for second in (PRIOR, PROVIDER, EXCHANGED)) == "cannot tell"


def test_without_the_exchange_there_is_no_verdict():
    assert verdict_of([difference(PRIOR, *ABOVE), difference(PROVIDER, *ABOVE)]) == "cannot tell"


def test_a_turned_difference_is_the_other_way_round():
    back = turned(difference(PRIOR, 0.05, 0.2))
    assert (back.first, back.second, back.difference, back.low, back.high) == (PRIOR, "softmax", -0.1, -0.2, -0.05)


def test_a_single_head_stands_by_its_facet_and_the_others_by_their_mean():
    row = {"run": "r", "split": "inner_test", "metric": "r_precision", "difference": 0.1, "low": 0.05, "high": 0.2}
    rows = [
        {**row, "first": first, "second": second, "facet": facet, "p_value": 0.1, "units": 20, "tells": "tells"}
        for first, facets in (("softmax", ("materials", "mean")), ("multilabel_materials", ("materials",)))
        for facet in facets
        for second in (PRIOR, PROVIDER, EXCHANGED)
    ]
    found = standings(COMPARISONS.frame(rows))
    assert {row: (standing.facet, standing.verdict) for (row, _), standing in found.items()} == {
        "softmax": ("mean", "better"),
        "multilabel_materials": ("materials", "better"),
    }
    assert standings(pl.DataFrame(schema=COMPARISONS.empty().schema)) == {}
