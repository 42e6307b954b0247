"""Europeana's query language."""

import pytest

from pipeline.sandbox.query import All, Everything, Not, QueryError, Range, Some, Term, parse, parse_refinements


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("*", Everything()),
        ("*:*", Everything()),
        ("furniture", Term(None, "furniture")),
        ("art of sculpture", All((Term(None, "art"), Term(None, "of"), Term(None, "sculpture")))),
        ("chair OR cadira", Some((Term(None, "chair"), Term(None, "cadira")))),
        ("chair AND NOT oak", All((Term(None, "chair"), Not(Term(None, "oak"))))),
        ('"oil painting"', Term(None, "oil painting", phrase=True)),
        (
            'europeana_id:("/1/a" OR "/1/b")',
            Some((Term("europeana_id", "/1/a", True), Term("europeana_id", "/1/b", True))),
        ),
        (
            "timestamp_update:[2026-01-01T00:00:00Z TO 2026-02-01T00:00:00Z}",
            Range("timestamp_update", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", True, False),
        ),
        ("skos_concept:*vocab.getty.edu*", Term("skos_concept", "*vocab.getty.edu*")),
        (
            "skos_concept:https://data.europeana.eu/concept/47",
            Term("skos_concept", "http://data.europeana.eu/concept/47"),
        ),
    ],
)
def test_a_query_becomes_a_tree(text, tree):
    assert parse(text) == tree


@pytest.mark.parametrize("text", ["(chair", "chair AND", "AND chair", ")", "[a TO b]"])
def test_what_solr_could_not_parse_is_refused(text):
    with pytest.raises(QueryError):
        parse(text)


def test_refinements_of_one_field_are_alternatives_and_of_two_fields_conditions():
    tree = parse_refinements(("TYPE:IMAGE", "COUNTRY:spain", "COUNTRY:france"))
    spain_or_france = Some((Term("COUNTRY", "spain"), Term("COUNTRY", "france")))
    assert tree == All((Some((Term("TYPE", "IMAGE"),)), spain_or_france))
