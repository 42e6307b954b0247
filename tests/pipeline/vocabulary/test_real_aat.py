"""The real AAT of 2020 in ../shared: loads fast, is a tree by preferred parent, counts as the dossier says."""

import time

import polars as pl
import pytest

from pipeline.settings import RULES_FILE
from pipeline.vocabulary.facets import assign_facets, load_rules, rule_effects
from pipeline.vocabulary.labels import add_labels, read_label_files
from pipeline.vocabulary.thesaurus import Thesaurus
from tests.pipeline.conftest import REAL_AAT

pytestmark = [pytest.mark.shared, REAL_AAT]


@pytest.fixture(scope="module")
def loaded(real_aat):
    concepts, seconds = real_aat
    start = time.process_time()
    thesaurus = Thesaurus(concepts)
    return concepts, thesaurus, seconds + time.process_time() - start


@pytest.mark.long  # a time: on a machine that does nothing else
def test_it_loads_in_under_ten_seconds(loaded):
    assert loaded[2] < 10


def test_counts_are_the_dossiers(loaded):
    report = loaded[1].report
    assert report.n_subjects == 52_554
    assert report.n_by_kind == {"concept": 50_928, "facet": 8, "guide_term": 1_579, "hierarchy": 39}
    assert report.n_several_parents == 3_911
    assert (report.orphans, report.missing_parents) == ([], [])


def test_no_circle_by_preferred_parent_and_the_one_other_is_cut(loaded):
    report = loaded[1].report
    assert report.cycles == [["300036794", "300212545"]]
    assert report.cut == [("300212545", "300036794")]


def test_every_facet_of_the_paper_has_its_concepts(loaded):
    rules = load_rules(RULES_FILE)
    assigned = assign_facets(loaded[0], rules)
    counts = dict(assigned.filter(kind="concept").group_by("facet").len().drop_nulls().iter_rows())
    assert counts == {"object_types": 26_077, "materials": 4_416, "classifications": 495, "subjects": 8}
    assert rule_effects(loaded[0], rules)["problem"].to_list() == [None] * len(rules.rules)


def test_tag_paths_follow_the_published_trees(loaded):
    thesaurus = loaded[1]
    path = [thesaurus.label(each, "en").text for each in thesaurus.path("300010946")]
    assert path == [
        "materials (substances)",
        "inorganic material",
        "metal",
        "nonferrous metal",
        "copper alloy",
        "brass (alloy)",
    ]
    assert thesaurus.path("300015637") == ["300191086", "300015637"]


def test_real_label_files_are_accepted(loaded, shared):
    files = [shared / "aat" / "mappings" / name for name in ("catalan_labels_by_aat.csv", "external_labels_by_aat.csv")]
    further = read_label_files(files)
    assert further.filter(language="ca")["concept_id"].n_unique() >= 134
    some = loaded[0].filter(pl.col("concept_id").is_in(["300010797", "300015637"]))
    labels = {row["concept_id"]: row["labels"] for row in add_labels(some, further).to_dicts()}
    assert {"language": "ca", "text": "Vidre"} in labels["300010797"]
