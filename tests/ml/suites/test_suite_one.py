"""The row `one` and the ensembles on stored features, and rows compared over splits."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from ml.dataset.tag_list import FacetTags
from ml.suites.collection import Collection
from ml.suites.one import with_parents
from ml.suites.paired import difference
from ml.suites.rows import ROWS
from ml.suites.task import Task
from pipeline.settings import SUITES
from pipeline.splits.suites import SuiteSplit, splits_of


@pytest.fixture(scope="module")
def split(collection: Collection) -> SuiteSplit:
    return splits_of(SUITES["inner_folds"], collection.annotated, 340)[0]


@pytest.mark.parametrize("row", ["one_pieces", "ensemble_ml_s"])
def test_a_mixture_sees_what_the_features_show_and_nothing_of_the_test(
    row: str, collection: Collection, split: SuiteSplit
):
    scores = ROWS[row].scores(Task(collection, split, 16, 340))
    right = collection.truth("object_types", split.test)[:, 1:]
    assert (scores["object_types"][:, 1:].argmax(1) == right.argmax(1)).mean() > 0.9
    tags = collection.annotated.tags.copy()
    tags[split.test] = tags[split.test[::-1]]
    other = replace(collection, annotated=replace(collection.annotated, tags=tags))
    again = ROWS[row].scores(Task(other, split, 16, 340))
    assert all(np.array_equal(scores[facet], again[facet]) for facet in scores)


def test_a_new_tag_is_ranked_by_its_text_alone(collection: Collection):
    split = splits_of(SUITES["new_tags"].model_copy(update={"min_images": 5}), collection.annotated, 340)[0]
    task = Task(collection, split, 16, 340)
    new = next(at for at in split.asked.tolist() if at < 4)  # an object type; the first are in the order of the facet
    alone = ROWS["one_pieces"].scores(task)["object_types"][:, new]
    assert not collection.annotated.tags[split.train, new].any()
    assert alone.std() > 0  # it differs between pictures, although no part learned it
    assert ROWS["one_pieces"].ranks_new
    assert not ROWS["ensemble_ml_s"].ranks_new


@given(st.integers(0, 10_000))
@hypothesis_settings(max_examples=50)
def test_parents_are_raised_as_the_slow_way_does(seed: int):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 10))
    order, parents = rng.permutation(n), np.full(n, -1)
    for place in range(1, n):
        if rng.random() < 0.7:
            parents[order[place]] = order[rng.integers(0, place)]
    ids = tuple(map(str, range(n)))
    tags = FacetTags("materials", ids, ids, tuple(parents.tolist()), (1,) * n)
    scores = rng.normal(size=(3, n))
    wanted = [scores[:, [other for other in range(n) if tag in tags.paths[other]]].max(1) for tag in range(n)]
    assert np.array_equal(with_parents(scores, tags), np.stack(wanted, 1))


def test_a_difference_is_a_paired_t_test_over_the_splits_that_both_rank():
    ours, theirs = [0.9, 0.5, 0.7, None], [0.6, 0.4, 0.5, 0.3]
    rows = [("s", f"split {at}", "one", value) for at, value in enumerate(ours)]
    rows += [("s", f"split {at}", "other", value) for at, value in enumerate(theirs)]
    means = pl.DataFrame(rows, schema=["suite", "split", "baseline", "value"], orient="row")
    found = difference(means, "s", "one", "other", 0.95)
    assert found is not None
    test = stats.ttest_rel(ours[:3], theirs[:3], alternative="greater")
    both = stats.ttest_rel(ours[:3], theirs[:3]).confidence_interval(0.95)
    assert found.p_superior == pytest.approx(test.pvalue)
    assert (found.low, found.high) == (pytest.approx(both.low), pytest.approx(both.high))
    assert found.splits == 3
    assert difference(means, "s", "one", "absent", 0.95) is None
