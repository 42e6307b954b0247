"""Every recorded answer of the real APIs goes through the real client code."""

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.harvest.entities import read_concepts
from pipeline.harvest.europeana import read_record
from pipeline.harvest.pages import harvest_collection
from pipeline.harvest.records import records_from_pages
from pipeline.http import GaveUp, HttpError, Refused, WrongKey
from pipeline.settings import HarvestSettings
from pipeline.tables import RECORDS
from tests.pipeline.harvest.conftest import client_of

pytestmark = pytest.mark.shared

SEARCHES = {  # file: (items, with a concept, providers)
    "openverse_search_rich_27items_2022704.json": (27, 27, 1),
    "vuejs_items_standard_profile.json": (50, 48, 26),
    "pyeuropeana_notebook_item_92034.json": (1, 1, 1),
}


def envelope(recorded: Any) -> dict[str, Any]:
    """The recorded items as one whole search answer: the last page of its walk."""
    if isinstance(recorded, dict) and "items" in recorded:
        items = recorded["items"]
    else:
        items = recorded if isinstance(recorded, list) else [recorded]
    ids = {item["id"] for item in items}
    return {"apikey": "test", "success": True, "itemsCount": len(items), "totalResults": len(ids), "items": items}


def served(answer: dict[str, Any]):
    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.params["rows"] == "0":
            return httpx.Response(200, json={**answer, "items": [], "itemsCount": 0})
        return httpx.Response(200, json=answer)

    return serve


@pytest.mark.parametrize("name", SEARCHES)
def test_every_recorded_search_is_harvested(name, payloads, tmp_path):
    answer = envelope(json.loads((payloads / "search" / name).read_text(encoding="utf-8")))
    settings = HarvestSettings()
    client = client_of(served(answer), rows=100)
    harvest_collection(client, "*", tmp_path / "pages" / "all", settings)
    records = records_from_pages(tmp_path / "pages", settings)
    RECORDS.conform(records)
    n, with_concept, providers = SEARCHES[name]
    assert records.height == n
    assert records["concept_uris"].list.len().gt(0).sum() == with_concept
    assert records["data_provider"].n_unique() == providers
    assert records["thumbnail_url"].str.starts_with("https://api.europeana.eu/").all()
    assert records["titles"].list.len().min() >= 1
    assert records["updated_at"].null_count() == 0
    families = set(records["rights_uri"].str.extract(r"^http://([a-z]+\.org/[a-z]+)/"))
    assert families <= {
        "creativecommons.org/licenses",
        "creativecommons.org/publicdomain",
        "rightsstatements.org/vocab",
    }
    for page in tmp_path.rglob("page-*.gz"):
        assert b"wskey=test" not in gzip.decompress(page.read_bytes())


def test_all_recorded_searches_are_listed(payloads):
    assert {file.name for file in (payloads / "search").iterdir()} == set(SEARCHES)


def test_a_recorded_rich_item_tells_the_role_of_a_concept(payloads, tmp_path):
    answer = envelope(
        json.loads((payloads / "search" / "openverse_search_rich_27items_2022704.json").read_text(encoding="utf-8"))
    )
    harvest_collection(client_of(served(answer)), "*", tmp_path / "all", HarvestSettings())
    row = records_from_pages(tmp_path).row(0, named=True)
    assert row["subject_uris"] == row["concept_uris"] != []
    assert row["type_uris"] == []
    assert {"language": "def", "text": "Ilustraciones y Fotos"} in row["literal_terms"]


def recorded(folder: str, payloads: Path) -> list[Path]:
    return sorted((payloads / folder).glob("*.json"))


@pytest.mark.parametrize("folder", ["record_json", "record_json_derived"])
def test_every_recorded_record_is_read(folder, payloads):
    files = recorded(folder, payloads)
    assert len(files) == {"record_json": 3, "record_json_derived": 11}[folder]
    for file in files:
        record = read_record(json.loads(file.read_text(encoding="utf-8")))
        assert record.record_id.startswith("/"), file.name
        assert record.record_id.count("/") == 2, file.name
        assert set(record.terms) == {"dcType", "dcSubject", "dcFormat", "dctermsMedium", "edmHasType"}


