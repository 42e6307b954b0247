"""Clients that connect and send nothing, or send without an end, do not lock the others out."""

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from ml.assistant.limits import AssistantLimits
from tests.ml.assistant.conftest import served

HALF = b"GET /api/about HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
# The gate and the server of the desk around one answer, in a process that may open 1,024 files.
SMALL = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
from starlette.responses import PlainTextResponse
from ml.assistant.connections import server
from ml.assistant.limits import AssistantLimits
from ml.assistant.middleware import AccessMiddleware
from ml.assistant.refusals import Refusals
import socket
async def app(scope, receive, send):
    await PlainTextResponse("in")(scope, receive, send)
limits, refusals = AssistantLimits(), Refusals()
listener = socket.create_server(("127.0.0.1", 0), backlog=limits.accepted_at_once)
print(listener.getsockname()[1], flush=True)
made = server(AccessMiddleware(app, limits=limits, refusals=refusals), limits, refusals, proxies=[])
made.config.lifespan = "off"
made.run(sockets=[listener])
"""


@pytest.fixture
def small() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", SMALL], stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


@contextmanager
def half_sent(address: str, count: int) -> Iterator[list[socket.socket]]:
    """Connections that have sent half of a request."""
    where = (urlsplit(address).hostname, urlsplit(address).port)
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(socket.create_connection(where, timeout=5))) for _ in range(count)]
        for each in opened:
            try:
                each.sendall(HALF)
            except ConnectionError:  # closed already: there are too many
                continue
        yield opened


@pytest.fixture
def many_files():
    """This process may open enough files for the attack."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_eleven_hundred_half_sent_requests_do_not_keep_an_honest_client_out(small, many_files):
    with half_sent(small, 1_100):
        for _ in range(20):
            assert httpx.get(f"{small}/api/about", timeout=5).text == "in"


def test_half_sent_headers_are_cut_off_after_their_time_and_counted(service):
    service.limits = AssistantLimits(header_timeout_s=0.3)
    with served(service) as address, half_sent(address, 3) as held:
        held[0].sendall(b"x" * 10)  # more of the same does not buy time
        began = time.monotonic()
        for each in held:
            with suppress(ConnectionError):
                assert each.recv(1) == b""
        assert time.monotonic() - began < 3
        status = httpx.get(f"{address}/api/status").json()
    assert status["refused"]["slow_headers"] == 3


def test_over_the_limit_the_longest_silent_connection_gives_way(service):
    service.limits = AssistantLimits(max_connections=5)
    with served(service) as address, half_sent(address, 20), httpx.Client(base_url=address) as client:
        assert [client.get("/api/about").status_code for _ in range(10)] == [200] * 10
    assert service.refusals.counts["too_many_connections"] >= 15


def test_headers_without_an_end_are_refused(service):
    with served(service) as address:
        where = (urlsplit(address).hostname, urlsplit(address).port)
        with closing(socket.create_connection(where, timeout=5)) as client:
            answer = b""
            try:
                client.sendall(HALF)
                for _ in range(200):
                    client.sendall(b"x" * 10_000)
            except ConnectionError:
                pass  # the server has closed the connection
            else:
                answer = client.recv(100)
        assert answer in (b"",) or answer.startswith(b"HTTP/1.1 400")
        assert httpx.get(f"{address}/api/about").status_code == 200


def test_a_connection_serves_several_requests_and_closes_when_it_rests(service):
    service.limits = AssistantLimits(keep_alive_s=1, header_timeout_s=5)
    with served(service) as address:
        where = (urlsplit(address).hostname, urlsplit(address).port)
        with closing(socket.create_connection(where, timeout=5)) as client:
            for _ in range(3):
                client.sendall(b"HEAD /page/main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert client.recv(65_536).startswith(b"HTTP/1.1 ")
            assert client.recv(65_536) == b""  # closed


def test_a_body_that_is_no_http_ends_its_request_without_an_error(service, capfd):
    first = b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    head = b"POST /api/suggest HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(service) as address:
        where = (urlsplit(address).hostname, urlsplit(address).port)
        for sent in ([head + b"zz\r\n"], [first + b"zz\r\n"], [head, b"5\r\nhello\r\n", b"zz\r\n"], [b"\0" * 1_000]):
            with closing(socket.create_connection(where, timeout=5)) as client:
                for piece in sent:
                    client.sendall(piece)
                    time.sleep(0.05)
                assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert service.refusals.counts["not_http"] == 4
    assert "Traceback" not in capfd.readouterr().err
