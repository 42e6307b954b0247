"""How each fault answers a request: wrongly, by half, not at all, or with the true answer slightly changed."""

import asyncio
import gzip
import json
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.sandbox.answers import dumps
from pipeline.sandbox.hosts import original_host
from pipeline.sandbox.search import make_cursor, page_asked

HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><script>alert(1)</script></svg>'
HUGE = 10**13
BOMB_BYTES = 80_000_000
BOMB_SIDE = 30_000
SLOW_CHUNKS = 5
ENDLESS_CHUNK = b"\xff" * 65_536


@dataclass
class Exchange:
    """One request about to be answered wrongly: the true application, the connection, the schedule's times."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    slow_s: float
    reset_s: int

    async def answer(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        """A whole answer."""
        pairs = {"content-type": content_type, "content-length": str(len(body)), **headers}
        await self.start(status, {name.replace("_", "-"): value for name, value in pairs.items()})
        await self.send({"type": "http.response.body", "body": body})

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Status and headers alone."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})

    async def true_answer(self) -> "Answer":
        """What the application answers, kept back."""
        answer = Answer()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.app(self.scope, self.receive, keep)
        return answer

    async def reset(self) -> None:
        """Cut the connection with a TCP reset; what is not yet sent is lost."""
        transport = getattr(getattr(self.send, "__self__", None), "transport", None)
        if transport is None:  # not under uvicorn: an error inside the application cuts the connection too
            raise ConnectionResetError("the connection is reset")
        connection = transport.get_extra_info("socket")
        if connection.fileno() < 0:
            return  # the client has left before
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await asyncio.sleep(0.05)


@dataclass
class Answer:
    """A whole HTTP answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def to(self, exchange: Exchange) -> None:
        """Send it, with the length it now has."""
        await exchange.start(self.status, {**self.headers, "content-length": str(len(self.body))})
        await exchange.send({"type": "http.response.body", "body": self.body})


Play = Callable[[Exchange], Awaitable[None]]


def error(status: int, text: str, code: str | None = None) -> Play:
    """An error in Europeana's words."""

    async def play(exchange: Exchange) -> None:
        body: dict[str, Any] = {"success": False, "error": text} | ({"code": code} if code else {})
        await exchange.answer(status, dumps(body), "application/json")

    return play


def page(status: int, body: bytes, content_type: str, **headers: str) -> Play:
    """A fixed answer."""

    async def play(exchange: Exchange) -> None:
        await exchange.answer(status, body, content_type, **headers)

    return play


async def too_many_requests(exchange: Exchange) -> None:
    """429 with the budget's headers; there is no Retry-After."""
    body = {
        "code": "429_limit_personal",
        "error": "Personal key client has reached the limit of 1000 requests per 60 minutes",
        "message": "The use of personal keys is limited to 1000 requests per 60 minutes.",
    }
    policy, left = '"personal";q=1000;w=3600', f'"personal";r=0;t={exchange.reset_s}'
    headers = {"RateLimit-Policy": policy, "RateLimit": left}
    await exchange.start(429, {"content-type": "application/json", "content-length": str(len(dumps(body))), **headers})
    await exchange.send({"type": "http.response.body", "body": dumps(body)})


async def silence(exchange: Exchange) -> None:
    """No answer at all, for longer than a patient client waits; then the connection is cut."""
    await asyncio.sleep(exchange.slow_s)
    await exchange.reset()


async def reset(exchange: Exchange) -> None:
    """The connection is cut before anything was answered."""
    await exchange.reset()


