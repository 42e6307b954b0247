"""Suites are run: figures, rows that cannot rank, cells that are kept, and what a killed run does next."""

import json
from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.models.tag_texts import hashed_pieces
from ml.suites import run
from ml.suites.measures import NOT_RANKED, auroc, average_precision
from ml.suites.rows import DEFAULT_ROWS, ROWS, SuiteRow
from ml.suites.run import SuiteError, plan_cells, run_id, run_suites
from ml.suites.task import Task, principal_components
from pipeline.settings import SUITES, SuiteSettings
from pipeline.splits.suites import splits_of
from tests.ml.suites.conftest import make_collection

QUICK = SuiteSettings(
    suites={
        **SUITES,
        "few_labels": SUITES["few_labels"].model_copy(update={"images_a_tag": (0, 5)}),
        "inner_folds": SUITES["inner_folds"].model_copy(update={"folds": 2}),
        "within_provider": SUITES["within_provider"].model_copy(update={"folds": 2}),
    },
    dimensions=16,
)
FAST_ROWS = ("ridge", "text", "hierarchy", "label_prior", "provider", "constant", "ceiling")


@pytest.fixture(scope="module")
def results(collection, tmp_path_factory) -> pl.DataFrame:
    return run_suites(collection, QUICK, tmp_path_factory.mktemp("cells"))


def value(results: pl.DataFrame, **cell: str) -> float:
    part = results.filter(metric=cell.pop("metric", "r_precision"), **cell)
    return float(part["value"].mean())


def test_every_row_is_measured_by_every_suite(results):
    cells = set(results.select("suite", "baseline").unique().iter_rows())
    assert cells == set(product(QUICK.suites, DEFAULT_ROWS))


def test_trained_rows_see_what_the_features_show_and_references_do_not(results):
    for row in ("multilabel", "softmax", "hsoftmax_nodes", "hsoftmax_levels", "ridge", "nearest", "text"):
        assert value(results, suite="inner_folds", baseline=row, facet="object_types") > 0.9, row
    assert value(results, suite="inner_folds", baseline="label_prior", facet="subjects") < 0.7
    assert value(results, suite="inner_folds", baseline="provider", facet="object_types") > value(
        results, suite="inner_folds", baseline="label_prior", facet="object_types"
    )


def test_nobody_knows_the_museum_within_a_museum(results):
    """What is the same for all images of a provider ranks them by chance there, whatever it scores elsewhere."""
    for suite, row in product(("within_provider", "within_new_provider"), ("label_prior", "provider", "constant")):
        part = results.filter(suite=suite, baseline=row, metric="auroc")
        assert part.height
        assert part["value"].unique().to_list() == [0.5]
    assert value(results, suite="within_new_provider", baseline="ridge", metric="auroc") > 0.95


def test_rows_that_cannot_rank_new_tags_have_a_reason_instead_of_a_figure(results):
    new = results.filter((pl.col("suite") == "new_tags") | (pl.col("split") == "0 images a tag"))
    assert new.height
    for row in DEFAULT_ROWS:
        part = new.filter(baseline=row)
        if ROWS[row].ranks_new:
            assert part["value"].null_count() == 0
            assert part["note"].null_count() == part.height
        else:
            assert part["value"].null_count() == part.height
            assert part["note"].unique().to_list() == [NOT_RANKED]
    assert new.filter(pl.col("support") > 0).is_empty()


def test_figures_are_those_of_a_slow_count(collection, results):
    """R-Precision of the ridge on one fold, image by image with sorted lists."""
    split = splits_of(QUICK.suites["inner_folds"], collection.annotated, QUICK.seed)[0]
    task = Task(collection, split, QUICK.dimensions, QUICK.seed)
    scores = ROWS["ridge"].scores(task)["object_types"]
    found = []
    for at, image in enumerate(split.test):
        right = {tag for tag in range(4) if collection.annotated.tags[image, tag]}
        best = sorted(range(4), key=lambda tag: -scores[at, tag])[: len(right)]
        found.append(len(right & set(best)) / len(right))
    shown = value(results, suite="inner_folds", split="fold 1", baseline="ridge", facet="object_types")
    assert shown == pytest.approx(np.mean(found), rel=1e-5)


