"""Requests end in time and take the environment's proxies, over real sockets; addresses of the host map take none."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.connections import AddressError, with_query
from pipeline.http import HttpClient, Unreachable
from pipeline.settings import HttpSettings

FAST = {"attempts": 1, "requests_per_second": 1e6}


class _Lines(socketserver.StreamRequestHandler):
    """Keeps the first line of every request and answers, a byte of the head every so many seconds."""

    def handle(self) -> None:
        while line := self.rfile.readline().decode().strip():
            head = {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(":")
                head[name.lower()] = value.strip()
            self.server.asked.append((line, head.get("proxy-authorization")))
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
            pieces = [answer] if not self.server.pause_s else [answer[at : at + 1] for at in range(len(answer))]
            for piece in pieces:
                self.wfile.write(piece)
                time.sleep(self.server.pause_s)


@contextmanager
def listening(pause_s: float = 0) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """The address of a server, and what it was asked: the first line, and what the proxy's header says."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Lines) as server:
        server.daemon_threads, server.asked, server.pause_s = True, [], pause_s
        server.handle_error = lambda *_: None  # a client that has gone
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server.asked
        server.shutdown()
        thread.join(10)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_is_used_for_the_world_outside_with_its_password(monkeypatch):
    with listening() as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("://", "://anna:se%20cret@"))
        monkeypatch.setenv("NO_PROXY", "museum.example")
        with HttpClient(HttpSettings(**FAST)) as http:
            assert http.get("http://api.example/x?y=1").status == 200
            with pytest.raises(Unreachable):
                http.get("http://images.museum.example/x")  # has no address
    assert asked == [("GET http://api.example/x?y=1 HTTP/1.1", "Basic YW5uYTpzZSBjcmV0")]


def test_a_proxy_is_asked_for_a_tunnel_to_https(monkeypatch):
    with listening() as (proxy, asked):
        monkeypatch.setenv("ALL_PROXY", proxy.removeprefix("http://"))  # a proxy may be named without a scheme
        with HttpClient(HttpSettings(**FAST)) as http, pytest.raises(Unreachable):
            http.get("https://api.example/x")
    assert asked[0] == ("CONNECT api.example:443 HTTP/1.1", None)


def test_an_address_of_the_host_map_takes_no_proxy(monkeypatch):
    with listening() as (proxy, asked), listening() as (museum, asked_museum):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with HttpClient(HttpSettings(hosts={"*": museum}, **FAST)) as http:
            assert http.get("https://api.example/x").json() == {}
    assert (asked, asked_museum) == ([], [("GET /x HTTP/1.1", None)])


@pytest.mark.parametrize("address", ["socks5://anna:secret@127.0.0.1:1", "http://anna:secret@127.0.0.1:x"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(monkeypatch, address):
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(AddressError, match=r"proxy of the environment.*127\.0\.0\.1") as refused:
        HttpClient(HttpSettings(**FAST))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("through_proxy", [False, True], ids=["straight", "through a proxy"])
def test_a_head_that_drips_for_ever_ends_at_the_deadline(monkeypatch, through_proxy):
    with listening(pause_s=0.1) as (server, _):
        if through_proxy:
            monkeypatch.setenv("HTTP_PROXY", server)
        hosts = {} if through_proxy else {"http://api.example": server}
        settings = HttpSettings(hosts=hosts, total_timeout_s=0.4, **FAST)
        began = time.monotonic()
        with HttpClient(settings) as http, pytest.raises(Unreachable, match=r"took too long|timed out"):
            http.get("http://api.example/x")
        assert time.monotonic() - began < 3.5  # dripped to its end, it takes four seconds


@given(
    st.lists(st.tuples(st.sampled_from(["query", "qf", "cursor"]), st.text(max_size=8)), max_size=5),
    st.sampled_from(["", "?a=b", "#part", "?a=b#c d", "/ü?x", "/a?"]),
    st.sampled_from(["https://api.example", "HTTP://anna:secret@Museum.example:80", "http://[::1]:8080/a b"]),
)
def test_an_address_with_a_query_is_as_httpx_writes_it(params, end, begin):
    assert with_query(begin + end, params) == str(httpx.URL(begin + end, params=params))