async def reset_midway(exchange: Exchange) -> None:
    """The connection is cut after half of the body, whose length was announced."""
    answer = await exchange.true_answer()
    await exchange.start(answer.status, answer.headers)
    half = answer.body[: len(answer.body) // 2]
    await exchange.send({"type": "http.response.body", "body": half, "more_body": True})
    await asyncio.sleep(0.02)
    await exchange.reset()


async def slow_body(exchange: Exchange) -> None:
    """The true answer, in drops."""
    answer = await exchange.true_answer()
    await exchange.start(answer.status, answer.headers)
    size = max(1, -(-len(answer.body) // SLOW_CHUNKS))
    for first in range(0, len(answer.body), size):
        await asyncio.sleep(exchange.slow_s / SLOW_CHUNKS)
        chunk = answer.body[first : first + size]
        await exchange.send({"type": "http.response.body", "body": chunk, "more_body": True})
    await exchange.send({"type": "http.response.body", "body": b""})


async def truncated(exchange: Exchange) -> None:
    """Half of the true body, announced as if it were all."""
    answer = await exchange.true_answer()
    answer.body = answer.body[: len(answer.body) // 2]
    await answer.to(exchange)


async def _search_answer(exchange: Exchange) -> tuple[Answer, dict[str, Any], str]:
    """The true search answer, its body, and the cursor that was sent."""
    answer = await exchange.true_answer()
    body = json.loads(answer.body) if answer.status == 200 else {}
    return answer, body, dict(parse_qsl(exchange.scope["query_string"].decode("latin-1"))).get("cursor", "*")


async def expired_cursor(exchange: Exchange) -> None:
    """400-SC; the first page has no cursor to complain about."""
    answer, _, cursor = await _search_answer(exchange)
    if cursor == "*":
        await answer.to(exchange)
        return
    await error(400, "Invalid cursor value. Please make sure you encode the cursor value.", "400-SC")(exchange)


async def cursor_at_end(exchange: Exchange) -> None:
    """On the last page the cursor that was sent comes back, as Solr says the end; other pages are true."""
    answer, body, cursor = await _search_answer(exchange)
    if body and "nextCursor" not in body and cursor != "*":
        answer.body = dumps(body | {"nextCursor": cursor})
    await answer.to(exchange)


async def stuck_cursor(exchange: Exchange) -> None:
    """On a page that is not the last, the cursor that was sent comes back."""
    answer, body, cursor = await _search_answer(exchange)
    if "nextCursor" in body and cursor != "*":
        answer.body = dumps(body | {"nextCursor": cursor})
    await answer.to(exchange)


async def empty_page(exchange: Exchange) -> None:
    """The last page gives a cursor out, behind which is an empty page without any."""
    answer, body, _ = await _search_answer(exchange)
    asked = QueryParams(exchange.scope["query_string"])
    if body.get("items") and "nextCursor" not in body:
        cursor = make_cursor(body["items"][-1]["id"], body["totalResults"], page_asked(asked).search)
        answer.body = dumps(body | {"nextCursor": cursor})
    await answer.to(exchange)


async def duplicate_items(exchange: Exchange) -> None:
    """The first items once more at the end of the page."""
    answer, body, _ = await _search_answer(exchange)
    if body.get("items"):
        answer.body = dumps(body | {"items": body["items"] + body["items"][:3]})
    await answer.to(exchange)


async def drifting_total(exchange: Exchange) -> None:
    """The index is updated while we read: the total is two more on this page."""
    answer, body, _ = await _search_answer(exchange)
    if "totalResults" in body:
        answer.body = dumps(body | {"totalResults": body["totalResults"] + 2})
    await answer.to(exchange)


async def permanent_redirect(exchange: Exchange) -> None:
    """301 to https, with the query in the URL; a POST body is lost by clients that turn it into GET."""
    query = exchange.scope["query_string"].decode("latin-1")
    target = "https://vocab.getty.edu" + exchange.scope["path"] + (f"?{query}" if query else "")
    await exchange.answer(301, b"", "text/html", location=target)


async def redirect_loop(exchange: Exchange) -> None:
    """A redirect to the same place."""
    query = exchange.scope["query_string"].decode("latin-1")
    here = exchange.scope.get("raw_path", exchange.scope["path"].encode()).decode("latin-1")
    await exchange.answer(
        302, b"", "text/html", location=original_host(exchange.scope) + here + (f"?{query}" if query else "")
    )


async def redirect_inside(exchange: Exchange) -> None:
    """A redirect to the address at which clouds keep credentials."""
    await exchange.answer(302, b"", "text/html", location="http://169.254.169.254/latest/meta-data/")


async def redirect_to_file(exchange: Exchange) -> None:
    """A redirect out of HTTP."""
    await exchange.answer(302, b"", "text/html", location="file:///etc/passwd")


async def wrong_content_type(exchange: Exchange) -> None:
    """The true image, called a web page."""
    answer = await exchange.true_answer()
    answer.headers["content-type"] = "text/html; charset=utf-8"
    await answer.to(exchange)


async def corrupted(exchange: Exchange) -> None:
    """The true image with noise over its second half."""
    answer = await exchange.true_answer()
    half = len(answer.body) // 2
    noise = bytes((value * 73 + 41) % 256 for value in answer.body[half:])
    answer.body = answer.body[:half] + noise
    await answer.to(exchange)


async def huge_declared(exchange: Exchange) -> None:
    """Ten terabytes are announced; a few bytes come."""
    await exchange.start(200, {"content-type": "image/jpeg", "content-length": str(HUGE)})
    await exchange.send({"type": "http.response.body", "body": b"\xff\xd8\xff", "more_body": True})
    await asyncio.sleep(0.02)
    await exchange.reset()


async def endless(exchange: Exchange) -> None:
    """A body that does not end by itself; it stops when the client has gone, or after 128 MB."""
    await exchange.start(200, {"content-type": "image/jpeg"})
    for _ in range(2_000):
        await exchange.send({"type": "http.response.body", "body": ENDLESS_CHUNK, "more_body": True})
        await asyncio.sleep(0)
    await exchange.reset()


async def gzip_bomb(exchange: Exchange) -> None:
    """A small compressed body that unpacks to 80 MB."""
    body = gzip.compress(b"\0" * BOMB_BYTES, 6, mtime=0)
    await exchange.answer(200, body, "image/jpeg", content_encoding="gzip")


async def pixel_bomb(exchange: Exchange) -> None:
    """A small PNG that declares 900 million pixels."""
    await exchange.answer(200, png_bomb(BOMB_SIDE), "image/png")


def png_bomb(side: int) -> bytes:
    """A PNG of side x side white pixels, one bit each, in a few kilobytes."""
    row = b"\0" + b"\xff" * (side // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
