"""The gate before our pages: names, origins, frames, links, sockets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.web_gate import PageGate, Refusal, host_name, is_foreign, is_same_origin


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("in")
    await socket.close()


INSIDE = Starlette(
    routes=[
        Route("/", lambda _: PlainTextResponse("in"), methods=["GET", "POST"]),
        WebSocketRoute("/socket", echo),
    ]
)


@pytest.fixture
def client() -> TestClient:
    return TestClient(PageGate(INSIDE), base_url="http://127.0.0.1:3000")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:3000", "127.0.0.1"),
        ("LOCALHOST", "localhost"),
        ("[::1]:3000", "[::1]"),
        ("127.0.0.1.evil.example:3000", "127.0.0.1.evil.example"),
        ("[::1", ""),
        ("[::1].evil.example", ""),
        ("a@127.0.0.1", ""),
        ("localhost:3000:3000", ""),
        ("", ""),
    ],
)
def test_a_host_is_read_or_is_nobody(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1:3000", True),
        ("https://desk.example", "desk.example", True),
        ("https://desk.example", "desk.example:443", True),
        ("https://Desk.Example:443", "desk.example", True),
        ("http://[::1]:3000", "[::1]:3000", True),
        ("http://127.0.0.1:8000", "127.0.0.1:3000", False),
        ("null", "127.0.0.1:3000", False),
        ("http://[", "127.0.0.1:3000", False),
        ("http://", "", False),
        ("", "", False),
        ("file://", "127.0.0.1:3000", False),
    ],
)
def test_an_origin_is_the_hosts_or_another(origin, host, same):
    assert is_same_origin(origin, host) is same


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_of_a_stranger_is_an_error(origin, host):
    assert isinstance(is_same_origin(origin, host), bool)
    assert isinstance(host_name(host), str)


def test_another_page_may_link_but_not_frame_or_fetch(client):
    by = {"sec-fetch-site": "cross-site"}
    link = {**by, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).text == "in"
    assert client.post("/", headers=link).status_code == 403
    assert client.get("/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403
    assert client.get("/", headers={**by, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "same-site"}).status_code == 403  # another port of localhost
    assert client.get("/", headers={"sec-fetch-site": "same-origin"}).text == "in"
    assert is_foreign({"host": "a", **link}, "GET")  # where links do not lead


def test_another_name_and_another_origin_are_refused_with_a_sentence(client):
    wrong = client.get("/", headers={"host": "rebound.example:3000"})
    assert (wrong.status_code, wrong.json()["error"]) == (421, "wrong_host")
    for origin in ("http://evil.example", "null", "http://[", "http://127.0.0.1:8000"):
        foreign = client.post("/", headers={"origin": origin})
        assert (foreign.status_code, foreign.json()["error"]) == (403, "foreign_page"), origin
    assert client.post("/", headers={"origin": "http://127.0.0.1:3000"}).text == "in"


def test_every_answer_forbids_frames(client):
    for headers in ({}, {"host": "rebound.example"}):
        answer = client.get("/", headers=headers)
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_socket_opens_for_the_own_page_only(client):
    own = {"host": "127.0.0.1:3000"}
    with client.websocket_connect("/socket", headers={**own, "origin": "http://127.0.0.1:3000"}) as socket:
        assert socket.receive_text() == "in"
    for headers in ({**own, "origin": "http://evil.example"}, {"host": "rebound.example"}):
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/socket", headers=headers):
            pass
        assert refused.value.code == 1008


def test_what_else_is_refused_is_the_pages_own_rule():
    def no_posts(scope):
        return Refusal(405, "no_posts", "Nothing is posted here.") if scope["method"] == "POST" else None

    client = TestClient(PageGate(INSIDE, refusal=no_posts), base_url="http://127.0.0.1:3000")
    assert client.get("/").text == "in"
    answer = client.post("/")
    assert (answer.status_code, answer.json()) == (405, {"error": "no_posts", "message": "Nothing is posted here."})
