"""Texts and names as they really come: half surrogate pairs, holders as agents or organisations, odd spellings."""

import json
import random
from pathlib import Path

import httpx
import polars as pl
import pytest

from pipeline.harvest.chunks import _by_large_provider
from pipeline.harvest.europeana import EVERYTHING, names_of, organisations_of
from pipeline.harvest.items import row_of_item
from pipeline.harvest.pages import harvest_collection
from pipeline.harvest.records import write_records
from pipeline.http import HttpClient
from pipeline.settings import HarvestSettings, HttpSettings, VocabularySettings
from pipeline.tables import RECORDS
from pipeline.vocabulary.align import align_concepts
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.getty import GettySource
from pipeline.vocabulary.source import DumpThenEndpoint
from tests.pipeline.harvest.conftest import SmallEuropeana, client_of, item
from tests.pipeline.mutations import mutated_json
from tests.support.examples import examples

HALF = "\ud83d"  # the first half of an emoji
SOUND = "\ufffd"
ORGANISATION = "http://data.europeana.eu/organization/7"


def harvested(europeana: SmallEuropeana, folder: Path) -> tuple[dict[str, dict], set[str]]:
    """The rows of a harvest by id, and the ids that were left out."""
    settings, left_out = HarvestSettings(rows=10), set()
    harvest_collection(client_of(europeana), "*", folder / "pages" / "all", settings)
    write_records(folder / "pages", folder / "records.parquet", settings, left_out=left_out)
    rows = pl.read_parquet(folder / "records.parquet").iter_rows(named=True)
    return {row["record_id"]: row for row in rows}, left_out


def as_it_came(body: dict) -> httpx.Response:
    """An answer in which half a pair is an escape, as servers write it."""
    return httpx.Response(200, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def test_half_a_pair_in_titles_and_names_costs_no_record(tmp_path):
    europeana = SmallEuropeana(12)
    europeana.items[3] |= {"title": [f"Cup {HALF}"], "dataProvider": [f"{HALF}House"], "dcCreator": [f"Ada {HALF}"]}
    europeana.bend = lambda asked, body: as_it_came(body)
    rows, left_out = harvested(europeana, tmp_path)
    assert (len(rows), left_out) == (12, set())
    row = rows["/1/a0003"]
    assert row["titles"] == [{"language": "def", "text": f"Cup {SOUND}"}]
    assert row["data_provider"] == f"{SOUND}House"
    assert row["attribution"].startswith(f"Cup {SOUND}. Ada {SOUND}. {SOUND}House")


def test_a_record_whose_id_is_damaged_is_left_out_and_counted(tmp_path):
    europeana = SmallEuropeana(12)
    europeana.items[5]["id"] = f"/1/b{HALF}"
    europeana.bend = lambda asked, body: as_it_came(body)
    rows, left_out = harvested(europeana, tmp_path)
    assert len(rows) == 11
    assert left_out == {f"/1/b{SOUND}"}


def test_a_damaged_provider_is_never_asked_for_by_name():
    """Its name finds nothing: its records come with those of all others."""
    counts = {"Museum A": 50, f"Mu{SOUND}seum": 60, "Museum B": 2}
    fields = [{"label": name, "count": count} for name, count in counts.items()]
    body = {"success": True, "totalResults": 112, "items": [], "facets": [{"name": "DATA_PROVIDER", "fields": fields}]}
    answer = httpx.Response(200, json=body)
    settings = HarvestSettings(rows=10, max_records_per_provider=40)
    windows, rest = _by_large_provider(client_of(lambda request: answer), "*", EVERYTHING, settings)
    assert [window.provider for window, _ in windows] == ["Museum A"]
    assert rest.without_providers == ("Museum A",)


def test_half_a_pair_in_gettys_answer_is_replaced_in_the_table_and_in_the_cache(tmp_path):
    def row(prop: str, value: dict) -> dict:
        return {
            "subject": {"type": "uri", "value": "http://vocab.getty.edu/aat/300010957"},
            "property": {"type": "uri", "value": prop},
            "value": value,
        }

    label = {"type": "literal", "xml:lang": "en", "value": f"bronze {HALF}"}
    bindings = [
        row(
            "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
            {"type": "uri", "value": "http://vocab.getty.edu/ontology#Concept"},
        ),
        row("http://www.w3.org/2004/02/skos/core#prefLabel", label),
    ]
    answer = as_it_came({"head": {"vars": ["subject", "property", "value"]}, "results": {"bindings": bindings}})

    def gone(request: httpx.Request) -> httpx.Response:
        raise AssertionError("the second time it comes from the cache")

    for server in (lambda request: answer, gone):
        http = HttpClient(HttpSettings(attempts=1), transport=httpx.MockTransport(server))
        (concept,) = GettySource(http, VocabularySettings(), tmp_path).concepts(["300010957"]).iter_rows(named=True)
        assert concept["labels"] == [{"language": "en", "text": f"bronze {SOUND}"}]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("Museum", ["Museum"]),
        (
            [{"id": "http://data.europeana.eu/organization/7", "type": "Agent", "label": {"en": ["Silk House"]}}],
            ["Silk House"],
        ),
        ([{"type": "Agent", "prefLabel": "Loom House"}], ["Loom House"]),
        (
            ["http://data.europeana.eu/organization/7", "Silk House"],
            ["Silk House", "http://data.europeana.eu/organization/7"],
        ),
        ({"def": ["A"], "en": ["B"]}, ["A", "B"]),
        (None, []),
    ],
)
def test_a_holder_is_called_by_name_however_it_is_written(value, names):
    assert names_of(value) == names


