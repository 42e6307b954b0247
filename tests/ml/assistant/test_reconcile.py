"""The reconciliation service by version 0.2 of its specification, asked as OpenRefine asks.

The models state the specification's JSON schemas (reconciliation-api.github.io/specs/0.2/schemas).
"""

import json
import random
import time
from typing import Annotated, Any, Literal

import pytest
from fastapi.testclient import TestClient
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from ml.assistant.app import create_app
from ml.assistant.search import SearchIndex
from ml.assistant.vocabulary import Term, Vocabulary
from tests.ml.assistant.test_iiif import mutated

OPENREFINE = "http://127.0.0.1:3333"
WithId = Annotated[str, StringConstraints(pattern=r".*\{\{id\}\}.*")]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Typed(Strict):
    id: str
    name: str


class View(Strict):
    url: WithId


class Endpoint(Strict):
    service_url: str
    service_path: str


class Extend(Strict):
    propose_properties: Endpoint
    property_settings: list[Any] = []


class Manifest(BaseModel):
    """manifest.json, which allows further keys."""

    model_config = ConfigDict(strict=True)
    versions: list[str]
    name: str
    identifierSpace: str
    schemaSpace: str
    view: View
    defaultTypes: list[Typed]
    suggest: dict[Literal["entity", "type", "property"], Endpoint]
    extend: Extend
    preview: None = None


class Candidate(Strict):
    id: str
    name: str
    description: str
    score: float | int
    match: bool
    type: list[Typed]


class Result(Strict):
    result: list[Candidate]
    error: str = ""


class Suggested(Strict):
    id: str
    name: str
    description: str = ""
    notable: list[Typed] = []


class Suggestions(Strict):
    result: list[Suggested]


class TextValue(Strict):
    str: str


class Extension(Strict):
    meta: list[Typed]
    rows: dict[str, dict[str, list[Typed | TextValue]]]


class Proposal(Strict):
    properties: list[Typed]
    type: str = ""
    limit: int = Field(ge=1)


Batch = TypeAdapter(dict[str, Result])


@pytest.fixture
def client(service):
    """OpenRefine: another program, without the page's header."""
    chalice = Term("300043202", "object_types", labels={"en": "chalices", "de": "Kelche"})
    seals = [
        Term("300028748", "object_types", labels={"en": "seals"}, scope_notes={"en": "Marks.", "nl": "Merken."}),
        Term("300264363", "object_types", ("300043202",), labels={"en": "seals"}),
        Term("300011816", "materials", labels={"en": "seals"}),
    ]
    many = [Term(f"3001{n:05}", "object_types", labels={"en": f"goblet {n}"}) for n in range(150)]
    service.vocabulary = Vocabulary([chalice, *seals, *many], ("object_types", "materials"))
    service.index = SearchIndex(service.vocabulary)
    with TestClient(create_app(service), base_url="http://127.0.0.1:8760") as made:
        yield made