def test_a_killed_run_goes_on_from_its_finished_cells(collection, results, tmp_path, monkeypatch):
    chosen = QUICK.model_copy(update={"rows": FAST_ROWS})
    calls: list[str] = []

    def counted(name: str, row: SuiteRow) -> SuiteRow:
        def scores(task: Task):
            calls.append(name)
            if len(calls) == 20:
                raise KeyboardInterrupt
            return row.scores(task)

        return SuiteRow(scores, row.ranks_new, row.reference, row.by_name)

    monkeypatch.setattr(run, "ROWS", {name: counted(name, row) for name, row in ROWS.items()})
    with pytest.raises(KeyboardInterrupt):
        run_suites(collection, chosen, tmp_path)
    (folder,) = tmp_path.iterdir()
    finished = len(list(folder.glob("*.json")))
    assert finished >= 19
    second = run_suites(collection, chosen, tmp_path)
    needed = sum(1 for c in plan_cells(collection, chosen) if ROWS[c.row].ranks_new or not c.split.new)
    assert len(calls) == needed + 1  # the interrupted cell twice, no other
    same = results.filter(pl.col("baseline").is_in(FAST_ROWS)).drop("run")
    assert second.drop("run").equals(same)


def test_other_settings_or_images_or_code_do_not_use_kept_cells(collection, tmp_path):
    chosen = QUICK.model_copy(update={"rows": ("label_prior",)})
    kept = {run_id(c, s, code) for c, s, code in (
        (collection, chosen, ""),
        (collection, chosen, "another version"),
        (collection, chosen.model_copy(update={"seed": 1}), ""),
        (make_collection(seed=1), chosen, ""),
        (make_collection(seen=0.5), chosen, ""),
    )}  # fmt: skip
    assert len(kept) == 5
    run_suites(collection, chosen, tmp_path)
    run_suites(make_collection(seed=1), chosen, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1  # the cells of the earlier run are gone


def test_progress_counts_every_cell(collection, tmp_path):
    chosen = QUICK.model_copy(update={"rows": ("label_prior", "constant")})
    told: list[tuple[int, int]] = []
    run_suites(collection, chosen, tmp_path, progress=lambda done, of: told.append((done, of)))
    n = len(plan_cells(collection, chosen))
    assert told == [(number, n) for number in range(1, n + 1)]
    assert json.loads(next(tmp_path.glob("*/*.json")).read_text())


def test_a_row_that_does_not_exist_is_named(collection, tmp_path):
    with pytest.raises(SuiteError, match="no row `clip` in the suites; there are multilabel"):
        run_suites(collection, QUICK.model_copy(update={"rows": ("clip",)}), tmp_path)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=100)
def test_auroc_and_average_precision_equal_slow_counts(images):
    scores, right = np.array([s for s, _ in images], float), np.array([r for _, r in images])
    if right.all() or not right.any():
        return
    pairs = [(a > b) + (a == b) / 2 for a in scores[right] for b in scores[~right]]
    assert auroc(scores, right) == pytest.approx(np.mean(pairs))
    precisions = []
    for own in scores[right]:
        above = scores >= own
        precisions.append(right[above].sum() / above.sum())
    assert average_precision(scores, right) == pytest.approx(np.mean(precisions))


def test_components_are_uncorrelated_and_fitted_on_training_images_alone():
    generator = np.random.default_rng(0)
    vectors = (generator.normal(size=(300, 12)) @ generator.normal(size=(12, 12))).astype(np.float32)
    fit = principal_components(vectors, 5)
    covariance = np.cov(fit(vectors).T)
    assert np.allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3)
    assert (np.diff(np.diag(covariance)) <= 1e-4).all()
    assert np.allclose(fit(vectors[:3]), fit(vectors)[:3], atol=1e-4)


def test_words_that_share_pieces_are_alike():
    bowls, bowl, chairs = hashed_pieces(("bowls (vessels)", "bowl", "chairs"))
    assert bowls @ bowl > 2 * (bowls @ chairs)
