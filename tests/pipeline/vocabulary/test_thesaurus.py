"""The thesaurus as a graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables import CONCEPTS
from pipeline.vocabulary.thesaurus import CyclicThesaurus, Label, Thesaurus, fallback_label


def test_guide_terms_hierarchies_and_facets_are_left_out_of_paths(small):
    thesaurus = Thesaurus(small.all_concepts())
    assert thesaurus.path("300015637") == ["300191086", "300015637"]
    assert list(thesaurus.preferred_ancestors("300015637")) == ["300191098", "300191086", "300264092"]


def test_a_circle_of_preferred_parents_is_an_error_that_names_the_ids(concepts):
    rows = concepts({"a": ("b",), "b": ("c",), "c": ("a",), "d": ("a",)})
    with pytest.raises(CyclicThesaurus, match=r"circle: a -> b -> c -> a; correct"):
        Thesaurus(rows)


def test_another_circle_is_cut_at_the_link_that_is_not_preferred(concepts):
    thesaurus = Thesaurus(concepts({"top": (), "a": ("top", "b"), "b": ("a",)}))
    assert thesaurus.cycles == [["a", "b"]]
    assert thesaurus.cut == [("a", "b")]
    assert thesaurus.ancestors("b") == {"a", "top"}
    assert thesaurus.ancestors("a") == {"top"}


def test_a_subject_above_itself_is_cut(concepts):
    thesaurus = Thesaurus(concepts({"top": (), "a": ("top", "a")}))
    assert (thesaurus.cycles, thesaurus.cut) == ([["a"]], [("a", "a")])


def test_checks_are_counted(concepts):
    rows = concepts(
        {"f": (), "a": ("f",), "b": ("a", "f"), "lost": (), "gap": ("unknown",), "old": ()},
        kinds={"f": "facet", "old": "obsolete"},
    )
    report = Thesaurus(rows).report
    assert report.n_subjects == 6
    assert report.n_by_kind == {"concept": 4, "facet": 1, "obsolete": 1}
    assert report.n_several_parents == 1
    assert report.orphans == ["lost"]
    assert report.missing_parents == [("gap", "unknown")]
    assert (report.cycles, report.cut, report.unlabelled) == ([], [], [])


def test_replaced_subjects_are_followed_to_the_end(concepts):
    rows = concepts({"a": (), "b": (), "c": (), "dead": (), "x": (), "y": ()}, kinds=dict.fromkeys("ab", "obsolete"))
    following = {"a": "b", "b": "c", "x": "y", "y": "x"}
    rows = CONCEPTS.frame([{**row, "replaced_by": following.get(row["concept_id"])} for row in rows.to_dicts()])
    thesaurus = Thesaurus(rows)
    assert thesaurus.current("a") == "c"
    assert thesaurus.current("c") == "c"
    assert thesaurus.current("x") is None  # a circle
    assert thesaurus.current("unknown") is None


@pytest.mark.parametrize(
    ("labels", "record_label", "expected"),
    [
        ({"ca": "retrat", "en": "portraits"}, None, Label("retrat", "ca", None)),
        ({"ca-valencia": "retrat"}, None, Label("retrat", "ca-valencia", None)),
        ({"en": "portraits", "de": "Porträts"}, "retrato", Label("portraits", "en", "en")),
        ({"en-us": "theaters", "de": "Theater"}, None, Label("theaters", "en-us", "en")),
        ({"de": "Porträts"}, "retrato", Label("retrato", None, "record")),
        ({"nl": "portret", "de": "Porträts"}, None, Label("Porträts", "de", "any")),
        ({}, None, Label("aat:300015637", None, "id")),
    ],
)
def test_labels_fall_back_in_the_protocols_order(labels, record_label, expected):
    assert fallback_label(labels, "300015637", "ca", record_label) == expected


@given(st.data())
def test_cut_graphs_have_no_cycle_and_keep_the_tree(data):
    n = data.draw(st.integers(1, 12))
    ids = [f"n{number:02d}" for number in range(n)]
    rows = []
    for number, each in enumerate(ids):
        preferred = data.draw(st.sampled_from(ids[:number])) if number else None  # a forest
        others = data.draw(st.lists(st.sampled_from(ids), max_size=3))
        parents = sorted({*others, *([preferred] if preferred else [])})
        rows.append({"concept_id": each, "kind": "concept", "preferred_parent": preferred, "parents": parents})
    thesaurus = Thesaurus(CONCEPTS.frame(rows))
    assert all(each not in thesaurus.ancestors(each) for each in ids)
    for child, parent in thesaurus.cut:
        assert thesaurus.preferred.get(child) != parent
        # needed: with the link back, the parent would stand below the child
        assert child == parent or child in thesaurus.ancestors(parent) or any(child in g for g in thesaurus.cycles)
    assert {each for group in thesaurus.cycles for each in group} == set(_on_cycles(rows))


def _on_cycles(rows):
    """Slow reference: an id is on a cycle when a walk up its parents comes back to it."""
    parents = {row["concept_id"]: row["parents"] for row in rows}
    for start in parents:
        reached, waiting = set(), list(parents[start])
        while waiting:
            here = waiting.pop()
            if here not in reached:
                reached.add(here)
                waiting.extend(parents[here])
        if start in reached:
            yield start
