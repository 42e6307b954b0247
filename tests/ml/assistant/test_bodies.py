"""Request bodies: too slow, too large, too many at once."""

import socket
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import httpx
import pytest

from ml.assistant.bodies import Bodies
from ml.assistant.limits import AssistantLimits
from ml.assistant.refusals import BUSY
from tests.ml.assistant.conftest import served, vase_picture

PAGE = {"x-assistant": "1"}


def half_an_upload(address: str, size: int, path: str = "/api/suggest") -> socket.socket:
    """A connection that has announced one byte more than it sends."""
    client = socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=5)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Assistant: 1\r\nContent-Type: image/jpeg\r\n"
    client.sendall(f"{head}Content-Length: {size + 1}\r\n\r\n".encode() + b"\xff" * size)
    return client


def answer_of(client: socket.socket) -> bytes:
    answer = b""
    with closing(client):
        while not answer.endswith(b"}"):
            piece = client.recv(65_536)
            if not piece:
                break
            answer += piece
    return answer


def test_a_body_that_stops_coming_is_answered_408(service):
    service.limits = AssistantLimits(body_pause_s=0.2)
    with served(service) as address:
        answer = answer_of(half_an_upload(address, 1_000))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"slow_body" in answer
    assert service.refusals.counts["slow_body"] == 1


def test_a_body_that_drips_is_answered_408_too(service):
    service.limits = AssistantLimits(body_pause_s=5, body_timeout_s=0.5)
    with served(service) as address, closing(half_an_upload(address, 1_000)) as client:
        client.settimeout(0.05)
        answer = b""
        for _ in range(100):
            try:
                answer = client.recv(65_536)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_sixty_half_sent_uploads_are_not_all_held_and_an_honest_one_is_taken(service):
    service.limits = AssistantLimits(max_bytes_in_flight=2_000_000)
    with served(service) as address, ExitStack() as stack:  # what is held is closed first: the server waits for it
        held = [stack.enter_context(closing(half_an_upload(address, 240_000))) for _ in range(60)]
        sent = httpx.post(f"{address}/api/images?who=x", content=vase_picture(), headers=PAGE, timeout=10)
        assert sent.status_code == 201
        answers = []
        for client in held:
            client.settimeout(0.01)
            try:
                answers.append(client.recv(100))
            except TimeoutError:
                answers.append(b"")
    assert sum(answer.startswith(b"HTTP/1.1 503") for answer in answers) >= 50
    assert service.refusals.counts["busy"] >= 50


def test_a_refusal_says_when_to_try_again(service):
    service.limits = AssistantLimits(max_bytes_in_flight=10_000)
    with served(service) as address:
        answer = httpx.post(f"{address}/api/suggest", content=b"\xff" * 50_000, headers=PAGE)
    assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (503, "busy", "2")
    assert answer.json()["message"] == "The server is busy. Try again in a moment."


@pytest.mark.parametrize("path", ["/api/images/dataset", "/reconcile", "/api/images"])
def test_a_body_in_pieces_over_its_limit_is_413_whoever_reads_it(client, service, path):
    large = service.limits.max_upload_bytes if path == "/api/images" else service.limits.max_body_bytes

    def pieces():
        for _ in range(12):
            yield b" " * (large // 10)

    kind = "image/jpeg" if path == "/api/images" else "application/json"
    answer = client.post(f"{path}?who=x", content=pieces(), headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


def test_bytes_are_counted_down_when_requests_end(service, client):
    for _ in range(3):
        assert client.post("/api/suggest", content=vase_picture()).status_code == 200
    middleware = client.app.middleware_stack
    while not hasattr(middleware, "_bodies"):
        middleware = middleware.app
    assert middleware._bodies.bytes_in_flight == 0


def test_a_large_silent_body_gives_way_before_a_small_or_an_active_one():
    bodies = Bodies(AssistantLimits(max_bytes_in_flight=100))
    with bodies.opened(nothing, 1_000) as small, bodies.opened(nothing, 1_000) as large:
        bodies.add(small, 10, more=True)
        bodies.add(large, 80, more=True)
        small.heard_at, large.heard_at = small.heard_at - 2, large.heard_at - 1
        with bodies.opened(nothing, 1_000) as active:
            bodies.add(active, 50, more=True)
            assert (small.refusal, large.refusal, active.refusal) == (None, BUSY, None)
            assert bodies.bytes_in_flight == 60
    assert bodies.bytes_in_flight == 0
    with bodies.opened(nothing, 1_000) as waiting, bodies.opened(nothing, 1_000) as alone:
        bodies.add(alone, 101, more=True)
        assert (waiting.refusal, alone.refusal) == (None, BUSY)


async def nothing() -> dict:
    """A connection on which nothing comes."""
    return {}