def test_a_record_by_its_id_comes_through_the_client(payloads):
    body = (payloads / "record_json" / "openverse_item_full_2021650.json").read_bytes()
    record = client_of(lambda _: httpx.Response(200, content=body)).record(
        "/2021650/memorix_0000ee69_1b9e_6823_478f_c88af61736c6"
    )
    assert record is not None
    assert record.rights_uri == "http://creativecommons.org/publicdomain/zero/1.0/"


def test_a_provider_may_state_a_term_that_is_no_entity_of_the_record(payloads):
    """Dossier, section 2.1: AAT URIs in the provider's proxy with no entry in concepts[]."""
    records = [
        read_record(json.loads(file.read_text(encoding="utf-8"))) for file in recorded("record_json_derived", payloads)
    ]
    stated = {
        text for record in records for texts in record.terms.values() for text in texts if "getty.edu/aat" in text
    }
    entities = {concept.uri for record in records for concept in record.concepts}
    assert stated - entities


ENTITIES = {  # file: concepts read, AAT ids among their exact matches
    "entity-management_concept-consolidated-bathtub.json": (1, 0),
    "entity-management_concept.json": (1, 0),
    "entity-management_timespan.json": (0, 0),
    "metis_entity-api-response-concept-ii.json": (1, 2),
    "metis_entity-api-response-concept-iv.json": (1, 2),
    "metis_entity-api-response-concept-notfound.json": (0, 0),
    "metis_entity-api-response-concept.json": (1, 1),
    "metis_entity-api-response-mgmt-concept-base-ii.json": (1, 2),
    "metis_entity-api-response-mgmt-concept-base.json": (1, 1),
    "metis_entity-api-response-organization.json": (0, 0),
    "metis_entity-api-response-resolve-uri-concept.json": (1, 1),
    "metis_entity-api-response-resolve-uri-nomatch.json": (0, 0),
    "metis_entity-api-response-resolve-uri-place.json": (0, 0),
}


def test_every_recorded_entity_is_read(payloads):
    found = {}
    for file in recorded("entity", payloads):
        concepts = read_concepts(json.loads(file.read_text(encoding="utf-8")))
        matches = [uri for concept in concepts for uri in concept.exact_match if "vocab.getty.edu/aat/" in uri]
        found[file.name] = (len(concepts), len(matches))
    assert found == ENTITIES


def test_two_matches_of_one_concept_are_both_kept(payloads):
    page = json.loads((payloads / "entity" / "metis_entity-api-response-concept-iv.json").read_text(encoding="utf-8"))
    [concept] = client_of(lambda _: httpx.Response(200, json=page)).concepts(
        ["http://data.europeana.eu/concept/base/3401"]
    )
    assert [uri for uri in concept.exact_match if "getty" in uri] == [
        "http://vocab.getty.edu/aat/300054290",
        "http://vocab.getty.edu/aat/300055939",
    ]


KINDS = {401: WrongKey, 404: Refused, 429: GaveUp, 500: GaveUp}


def test_every_recorded_error_is_told_apart(payloads):
    index = json.loads((payloads / "errors" / "index.json").read_text(encoding="utf-8"))
    assert len(index) == 16
    for entry in index:
        body = (payloads / "errors" / entry["file"]).read_bytes()
        answer = httpx.Response(entry["status"], headers=entry["headers"], content=body)
        kind = WrongKey if "key_" in entry["file"] else KINDS.get(entry["status"], Refused)
        with pytest.raises(HttpError) as failure:
            client_of(lambda _, answer=answer: answer).search("furniture")
        assert type(failure.value) is kind, entry["file"]
        if kind is Refused:
            assert json.loads(body)["error"].split(":")[0] in str(failure.value)
            assert failure.value.code == json.loads(body).get("code")
