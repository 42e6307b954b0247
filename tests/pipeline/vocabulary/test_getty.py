"""Getty's endpoint: equal to the dump, cached, polite, and sound under every fault it has shown."""

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path

import httpx
import pyoxigraph
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http import GaveUp, HttpClient, Refused, Unreachable
from pipeline.settings import HttpSettings, VocabularySettings
from pipeline.vocabulary.getty import GettySource, subjects_query
from pipeline.vocabulary.identifiers import NotAnAatId
from pipeline.vocabulary.source import DumpThenEndpoint, concept_source
from pipeline.vocabulary.sparql import checked_form
from tests.support.faults import BY_NAME, Faults
from tests.support.museum_server import running

FAST = HttpSettings(requests_per_second=10_000, backoff_first_s=0.001, attempts=4)
ALL = ["300015637", "300010957", "300010958", "300010959", "300999999"]
SPARQL_FAULTS = tuple(name for name, fault in BY_NAME.items() if "sparql" in fault.where)


class Endpoint:
    """A SPARQL endpoint over the small thesaurus that records what it was asked."""

    def __init__(self, dump: Path) -> None:
        self.store = pyoxigraph.Store()
        self.store.bulk_load(path=dump, format=pyoxigraph.RdfFormat.N_TRIPLES)
        self.requests: list[httpx.Request] = []
        self.answer = self.truth

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    def query(self, request: httpx.Request) -> str:
        return httpx.QueryParams(request.content.decode() or request.url.query.decode())["query"]

    def truth(self, request: httpx.Request) -> httpx.Response:
        found = self.store.query(self.query(request)).serialize(format=pyoxigraph.QueryResultsFormat.JSON)
        return httpx.Response(200, content=found, headers={"Content-Type": "application/sparql-results+json"})


@pytest.fixture
def endpoint(thesaurus_file):
    return Endpoint(thesaurus_file)


def source(endpoint, cache, today="2026-11-23", **settings):
    http = HttpClient(FAST, transport=httpx.MockTransport(endpoint))
    return GettySource(http, VocabularySettings(**settings), cache, today=lambda: date.fromisoformat(today))


def test_the_endpoint_and_the_dump_give_equal_rows(endpoint, small, tmp_path):
    assert source(endpoint, tmp_path).concepts(ALL).equals(small.concepts(ALL))


def test_each_subject_is_asked_for_once_and_then_kept(endpoint, tmp_path):
    first = source(endpoint, tmp_path, batch_size=2).concepts(ALL)
    asked = Counter(
        word for request in endpoint.requests for word in endpoint.query(request).split() if "aat:3" in word
    )
    assert len(asked) == 10  # nine subjects and the unknown id
    assert set(asked.values()) == {1}
    n = len(endpoint.requests)
    assert source(endpoint, tmp_path).concepts(ALL).equals(first)
    assert len(endpoint.requests) == n
    source(endpoint, tmp_path, today="2027-11-23").concepts(ALL)
    assert len(endpoint.requests) > n


def test_requests_are_as_the_dossier_asks(endpoint, tmp_path):
    source(endpoint, tmp_path, batch_size=200).concepts([f"3000{number:05d}" for number in range(200)])
    (request,) = endpoint.requests
    assert (request.method, str(request.url)) == ("POST", "https://vocab.getty.edu/sparql")
    assert request.headers["accept"] == "application/sparql-results+json"
    assert request.headers["user-agent"].startswith("eufcc/")


@given(st.text())
def test_nothing_but_ids_is_put_into_a_query(text):
    if text.isascii() and text.isdigit() and len(text) == 9 and text.startswith("3"):
        assert f"aat:{text}" in subjects_query([text])
    else:
        with pytest.raises(NotAnAatId):
            subjects_query([text])


def test_an_endpoint_that_is_no_web_address_is_refused(endpoint, tmp_path):
    with pytest.raises(ValueError, match="must begin with https"):
        source(endpoint, tmp_path, sparql_endpoint="file:///etc/passwd").concepts(ALL)
    assert endpoint.requests == []


def test_what_would_change_something_is_not_sent():
    with pytest.raises(ValueError, match="would change something"):
        checked_form("https://vocab.getty.edu/sparql", "delete where { ?s ?p ?o }")


