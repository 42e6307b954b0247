"""Concept URIs of records to AAT ids."""

import pytest

from pipeline.harvest.entities import EntityConcept
from pipeline.settings import VocabularySettings
from pipeline.tables import CONCEPT_ALIGNMENTS, CONCEPTS, RECORDS, UNMAPPED_CONCEPTS
from pipeline.vocabulary.align import align_concepts
from pipeline.vocabulary.facets import Rule, Rules

EUROPEANA = "http://data.europeana.eu/concept/"
AAT = "http://vocab.getty.edu/aat/"
ROOTS = {
    "subjects": "300191098",
    "materials": "300264091",
    "classifications": "300054134",
    "object_types": "300264092",
}


class Entities:
    """The Entity API's answers, and what was asked of it."""

    def __init__(self, *concepts: EntityConcept) -> None:
        self.concepts = {concept.uri: concept for concept in concepts}
        self.asked: list[list[str]] = []

    def __call__(self, uris: list[str]) -> list[EntityConcept]:
        self.asked.append(uris)
        return [self.concepts[uri] for uri in uris if uri in self.concepts]


PORTRAIT = EntityConcept(EUROPEANA + "48", {"ca": "retrat", "en": "portrait"}, (AAT + "300015637",), ())
TWO = EntityConcept(EUROPEANA + "25", {"en": "two"}, (AAT + "300015637", AAT + "300010957"), ())
CLOSE = EntityConcept(EUROPEANA + "7", {"en": "close"}, (), (AAT + "300010957",))
ELSEWHERE = EntityConcept(EUROPEANA + "8", {"en": "elsewhere"}, ("http://www.wikidata.org/entity/Q1",), ())


@pytest.fixture
def align(small, tmp_path):
    def run(uris_of_records, entities=None, rules=None, **settings):
        rows = [
            {
                "record_id": f"/1/{number}",
                "concept_uris": uris if isinstance(uris, list) else uris["concepts"],
                "type_uris": [] if isinstance(uris, list) else uris.get("types", []),
                "subject_uris": [],
            }
            for number, uris in enumerate(uris_of_records)
        ]
        asked = entities or Entities(PORTRAIT, TWO, CLOSE, ELSEWHERE)
        return align_concepts(RECORDS.frame(rows), asked, small, VocabularySettings(**settings), tmp_path, rules)

    return run


def rows(frame):
    return [tuple(row.values()) for row in frame.to_dicts()]


def test_every_spelling_of_an_aat_uri_is_kept_as_written_and_mapped(align):
    found = align([[AAT + "300010957", "aat:300010957"], ["https://vocab.getty.edu/page/aat/300010957"]])
    assert rows(found.concept_alignments) == [
        ("aat:300010957", "300010957", "direct", "exact"),
        (AAT + "300010957", "300010957", "direct", "exact"),
        ("https://vocab.getty.edu/page/aat/300010957", "300010957", "direct", "exact"),
    ]
    assert found.unmapped_concepts.is_empty()


def test_both_spellings_of_europeanas_concepts_are_followed_many_to_many(align):
    found = align([[EUROPEANA + "base/48"], [EUROPEANA + "48", EUROPEANA + "25"]])
    assert rows(found.concept_alignments) == [
        (EUROPEANA + "25", "300010957", "via_entity", "exact"),
        (EUROPEANA + "25", "300015637", "via_entity", "exact"),
        (EUROPEANA + "48", "300015637", "via_entity", "exact"),
        (EUROPEANA + "base/48", "300015637", "via_entity", "exact"),
    ]


def test_close_matches_are_off_unless_asked_for_and_then_flagged(align):
    assert rows(align([[EUROPEANA + "7"]]).unmapped_concepts) == [(EUROPEANA + "7", "close", "no_match", 1)]
    found = align([[EUROPEANA + "7"]], follow_close_matches=True)
    assert rows(found.concept_alignments) == [(EUROPEANA + "7", "300010957", "via_entity", "close")]


def test_what_only_the_providers_proxy_states_is_marked(align):
    found = align([{"concepts": [], "types": [AAT + "300010957"]}])
    assert rows(found.concept_alignments) == [(AAT + "300010957", "300010957", "proxy_only", "exact")]
    found = align([{"concepts": [], "types": [AAT + "300010957"]}, [AAT + "300010957"]])
    assert found.concept_alignments["evidence"].to_list() == ["direct"]


def test_obsolete_ids_are_followed_and_those_that_lead_nowhere_are_told(align):
    found = align([[AAT + "300010958", AAT + "300010959"]])
    assert rows(found.concept_alignments) == [(AAT + "300010958", "300010957", "direct", "exact")]
    assert rows(found.unmapped_concepts) == [
        (AAT + "300010959", "bell metal things", "obsolete_without_replacement", 1)
    ]


def test_unmapped_concepts_carry_reason_and_count_most_records_first(align):
    wikidata = "http://www.wikidata.org/entity/Q134307"
    found = align([[AAT + "300999999", EUROPEANA + "8", wikidata], [EUROPEANA + "9", wikidata], [wikidata]])
    assert rows(found.unmapped_concepts) == [
        (wikidata, None, "other_vocabulary", 3),
        (EUROPEANA + "8", "elsewhere", "no_match", 1),
        (EUROPEANA + "9", None, "not_found", 1),
        (AAT + "300999999", None, "not_found", 1),
    ]


def test_with_rules_concepts_outside_the_facets_are_listed_too(align):
    rules = Rules(ROOTS, (Rule("cut", "too wide", "300010900"),))
    found = align([[AAT + "300010900", AAT + "300010957"]], rules=rules)
    assert found.concept_alignments.height == 2
    assert rows(found.unmapped_concepts) == [(AAT + "300010900", "metal", "outside_facets", 1)]
    assert dict(found.concepts.select("concept_id", "facet").iter_rows())["300010957"] == "materials"


def test_labels_of_europeanas_concepts_that_match_one_id_are_taken_over(align):
    labels = {
        row["concept_id"]: row["labels"] for row in align([[EUROPEANA + "48", EUROPEANA + "25"]]).concepts.to_dicts()
    }
    assert {"language": "ca", "text": "retrat"} in labels["300015637"]
    assert {"language": "en", "text": "portraits"} in labels["300015637"]  # the AAT's own stays
    assert {"language": "en", "text": "two"} not in labels["300010957"]


def test_entities_are_asked_for_in_batches_and_once(align):
    entities = Entities(PORTRAIT, TWO)
    uris = [[EUROPEANA + "48", EUROPEANA + "base/48", EUROPEANA + "25", EUROPEANA + "9"]]
    first = align(uris, entities, batch_size=2)
    assert entities.asked == [[EUROPEANA + "25", EUROPEANA + "48"], [EUROPEANA + "9"]]
    again = align(uris, entities, batch_size=2)
    assert len(entities.asked) == 2
    assert again.concept_alignments.equals(first.concept_alignments)


def test_the_rows_fit_their_tables(align):
    found = align([[AAT + "300010957", EUROPEANA + "9"]])
    assert CONCEPT_ALIGNMENTS.conform(found.concept_alignments).num_rows == 1
    assert UNMAPPED_CONCEPTS.conform(found.unmapped_concepts).num_rows == 1
    assert CONCEPTS.conform(found.concepts).num_rows == 3