def test_an_organisation_is_called_by_its_name_in_the_record():
    record = {
        "organizations": [{"about": "http://data.europeana.eu/organization/7", "prefLabel": {"nl": ["Weefhuis"]}}]
    }
    assert names_of({"def": ["http://data.europeana.eu/organization/7"]}, organisations_of(record)) == ["Weefhuis"]


def test_odd_spellings_of_the_aat_reach_their_concept_and_bare_numbers_only_where_it_exists(tmp_path):
    thesaurus = tmp_path / "aat.nt"
    kind = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://vocab.getty.edu/ontology#Concept>"
    ids = (300010957, 300015637)
    thesaurus.write_text("".join(f"<http://vocab.getty.edu/aat/{number}> {kind} .\n" for number in ids))
    given = item(1) | {
        "edmConcept": [],
        "dcTypeLangAware": {"def": ["300010957", "300099999", "vocab.getty.edu/aat/300015637"]},
    }
    row = row_of_item(given)
    records = RECORDS.frame([{name: row[name] for name in ("record_id", "concept_uris", "type_uris", "subject_uris")}])
    source = DumpThenEndpoint(DumpSource([thesaurus]), None)
    aligned = align_concepts(records, lambda uris: [], source, VocabularySettings(), tmp_path)
    assert aligned.concept_alignments["concept_id"].to_list() == ["300010957", "300015637"]
    assert aligned.unmapped_concepts["uri"].to_list() == ["300099999"]


@pytest.mark.parametrize("seed", range(examples(200) // 20))
def test_mutated_items_are_rows_or_have_no_id(seed: int):
    rng = random.Random(seed)
    whole = item(7) | {
        "dcTypeLangAware": {"en": ["chair"], "def": ["http://vocab.getty.edu/aat/300037772"]},
        "dcSubjectLangAware": {"en": ["portrait"]},
        "dataProvider": [{"type": "Agent", "label": {"en": "House"}}],
    }
    for _ in range(20):
        given = mutated_json(whole, rng)
        if isinstance(given, dict) and isinstance(given.get("id"), str):
            assert set(row_of_item(given)) <= set(RECORDS.schema.names)
