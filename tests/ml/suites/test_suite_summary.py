"""The suites in short: which splits tell, means over them, and the page."""

import re

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ml.report.suites import NOT_RANKED, TITLES, write_suites_page
from ml.suites.rows import ROWS as ALL_ROWS
from ml.suites.run import run_suites
from ml.suites.summary import estimates, means_by_split, telling, tells, within_providers
from pipeline.settings import SUITES, EvaluationSettings, SuiteSettings
from pipeline.tables import SUITE_RESULTS
from tests.ml.suites.conftest import make_collection

ROWS = ("ridge", "text", "label_prior", "provider", "constant", "ceiling")
SETTINGS, EVALUATION = SuiteSettings(rows=ROWS, dimensions=16), EvaluationSettings()
TOLD = (("ridge", 0.5), ("constant", 0.4), ("ceiling", 0.7), ("label_prior", 0.1))
NAMES = {"split": "Aa", "facet": "subjects", "prior": 0.2}
FULL = {**NAMES, "n": 100, "support": 1.0, "new": False, "constant": 0.5, "probe": 0.3, "ceiling": 0.7}


@pytest.fixture(scope="module")
def results(collection, tmp_path_factory) -> pl.DataFrame:
    return run_suites(collection, SETTINGS, tmp_path_factory.mktemp("cells"))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, True),
        ({"ceiling": 0.59}, False),
        ({"ceiling": 0.6}, True),  # exactly the bound, though .6 - .5 is a little less in binary
        ({"ceiling": 0.59, "probe": 0.7}, True),  # the pictures of other museums say more than its own few
        ({"support": 0.69}, False),
        ({"support": 0.0, "new": True}, True),  # the tags are new on purpose
        ({"n": 19}, False),
        ({"constant": None}, False),
        ({"ceiling": None, "probe": None}, False),
    ],
)
def test_a_facet_tells_where_pictures_add_to_the_best_constant_ranking(changed, word):
    assert tells(FULL | changed, EVALUATION) is word


def test_the_bounds_are_those_of_the_settings():
    assert tells(FULL | {"ceiling": 0.58}, EvaluationSettings(least_headroom=0.05))
    assert tells(FULL | {"support": 0.5}, EvaluationSettings(least_support=0.5))
    means = means_by_split(SUITE_RESULTS.frame([figure(s, r, v) for s in "ab" for r, v in TOLD]), EVALUATION)
    assert estimates(means, "leave_one_provider_out", EVALUATION)["ridge"].low is None
    two = EvaluationSettings(least_providers=2)
    assert estimates(means, "leave_one_provider_out", two)["ridge"].low == pytest.approx(0.5)


def figure(split: str, row: str, value: float | None, facet: str = "subjects") -> dict[str, object]:
    cells = {"run": "r", "suite": "leave_one_provider_out", "split": split, "baseline": row, "facet": facet}
    return {**cells, "metric": "r_precision", "provider": "", "tag_id": "", "value": value, "n": 50, "support": 1.0}


def test_means_count_only_what_tells_and_name_the_worst():
    rows = []
    values = {f"m{at}": 0.3 + 0.05 * at for at in range(7)}
    for split, value in values.items():
        ceiling = 0.9 if split != "m6" else 0.45
        for row, number in (("ridge", value), ("constant", 0.4), ("ceiling", ceiling), ("label_prior", 0.1)):
            rows.append(figure(split, row, 0.45 if split == "m6" and row == "ridge" else number))
            if row == "ridge":
                rows.append(figure(split, row, 1.0, "materials"))  # nothing is known of what this facet can tell
    means = means_by_split(SUITE_RESULTS.frame(rows), EVALUATION)
    found = estimates(means, "leave_one_provider_out", EVALUATION)["ridge"]
    counted = np.array([values[f"m{at}"] for at in range(6)])
    assert (found.mean, found.worst, found.worst_split, found.splits) == (pytest.approx(counted.mean()), 0.3, "m0", 6)
    expected = stats.t.interval(0.95, 5, counted.mean(), stats.sem(counted))
    assert (found.low, found.high) == pytest.approx(expected)
    fewer = [row for row in rows if row["split"] != "m0"]
    few = means_by_split(SUITE_RESULTS.frame(fewer), EVALUATION)
    assert estimates(few, "leave_one_provider_out", EVALUATION)["ridge"].low is None


def test_pictures_that_show_the_tags_tell_and_noise_does_not(results, tmp_path):
    seen = telling(results, EVALUATION).filter(suite="leave_one_provider_out", facet="object_types")
    assert seen["tells"].all()
    noise = run_suites(make_collection(seen=0.0), SETTINGS, tmp_path)
    assert not telling(noise, EVALUATION).filter(pl.col("suite") != "new_tags")["tells"].any()
    assert estimates(means_by_split(noise, EVALUATION), "inner_folds", EVALUATION) == {}


def test_within_providers_joins_folds_as_a_slow_count_does(results):
    part = results.filter(suite="within_provider", baseline="ridge", metric="auroc")
    cells: dict[tuple[str, ...], list[tuple[float, int]]] = {}
    for line in part.to_dicts():
        key = (line["facet"], line["provider"], line["tag_id"])
        cells.setdefault(key, []).append((line["value"], line["n"] * line["without"]))
    slow = np.mean([sum(v * w for v, w in rows) / sum(w for _, w in rows) for rows in cells.values()])
    found = within_providers(results, "within_provider")
    assert found["ridge"].auroc == pytest.approx(slow)
    assert found["ridge"].pairs == len(cells)
    prior = found["label_prior"]
    assert prior.auroc == 0.5
    assert prior.average_precision == pytest.approx(prior.prevalence)


def test_the_page_shows_every_suite_and_says_what_is_not_ranked(results, tmp_path):
    tables = write_suites_page(results, SETTINGS, EVALUATION, tmp_path)
    assert [table.name for table in tables] == ["leave_one_provider_out_tells", *SUITES]
    page, text = ((tmp_path / name).read_text(encoding="utf-8") for name in ("suites.html", "suites.md"))
    assert page.count("<table") == len(tables)
    assert re.search(rf"\| Ridge probe \| {NOT_RANKED}( \| (1\.00|\.\d\d)){{3}} \|", text)
    assert "a row that can rank only tags with training images is not ranked" in page
    for line in text.splitlines():
        if line.startswith("| By the tags' words"):
            assert NOT_RANKED not in line


def test_rows_that_are_run_by_name_have_a_title_on_the_page_too():
    assert set(TITLES) == set(ALL_ROWS)