@pytest.mark.parametrize(
    ("endpoint", "query"),
    [("ftp://me:secret@a.example/sparql", "ask {}"), ("https://me:secret@a.example/sparql", "clear all")],
)
def test_a_refused_endpoint_is_named_without_its_password(endpoint: str, query: str):
    with pytest.raises(ValueError, match=r"a\.example") as error:
        checked_form(endpoint, query)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Service temporarily degraded</html>",
        b'{"head": {"vars": ["subject"]}, "results": {"bindings": [{"subject"',
        b"[]",
        b'{"head": {"vars": []}}',
        b'{"head": {"vars": ["subject"]}, "results": {"bindings": [{"subject": {"type": "uri"}}]}}',
    ],
)
def test_an_answer_that_is_no_result_is_never_taken_for_one(endpoint, tmp_path, body):
    endpoint.answer = lambda request: httpx.Response(200, content=body)
    with pytest.raises(GaveUp, match=r"^https://vocab\.getty\.edu/sparql gives no usable answer after 4 attempts"):
        source(endpoint, tmp_path).concepts(ALL)
    assert len(endpoint.requests) == 4
    assert not list(tmp_path.glob("*.jsonl"))


def test_an_unreachable_endpoint_is_told_in_one_sentence(tmp_path):
    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host", request=request)

    with pytest.raises(Unreachable, match=r"^https://vocab\.getty\.edu/sparql is not reached after 4 attempts"):
        source(dead, tmp_path).concepts(ALL)


def test_a_refusal_is_not_repeated(endpoint, tmp_path):
    endpoint.answer = lambda request: httpx.Response(400, text="MALFORMED QUERY")
    with pytest.raises(Refused, match="HTTP 400"):
        source(endpoint, tmp_path).concepts(ALL)
    assert len(endpoint.requests) == 1


def test_a_redirect_keeps_the_body(endpoint, small, tmp_path):
    def moved(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "http":
            return httpx.Response(301, headers={"Location": str(request.url.copy_with(scheme="https"))})
        return endpoint.truth(request)

    endpoint.answer = moved
    found = source(endpoint, tmp_path, sparql_endpoint="http://vocab.getty.edu/sparql").concepts(ALL)
    assert found.equals(small.concepts(ALL))
    assert {request.method for request in endpoint.requests} == {"POST"}


def test_what_was_answered_before_a_failure_is_kept(endpoint, small, tmp_path):
    def dies_at_the_third(request: httpx.Request) -> httpx.Response:
        if len(endpoint.requests) > 2:
            raise httpx.ConnectError("cut", request=request)
        return endpoint.truth(request)

    endpoint.answer = dies_at_the_third
    with pytest.raises(Unreachable):
        source(endpoint, tmp_path, batch_size=2).concepts(ALL)
    lines = (tmp_path / "aat.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["300010957", "300010958", "300010959", "300015637"]
    endpoint.answer = endpoint.truth
    assert source(endpoint, tmp_path, batch_size=2).concepts(ALL).equals(small.concepts(ALL))


@pytest.fixture
def museum(thesaurus_file, tmp_path):
    folder = tmp_path / "museum"
    folder.mkdir()
    (folder / "small.nt.gz").write_bytes(gzip.compress(thesaurus_file.read_bytes()))
    record = {
        "id": "/1/a",
        "type": "IMAGE",
        "title": ["a"],
        "dataProvider": ["Museum"],
        "rights": ["http://creativecommons.org/publicdomain/mark/1.0/"],
        "edmIsShownBy": ["https://museum.example/a.jpg"],
        "timestamp_created": "2025-01-01T00:00:00.000Z",
        "timestamp_update": "2025-01-01T00:00:00.000Z",
    }
    (folder / "records.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (folder / "entities.jsonl").write_text("", encoding="utf-8")
    (folder / "media.csv").write_text("url,file\n", encoding="utf-8")
    return folder


def test_the_local_museum_has_the_faults_that_getty_has_shown():
    assert {"301_to_https", "sparql_499", "sparql_half", "html_as_200", "502_html", "reset"} <= set(SPARQL_FAULTS)


@pytest.mark.parametrize("fault", SPARQL_FAULTS)
def test_every_fault_ends_with_the_rows_of_a_clean_run(museum, small, tmp_path, fault):
    faults = Faults(modes=(fault,), probability=1.0, strikes=2, slow_s=0.05)
    with running(museum, faults=faults) as address:
        http = HttpSettings(
            hosts={"*": address}, requests_per_second=1000, backoff_first_s=0.001, attempts=6, read_timeout_s=2.0
        )
        with HttpClient(http) as client:
            found = GettySource(client, VocabularySettings(batch_size=2), tmp_path / "cache").concepts(ALL)
    assert faults.played[fault] > 0
    assert found.equals(small.concepts(ALL))


def test_a_dump_and_the_endpoint_are_chosen_by_settings(thesaurus_file, tmp_path):
    with HttpClient(FAST) as client:
        chosen = concept_source(client, VocabularySettings(dumps=(thesaurus_file,)), tmp_path)
        assert isinstance(chosen, DumpThenEndpoint)
        assert isinstance(concept_source(client, VocabularySettings(), tmp_path), GettySource)
