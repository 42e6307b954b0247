"""Trees from the tag list and from the wider AAT, and search over them."""

import time

import numpy as np
import pytest

from ml.assistant.full_thesaurus import terms_of, terms_of_dumps
from ml.assistant.search import SearchIndex, fold
from ml.assistant.vocabulary import (
    Label,
    Term,
    Vocabulary,
    VocabularyError,
    read_tag_list,
    with_alignment,
    with_full_thesaurus,
)
from pipeline.tables import CONCEPTS


def test_a_label_falls_back_and_says_so():
    term = Term("300015637", "subjects", labels={"en": "portraits", "nl": "portretten"})
    assert term.label("nl") == Label("portretten", "nl")
    assert term.label("ca") == Label("portraits", "en")
    assert Term("1", "subjects", labels={"nl": "x"}).label("ca") == Label("x", "nl")
    assert Term("1", "subjects").label("ca") == Label("aat:1", None)


def test_a_parent_outside_the_list_is_replaced_by_the_nearest_listed_one(tmp_path):
    file = tmp_path / "tag_list.json"
    file.write_text(
        '{"facets": {"subjects": [{"tag_id": "1", "label": "a", "parent": null, "path": ["1"]},'
        ' {"tag_id": "3", "label": "c", "parent": "2", "path": ["1", "2", "3"]}]}}'
    )
    order, terms = read_tag_list(file)
    assert order["subjects"] == ["1", "3"]
    assert Vocabulary(terms).path("3") == ["1", "3"]


def test_published_tags_stay_at_their_paths_and_have_the_address_of_their_concept():
    seat, chair = "object_types: moble", "object_types: moble | cadira d'or"
    tags = [
        Term(seat, "object_types", labels={"ca": "moble"}, in_model=True),
        Term(chair, "object_types", (seat,), {"ca": "cadira d'or", "en": "chairs"}, in_model=True),
    ]
    aat = [
        Term("300037772", "object_types", labels={"en": "chairs (furniture)"}, alt_labels={"en": ("seats",)}),
        Term("300037774", "object_types", labels={"en": "benches"}),
    ]
    found = with_alignment(tags, {chair: "300037772"}, aat)
    assert set(found.terms) == {seat, chair}  # no second tree of the AAT beside the paths
    assert found.path(chair) == [seat, chair]
    assert found.terms[chair].uri == "http://vocab.getty.edu/aat/300037772"
    assert found.terms[chair].alt_labels == {"en": ("seats",)}
    assert found.terms[chair].label("en") == Label("chairs", "en")
    assert found.terms[seat].uri == "urn:eufcc:tag:object_types%3A%20moble"
    assert found.terms[seat].label("en") == Label("moble", "ca")


def test_a_tag_list_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(VocabularyError, match="run `make demo`"):
        read_tag_list(tmp_path / "tag_list.json")


def test_guide_terms_and_cut_concepts_are_passed_over():
    rows = [
        {"concept_id": "1", "kind": "facet", "parents": []},
        {"concept_id": "2", "kind": "concept", "facet": None, "preferred_parent": "1", "parents": ["1"]},  # cut
        {"concept_id": "3", "kind": "concept", "facet": "materials", "preferred_parent": "2", "parents": ["2"]},
        {"concept_id": "4", "kind": "guide_term", "facet": "materials", "preferred_parent": "3", "parents": ["3"]},
        {"concept_id": "5", "kind": "concept", "facet": "materials", "preferred_parent": "4", "parents": ["4", "6"]},
        {"concept_id": "6", "kind": "concept", "facet": "materials", "preferred_parent": "1", "parents": ["1"]},
    ]
    terms = {term.tag_id: term.parents for term in terms_of(CONCEPTS.frame(rows))}
    assert terms == {"3": (), "5": ("3", "6"), "6": ()}


def test_the_wider_thesaurus_keeps_the_models_tags_and_their_counts():
    tags = [Term("5", "materials", labels={"en": "bronze"}, in_model=True, n_train=12)]
    wider = [Term("3", "materials"), Term("5", "materials", ("3",), {"de": "Bronze"}, {"en": ("bell metal",)})]
    merged = with_full_thesaurus(tags, wider).terms["5"]
    assert (merged.parents, merged.n_train, merged.in_model) == (("3",), 12, True)
    assert merged.labels == {"de": "Bronze", "en": "bronze"}


def test_a_circle_of_further_parents_ends():
    tree = Vocabulary([Term("1", "subjects", ("2",)), Term("2", "subjects", ("3", "1")), Term("3", "subjects")])
    assert tree.ancestors("1") == ["2", "3"]


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Al·legoria", "allegoria"), ("CERÀMICA", "ceramica"), ("Straße", "strasse"), ("d'art  (obra)", "d art obra")],
)
def test_accents_case_and_signs_are_ignored(text, folded):
    assert fold(text) == folded


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    return SearchIndex(
        Vocabulary(
            [
                Term("1", "object_types", labels={"en": "chairs", "nl": "stoelen"}, in_model=True, n_train=50),
                Term("2", "object_types", ("1",), {"en": "armchairs", "nl": "leunstoelen"}, in_model=True),
                Term("3", "object_types", labels={"en": "chair rails"}),
                Term("4", "materials", labels={"en": "oak (wood)", "ca": "roure"}, alt_labels={"en": ("chairwood",)}),
            ]
        )
    )


def test_beginnings_come_before_insides_and_the_models_tags_first(index):
    assert [hit.term.tag_id for hit in index.search("chair", "en")] == ["1", "3", "4", "2"]


def test_a_word_is_found_inside_a_compound(index):
    assert [hit.text for hit in index.search("stoel", "nl")] == ["stoelen", "leunstoelen"]


def test_every_word_of_the_query_counts_in_any_order(index):
    assert [hit.term.tag_id for hit in index.search("wood oak", "en")] == ["4"]
    assert index.search("oak chairs", "en") == []


def test_a_synonym_is_found_and_said_to_be_one(index):
    (hit,) = index.search("chairwood", "ca")
    assert (hit.term.tag_id, hit.is_synonym) == ("4", True)


def test_one_facet_alone_can_be_searched(index):
    assert [hit.term.tag_id for hit in index.search("chair", "en", facet="materials")] == ["4"]


def test_nothing_is_found_for_nothing(index):
    assert index.search("  (·) ", "en") == []


@pytest.mark.shared
@pytest.mark.long
def test_search_over_the_whole_aat_takes_less_than_50_ms(shared):
    dumps = sorted((shared / "aat").glob("*.nt.gz"))
    vocabulary = Vocabulary(terms_of_dumps(dumps))
    assert len(vocabulary) > 30_000
    searches = SearchIndex(vocabulary)
    queries = sorted({entry.text[:n] for entry in searches.entries[::97] for n in (1, 2, 3, 5, 8)})
    times = []
    for query in queries:
        start = time.perf_counter()
        searches.search(query, "ca")
        times.append(time.perf_counter() - start)
    assert np.percentile(times, 95) < 0.05
