"""Spellings of identifiers."""

import pytest

from pipeline.harvest.entities import europeana_concept
from pipeline.vocabulary.identifiers import NotAnAatId, aat_id, checked_ids


@pytest.mark.parametrize(
    "uri",
    [
        "http://vocab.getty.edu/aat/300015637",
        "https://vocab.getty.edu/aat/300015637",
        " http://vocab.getty.edu/aat/300015637 ",
        "http://vocab.getty.edu/aat/300015637/",
        "http://vocab.getty.edu/page/aat/300015637",
        "https://vocab.getty.edu/aat/300015637.json",
        "aat:300015637",
        "http://www.getty.edu/vow/AATFullDisplay?find=&logic=AND&note=&subjectid=300015637",
    ],
)
def test_every_spelling_of_an_aat_uri_gives_its_id(uri):
    assert aat_id(uri) == "300015637"


@pytest.mark.parametrize(
    "uri",
    [
        "http://vocab.getty.edu/aat/30001563",  # a digit short
        "http://vocab.getty.edu/aat/3000156377",
        "http://vocab.getty.edu/tgn/300015637",
        "http://evil.example/http://vocab.getty.edu/aat/300015637",
        "http://vocab.getty.edu/aat/300015637> . DELETE WHERE {?s ?p ?o} #",
        "http://www.wikidata.org/entity/Q134307",
        "",
    ],
)
def test_other_uris_give_none(uri):
    assert aat_id(uri) is None


def test_both_spellings_of_a_europeana_concept_are_one():
    assert europeana_concept("http://data.europeana.eu/concept/base/48") == "http://data.europeana.eu/concept/48"
    assert europeana_concept("https://data.europeana.eu/concept/48") == "http://data.europeana.eu/concept/48"
    assert europeana_concept("http://data.europeana.eu/agent/base/48") is None


def test_only_nine_digit_ids_pass():
    assert checked_ids(["300015637", "300010900", "300015637"]) == ["300010900", "300015637"]
    with pytest.raises(NotAnAatId, match=r"300015637 \. DELETE"):
        checked_ids(["300015637 . DELETE"])