def asked(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.post("/reconcile", data={"queries": json.dumps({"q0": query})})
    return Batch.validate_python(answer.json())["q0"].model_dump()["result"]


def ids(results: list[dict[str, Any]], matched: bool = False) -> list[str]:
    return [each["id"] for each in results if each["match"] or not matched]


def test_the_manifest_has_the_specification_s_form_and_its_addresses_answer(client):
    manifest = Manifest.model_validate(client.get("/reconcile").json())
    assert "0.2" in manifest.versions
    AnyHttpUrl(manifest.view.url.replace("{{id}}", "300043202"))
    for kind, endpoint in manifest.suggest.items():
        address = endpoint.service_url + endpoint.service_path
        answer = client.get(address, params={"prefix": "c" if kind == "entity" else "t"})
        assert Suggestions.model_validate(answer.json()).result, kind
    proposed = client.get(manifest.extend.propose_properties.service_path, params={"type": "materials", "limit": 2})
    assert [each.id for each in Proposal.model_validate(proposed.json()).properties] == ["broader", "facet"]


def test_a_batch_in_every_form_that_is_answered(client):
    batch = {"q0": {"query": "chalices"}, "q1": {"query": "Kelche", "type": "object_types", "limit": 1}}
    text = json.dumps(batch)
    answers = [
        client.post("/reconcile", data={"queries": text}),
        client.get("/reconcile", params={"queries": text}),
        client.post("/reconcile", json={"queries": batch}),
        client.post("/reconcile", json={"queries": text}),
    ]
    for answer in answers:
        results = Batch.validate_python(answer.json())
        assert [results[name].result[0].id for name in ("q0", "q1")] == ["300043202", "300043202"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": {"query": "chalices"}}, 400),
        ({"content": b""}, 400),
        ({"files": {"queries": (None, '{"q0": {"query": "chalices"}}')}}, 415),
        ({"data": {"queries": "[1, 2]"}}, 400),
        ({"data": {"queries": '{"q0": {"query": NaN}}'}}, 400),
        ({"data": {"queries": json.dumps({f"q{n}": {"query": "a"} for n in range(51)})}}, 400),
        ({"json": [1]}, 400),
        ({"data": {"extend": '{"ids": ["300043202"]}'}}, 400),
        ({"data": {"extend": '{"ids": ["300043202"], "properties": [{"id": "weight"}]}'}}, 400),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(client, sent, status):
    answer = client.post("/reconcile", **sent)
    assert answer.status_code == status
    assert answer.json()["message"].endswith(".")


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_concepts_of_one_name_never_match_by_themselves(client, limit):
    found = asked(client, query="Seals", limit=limit)
    assert len(found) == min(limit, 3)
    assert ids(found, matched=True) == []


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("materials", ["300011816"]),
        (["materials"], ["300011816"]),
        ({"id": "materials", "name": "materials"}, ["300011816"]),
        ([{"id": "materials"}], ["300011816"]),
        (["materials", "object_types"], ["300011816", "300028748", "300264363"]),
        ("persons", []),
        ([], ["300011816", "300028748", "300264363"]),
        ("http://www.w3.org/2004/02/skos/core#Concept", ["300011816", "300028748", "300264363"]),
    ],
)
def test_a_type_restricts_the_candidates_in_every_form(client, kind, found):
    results = asked(client, query="seals", type=kind)
    assert sorted(ids(results)) == found
    assert ids(results, matched=True) == (found if len(found) == 1 else [])


def test_type_strict_says_what_several_types_mean(client):
    types = ["materials", "persons"]
    assert ids(asked(client, query="seals", type=types, type_strict="any")) == ["300011816"]
    assert ids(asked(client, query="seals", type=types, type_strict="all")) == []
    assert len(ids(asked(client, query="seals", type=types, type_strict="should"))) == 3


@pytest.mark.parametrize("text", ["300028748", " http://vocab.getty.edu/page/aat/300028748 ", "aat:300028748"])
def test_an_id_in_any_spelling_is_that_concept(client, text):
    assert ids(asked(client, query=text), matched=True) == ["300028748"]
    suggested = client.get("/reconcile/suggest/entity", params={"prefix": text}).json()
    assert [each["id"] for each in suggested["result"]] == ["300028748"]
    assert asked(client, query=text, type="materials") == []


@pytest.mark.parametrize(
    "bad", [7, None, [], "seals", {}, {"query": 7}, {"query": "a", "type": 7}, {"query": "a", "limit": 0}]
)
def test_a_bad_query_leaves_the_others_alone(client, bad):
    queries = json.dumps({"bad": bad, "good": {"query": "chalices"}})
    answer = Batch.validate_python(client.post("/reconcile", data={"queries": queries}).json())
    assert (answer["bad"].result, answer["good"].result[0].match) == ([], True)
    assert answer["bad"].error.endswith(".")


def test_more_candidates_are_given_up_to_a_limit(client):
    assert [len(asked(client, query="goblet", limit=limit)) for limit in (3, 60, 100, 5_000)] == [3, 60, 100, 100]


