"""The API client against answers that a broken or hostile server gives, byte for byte over loopback: typed, bounded."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from pipeline.harvest.europeana import EuropeanaClient
from pipeline.http import GaveUp, HttpClient, HttpError, Refused, Unreachable
from pipeline.settings import HarvestSettings, HttpSettings
from tests.pipeline.images.raw import RawProvider, response, serving

JSON = {"Accept": "application/json"}


@pytest.fixture
def provider() -> Iterator[RawProvider]:
    with serving(RawProvider()) as running:
        yield running


@pytest.fixture
def ask(provider: RawProvider):
    """Ask for `/` as JSON, where this is answered."""

    def ask(answer: bytes, redirects: bool = False, **given):
        provider.answers["/"] = answer
        limits = {"attempts": 1, "requests_per_second": 1e9, "backoff_first_s": 0.0, **given}
        with HttpClient(HttpSettings(hosts={"https://api.example": provider.address}, **limits)) as http:
            return http.get("https://api.example/", headers=JSON, redirects=redirects)

    return ask


def packed(data: bytes, layers: int) -> bytes:
    for _ in range(layers):
        data = gzip.compress(data, 9, mtime=0)
    return data


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_is_refused_before_it_is_held(ask, layers: int):
    body, names = packed(bytes(100_000_000), layers), ", ".join(["gzip"] * layers)
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="more than 5000000 bytes"):
            ask(response(body, ("Content-Encoding", names)), max_body_bytes=5_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_codings_are_undone_and_damage_is_typed(ask):
    whole = packed(b'{"a": 1}', 2)
    assert ask(response(whole, ("Content-Encoding", "gzip, gzip"))).json() == {"a": 1}
    for body in (whole[:-9], b"no gzip", whole[:5]):
        with pytest.raises(GaveUp, match="not encoded as it says"):
            ask(response(body, ("Content-Encoding", "gzip, gzip")))
    with pytest.raises(Refused, match="coding that is not read"):
        ask(response(whole, ("Content-Encoding", "br")))


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 200 + b"1" + b"}" * 200, b'{"a": "\\ud800' + b"[" * 9_000],
    ids=["open", "closed", "objects", "surrogate"],
)
def test_json_that_is_nested_too_deeply_is_a_broken_body(ask, body: bytes):
    with pytest.raises(GaveUp, match="broken body"):
        ask(response(body))


def test_json_of_too_many_values_is_refused_before_it_is_read(ask):
    tracemalloc.start()
    try:
        with pytest.raises(GaveUp, match="more than 100000 values"):
            ask(response(b"[" + b"{}," * 1_000_000 + b"{}]"), max_json_values=100_000)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000  # the body itself has 3 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://[zz]/",
        "//[",
        "http://a:99999999/",
        "http://" + "é" * 300,
        "http://xn--a/",
        "http://xn--ls8h/",
        "javascript:alert(1)",
        "data:,x",
        "https:x",
    ],
)
@pytest.mark.parametrize("redirects", [True, False])
def test_a_redirect_that_cannot_be_read_is_refused(ask, location: str, redirects: bool):
    with pytest.raises(HttpError):
        ask(response(b"", ("Location", location), status="302 Found"), redirects)


@pytest.mark.parametrize("code", [["503-SA"], {"a": 1}, 7, None, "x" * 10_000])
def test_an_error_body_of_another_form_is_a_refusal(ask, code: object):
    body = json.dumps({"success": False, "code": code, "error": ["x"] * 5_000, "message": {"a": "b"}}).encode()
    with pytest.raises(Refused) as refused:
        ask(response(body, status="400 Bad"))
    assert len(str(refused.value)) < 2_000


@pytest.mark.parametrize("headers", [[("RateLimit", f'"p";r=0;t={"9" * 5_000}')], [("RateLimit", '"p";r=x;t=\xb2')]])
def test_nonsense_about_the_budget_is_left(ask, headers: list[tuple[str, str]]):
    assert ask(response(b"{}", *headers)).json() == {}


@pytest.mark.parametrize("cookie", ["a=\xff", "a=" + "x" * 60_000, "\x1b=1; Max-Age=x", "a=1"])
def test_a_cookie_of_one_answer_does_not_spoil_the_next_request(provider: RawProvider, cookie: str):
    provider.answers["/"] = response(b"{}", ("Set-Cookie", cookie.encode("latin-1")))
    settings = HttpSettings(hosts={"https://api.example": provider.address}, attempts=1, requests_per_second=1e9)
    with HttpClient(settings) as http:
        for _ in range(3):
            assert http.get("https://api.example/", headers=JSON).json() == {}
    assert not any("cookie" in headers for headers in provider.headers)


class Dripping:
    """A server that sends a byte every 50 ms, for ever."""

    def __init__(self, begin: bytes) -> None:
        self.begin, self.socket, self.over = begin, socket.create_server(("127.0.0.1", 0)), threading.Event()
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        connection, _ = self.socket.accept()
        with connection:
            connection.recv(65_536)
            try:
                connection.sendall(self.begin)
                while not self.over.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                return  # the client has left

    def __enter__(self) -> "Dripping":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join(5)
        self.socket.close()


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 2", b"", b"HTTP/1.1 200 OK\r\n\r\n"],
    ids=["headers", "status", "nothing", "body"],
)  # fmt: skip
def test_a_server_that_drips_holds_nobody(begin: bytes):
    with Dripping(begin) as server:
        settings = HttpSettings(hosts={"*": server.address}, attempts=1, total_timeout_s=0.5, read_timeout_s=30.0)
        started = time.monotonic()
        with HttpClient(settings) as http, pytest.raises((Unreachable, GaveUp)):
            http.get("https://api.example/")
        assert time.monotonic() - started < 15  # a read may take 30


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True, "totalResults": 1, "items": [{"id": "/1/a"}], "itemsCount": "many"},
        {"success": True, "totalResults": 1, "items": [{"id": "/1/a"}], "nextCursor": 7},
        {"object": {"proxies": [7]}},
        {"object": [1]},
        {"object": {"proxies": [], "about": 7}},
        {"object": {"proxies": [], "concepts": [3]}},
        {"id": "http://data.europeana.eu/concept/1", "prefLabel": ["x"]},
        {"items": [{"id": 7, "type": "Concept"}]},
        {"success": True, "totalResults": 1, "facets": [{"name": "DATA_PROVIDER", "fields": [3]}]},
        {"success": True, "totalResults": 1, "facets": "x"},
        [],
        "text",
    ],
)
def test_answers_of_another_form_are_read_or_given_up(provider: RawProvider, answer: object):
    body = response(json.dumps(answer).encode())
    provider.answer = lambda request: body
    settings = HttpSettings(hosts={"*": provider.address}, attempts=1, requests_per_second=1e9)
    said: list[str] = []
    with EuropeanaClient(HttpClient(settings), HarvestSettings(), None) as client:
        for asked in (
            lambda: client.search("*"),
            lambda: client.record("/1/a"),
            lambda: client.concepts(["http://data.europeana.eu/concept/1"]),
            lambda: client.providers("*"),
            lambda: client.bounds("*", None, "timestamp_created"),
        ):
            try:
                asked()
            except HttpError as error:
                said.append(str(error))
    assert [sentence for sentence in said if "broken body" not in sentence] == []
