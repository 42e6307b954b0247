"""What the local museum answers has the shape of what was recorded from the real services."""

import json

import httpx
import pytest

from pipeline.sandbox.folder import MuseumFolder
from tests.support.museum_server import running

pytestmark = pytest.mark.shared


@pytest.fixture
def payloads(shared):
    return shared / "europeana" / "payloads"


def _recorded(file) -> dict | list:
    return json.loads(file.read_text(encoding="utf-8"))


def _types(items: list[dict]) -> dict[str, set[str]]:
    types: dict[str, set[str]] = {}
    for item in items:
        for name, value in item.items():
            types.setdefault(name, set()).add(type(value).__name__)
    return types


@pytest.mark.parametrize(
    ("file", "profile"),
    [("openverse_search_rich_27items_2022704.json", "rich"), ("vuejs_items_standard_profile.json", "standard")],
)
def test_search_items_have_only_recorded_fields_of_the_recorded_types(client, payloads, file, profile):
    recorded = _recorded(payloads / "search" / file)
    known = _types(recorded if isinstance(recorded, list) else recorded["items"])
    known |= {"edmConcept": {"list"}}
    answer = client.get("/record/v2/search.json", params={"query": "*", "rows": 100, "profile": profile}).json()
    for name, types in _types(answer["items"]).items():
        assert name in known, name
        assert types <= known[name], name


def test_the_search_envelope_has_the_recorded_fields(client, payloads):
    recorded = _recorded(payloads / "search" / "openverse_search_rich_27items_2022704.json")
    answer = client.get("/record/v2/search.json", params={"query": "*", "rows": 5, "cursor": "*"}).json()
    assert set(answer) == set(recorded)
    assert {name: type(value) for name, value in answer.items()} == {n: type(v) for n, v in recorded.items()}


def test_a_record_has_only_recorded_fields(client, museum, payloads):
    known: dict[str, set[str]] = {
        "object": set(),
        "aggregations": set(),
        "proxies": set(),
        "europeanaAggregation": set(),
    }
    for folder in ("record_json", "record_json_derived"):
        for file in sorted((payloads / folder).glob("*.json")):
            body = _recorded(file)
            record = body.get("object", body)
            known["object"] |= set(record)
            known["europeanaAggregation"] |= set(record.get("europeanaAggregation", {}))
            for name in ("aggregations", "proxies"):
                known[name] |= {key for part in record.get(name, []) for key in part}
    ours = client.get(f"/record/v2{museum.index.ids[0]}.json").json()["object"]
    assert set(ours) <= known["object"]
    assert set(ours["europeanaAggregation"]) <= known["europeanaAggregation"]
    for name in ("aggregations", "proxies"):
        assert {key for part in ours[name] for key in part} <= known[name]


def test_an_entity_has_the_recorded_shape(client, payloads):
    recorded = _recorded(payloads / "entity" / "metis_entity-api-response-mgmt-concept-base.json")
    ours = client.get("/entity/concept/41.json").json()
    assert set(ours) <= set(recorded)
    assert {name: type(value) for name, value in ours.items()} == {name: type(recorded[name]) for name in ours}
    assert all(isinstance(text, str) for text in ours["prefLabel"].values())


def test_an_unresolved_uri_is_answered_as_recorded(client, payloads):
    recorded = _recorded(payloads / "errors" / "REAL_404_entity_resolve_nomatch.json")
    uri = recorded["error"].rpartition(" : ")[2]
    ours = client.get("/entity/resolve", params={"uri": uri, "wskey": recorded["apikey"]})
    assert (ours.status_code, ours.json()) == (404, recorded)


def test_errors_have_the_recorded_words(museum: MuseumFolder, payloads):
    asked = {
        "DERIVED_400_SE_empty_query": {"query": ""},
        "DERIVED_400_SC_bad_cursor": {"query": "*", "cursor": "x"},
        "DERIVED_400_SD_start_and_cursor": {"query": "*", "cursor": "*", "start": 5},
        "DERIVED_400_SL_beyond_1000": {"query": "*", "start": 1001},
        "DERIVED_400_missing_query": {},
    }
    with running(museum, api_key="REDACTED") as address, httpx.Client(base_url=address) as client:
        for name, params in asked.items():
            answer = client.get("/record/v2/search.json", params=params, headers={"X-Api-Key": "REDACTED"})
            assert (answer.status_code, answer.json()) == (400, _recorded(payloads / "errors" / f"{name}.json"))
        missing = client.get("/record/v2/search.json", params={"query": "*"})
        wrong = client.get("/record/v2/search.json", params={"query": "*"}, headers={"X-Api-Key": "x"})
    assert missing.json() == _recorded(payloads / "errors" / "REAL_401_missing_key.json")
    assert wrong.json() == _recorded(payloads / "errors" / "REAL_401_unknown_key.json")


def test_our_placeholder_is_not_europeanas(payloads):
    from pipeline.sandbox.thumbnails import PLACEHOLDER

    assert PLACEHOLDER not in {file.read_bytes() for file in (payloads / "thumbnails").iterdir()}