def test_suggestions_go_on_where_the_cursor_stands(client):
    pages = [
        [each["id"] for each in client.get(f"/reconcile/suggest/entity?prefix=gob&cursor={at}").json()["result"]]
        for at in (0, 7, 20, 10_000)
    ]
    assert pages[1][:13] == pages[0][7:]
    assert (len(pages[2]), set(pages[2]) & set(pages[0]), pages[3]) == (20, set(), [])


def test_data_extension_tells_what_lies_around_a_concept(client):
    extend = {
        "ids": ["300264363", "http://vocab.getty.edu/aat/300028748", "300999999"],
        "properties": [{"id": "broader"}, {"id": "facet", "settings": {}}, {"id": "scope_note"}],
    }
    answer = client.post("/reconcile?lang=nl", data={"extend": json.dumps(extend)}).json()
    Extension.model_validate(answer)
    assert [each["id"] for each in answer["meta"]] == ["broader", "facet", "scope_note"]
    assert answer["rows"] == {
        "300264363": {
            "broader": [{"id": "300043202", "name": "chalices"}],
            "facet": [{"str": "object types"}],
            "scope_note": [],
        },
        "http://vocab.getty.edu/aat/300028748": {
            "broader": [],
            "facet": [{"str": "object types"}],
            "scope_note": [{"str": "Merken."}],
        },
        "300999999": {"broader": [], "facet": [], "scope_note": []},
    }


def test_a_page_of_another_origin_may_reconcile_and_nothing_else(client):
    page = {"origin": OPENREFINE, "sec-fetch-site": "cross-site"}
    preflight = page | {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = client.options("/reconcile", headers=preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, "*")
    assert "content-type" in allowed.headers["access-control-allow-headers"]
    answer = client.post("/reconcile", json={"queries": {"q0": {"query": "chalices"}}}, headers=page)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    for path in ("/api/images/dataset", "/api/suggest", "/reconciled"):
        assert client.post(path, headers=page, json={}).status_code == 403
        assert "access-control-allow-origin" not in client.options(path, headers=preflight).headers
    assert client.request("DELETE", "/reconcile", headers=page).status_code == 403


def test_a_page_of_another_origin_needs_the_token_too(service):
    with TestClient(create_app(service, token="s3cret"), base_url="http://desk.example") as client:
        page = {"origin": OPENREFINE}
        assert client.options("/reconcile", headers=page | {"access-control-request-method": "POST"}).status_code == 204
        assert client.post("/reconcile", headers=page, data={"queries": "{}"}).status_code == 401
        page["authorization"] = "Bearer s3cret"
        assert client.post("/reconcile", headers=page, data={"queries": "{}"}).json() == {}


def test_long_texts_of_letters_that_fold_into_many_hold_nobody_up(client):
    letter = "\ufdfa"  # which NFKD makes eighteen letters of
    queries = {f"q{n}": {"query": letter * 1_500, "limit": 100} for n in range(50)}
    started = time.monotonic()
    answer = client.post("/reconcile", json={"queries": queries})
    assert answer.status_code == 200
    assert time.monotonic() - started < 2
    assert all(each["result"] == [] for each in answer.json().values())


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_no_batch_crashes_the_service(client, count):
    chance = random.Random(2)
    seed = {
        "q0": {"query": "seals", "type": ["materials"], "limit": 3, "type_strict": "any"},
        "q1": {"query": "300028748", "properties": [{"pid": "broader", "v": "x"}]},
    }
    extend = {"ids": ["300028748"], "properties": [{"id": "broader"}]}
    for number in range(count):
        body = {"queries": mutated(seed, chance)} if number % 2 else {"extend": mutated(extend, chance)}
        answer = client.post("/reconcile", content=json.dumps(body), headers={"content-type": "application/json"})
        assert answer.status_code == 200 or (400 <= answer.status_code < 500 and answer.json()["message"])
