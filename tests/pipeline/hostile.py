"""`python -m tests.pipeline.hostile`: a server on loopback that answers with what fuzzers make; prints its port.

What it answers is decided by a number alone, its seed: of the host that was meant, `n<number>.example`, else of the
target, `/<number>`.
"""

import asyncio
import gzip
import json
import random
import re
import socket
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from functools import cache

from tests.pipeline.images.pictures import jpeg

# What is sent after one another; a number is a pause in seconds; ABORT cuts the connection.
Piece = bytes | float
ABORT = -1.0
DRIP_S = 0.2
ENDLESS = 50_000  # pieces at most: a client that reads them all reads 3 GB
NAMES = (
    "Content-Encoding", "Content-Length", "Location", "Set-Cookie", "ETag", "Last-Modified", "X-Robots-Tag",
    "Retry-After", "tdm-reservation", "Transfer-Encoding", "Content-Type", "Link", "RateLimit", "RateLimit-Policy",
    "X-RateLimit-Remaining", "X-RateLimit-Reset", "Connection", "Content-Range", "Trailer", "Upgrade", "Date", "Age",
)  # fmt: skip
WORDS = (
    b"gzip", b"deflate", b"identity", b"br", b"chunked", b"close", b"http://", b"https://", b"[::1", b"]", b"//",
    b"..", b"/", b"=", b";", b", ", b"%", b"%zz", b"Path=", b"Max-Age=", b"Domain=", b"noai", b"1", b"0", b"-1",
    b"9" * 20, b"9" * 5_000, b"1e9", b"nan", b"inf", b"31 Dec 9999 23:59:59", b"Fri, 31 Dec 9999 23:59:59 +9999",
    b"Thu, 01 Jan 0000 00:00:00 GMT", b"\xff", b"\xc3\xa9", b"\xe2\x80\xae", b"\x1b[2J", b" ", b"\t", b'"', b"W/",
    b'"personal";r=0;t=', b'";r=1;t=0', b"image/jpeg", b"charset=\xff", b"javascript:", b"data:,", b"file:///etc/passwd",
    b"a" * 9_000, b"\x00", b"@", b"#", b"?",
)  # fmt: skip
LOCATIONS = (
    b"http://[::1", b"http://[zz]/", b"http://127.0.0.1:22/", b"http://169.254.169.254/latest", b"//[", b"http:///x",
    b"http://[64:ff9b:1::7f00:1]/", b"javascript:alert(1)", b"http://a.example:99999999/", b"\x85", b"/%", b"", b"?",
    b"http://u:p@a.example/", b"file:///etc/passwd", b"https://a.example:443/1", b"/" + b"x" * 20_000, b"\xff\xfe",
    b"#", b"http://xn--a/", b"http://a..b/", b"http://" + b"a" * 300 + b"/", b"http://0x7f.1/",
    b"http://\xe2\x82\xac.example/",
)  # fmt: skip
STATUSES = (
    b"200 OK", b"203 Passed", b"206 Part", b"301 Moved", b"302 Found", b"303 See", b"304 Same", b"307 There",
    b"308 For ever", b"400 Bad", b"401 Who", b"404 Gone", b"410 Gone", b"418 Teapot", b"429 Slow", b"451 Law",
    b"499 Left", b"500 Oops", b"503 Busy", b"504 Late", b"599 Odd", b"999 Denied", b"200", b"20 No", b"2000 No",
    b"000 No", b"-1 No", b"OK", b"", b"100 Continue", b"101 Switch", b"103 Early", b"204 Nothing", b"205 Reset",
    b"200 \xff\xfe", b"200 " + b"a" * 70_000,
)  # fmt: skip


@cache
def picture(seed: int = 1) -> bytes:
    return jpeg(seed=seed)


@cache
def bomb(layers: int, of: bytes = b"\0", size: int = 60_000_000) -> bytes:
    """So many bytes, compressed so often."""
    packed = of * (size // len(of))
    for _ in range(layers):
        packed = gzip.compress(packed, 9, mtime=0)
    return packed


def answer(number: int, json_alike: bool) -> list[Piece] | Callable[[], AsyncIterator[Piece]]:
    """What a request with this number is answered."""
    rng = random.Random(number)
    kind = rng.choices(
        ("headers", "redirect", "encoded", "body", "broken", "slow", "endless", "reset", "fine"),
        (30, 10, 14, 20, 12, 4, 3, 3, 4),
    )[0]
    body = json_body(rng) if json_alike else image_body(rng)
    if kind == "headers":
        return response(body, [header(rng) for _ in range(rng.choice((0, 1, 2, 5, 300)))], rng.choice(STATUSES))
    if kind == "redirect":
        status = rng.choice(STATUSES[3:9])
        further = b"/%d" % rng.randrange(1_000_000) if rng.random() < 0.3 else None
        return response(b"", [(b"Location", further or rng.choice(LOCATIONS)), header(rng)], status)
    if kind == "encoded":
        return encoded(rng, body)
    if kind == "body":
        return response(body, [(b"Content-Type", rng.choice((b"application/json", b"image/jpeg", b"text/html")))])
    if kind == "broken":
        return broken(rng, body)
    if kind == "slow":
        return slow(rng, body)
    if kind == "endless":
        return endless(rng)
    if kind == "reset":
        whole = b"".join(piece for piece in response(body) if isinstance(piece, bytes))
        return [whole[: rng.randrange(len(whole))], ABORT]
    return response(picture(rng.randrange(4)) if not json_alike else search_page(rng))


def response(
    body: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
    status: bytes = b"200 OK",
    version: bytes = b"HTTP/1.1",
) -> list[Piece]:
    """A response of one piece; Content-Length is added unless a header names a length."""
    lines = [version + b" " + status, *(name + b": " + value for name, value in headers or [])]
    if not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers or []):
        lines.append(b"Content-Length: %d" % len(body))
    return [b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body]


def header(rng: random.Random) -> tuple[bytes, bytes]:
    name = rng.choice(NAMES).encode()
    if rng.random() < 0.1:
        name = mutated(rng, name)
    value = b"".join(
        rng.choice(WORDS) if rng.random() < 0.8 else rng.randbytes(rng.randrange(4)) for _ in range(rng.randrange(6))
    )
    return name, value if rng.random() < 0.1 else value.translate(None, b"\r\n\0")


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The bytes with some of them changed, left out or repeated."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(changed) + 1)
        changed[place : place + rng.randrange(3)] = rng.choice((rng.randbytes(2), b"", bytes(changed[:4]), b"\xff"))
    return bytes(changed)


def image_body(rng: random.Random) -> bytes:
    whole = picture(rng.randrange(4))
    return rng.choice(
        (
            lambda: whole,
            lambda: whole[: rng.randrange(len(whole))],
            lambda: mutated(rng, whole),
            lambda: rng.randbytes(rng.randrange(5_000)),
            lambda: b"",
            lambda: b"<!DOCTYPE html><html>" + rng.randbytes(100),
            lambda: b'<svg xmlns="http://www.w3.org/2000/svg">',
            lambda: b"%PDF-1.7" + rng.randbytes(50),
            lambda: whole + b"<script>alert(1)</script>",
            lambda: png_bomb(rng.choice((30_000, 2**31 - 1, 9_000))),
            lambda: b"GIF89a" + rng.randbytes(400),
            lambda: b"II*\0" + rng.randbytes(400),
            lambda: b"RIFF\xff\xff\xff\xffWEBPVP8 " + rng.randbytes(200),
            lambda: bytes(8_000_000),
        )
    )()


def png_bomb(side: int) -> bytes:
    """A PNG that announces so many pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    head = struct.pack(">LLBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def search_page(rng: random.Random) -> bytes:
    """An answer of the Search API, as it should be."""
    items = [{"id": f"/1/{rng.randrange(10**6)}", "title": ["x"]} for _ in range(rng.randrange(4))]
    page = {"success": True, "totalResults": len(items), "itemsCount": len(items), "items": items}
    return json.dumps({**page, "nextCursor": rng.choice((None, "AoE"))}).encode()


VALUES = (
    None, True, -1, 0, 10**400, 1e308, "", "x", "\ud800", "\u202e", "\x1b[31m", [], {}, [[]], [None], {"def": None},
    {"def": ["a"]}, "http://[::1", "http://data.europeana.eu/concept/1", 300_000_001, "9" * 100,
)  # fmt: skip
KEYS = (
    "success", "items", "totalResults", "itemsCount", "nextCursor", "id", "about", "prefLabel", "exactMatch", "type",
    "object", "proxies", "aggregations", "concepts", "providedCHOs", "head", "vars", "results", "bindings", "subject",
    "property", "value", "xml:lang", "facets", "name", "fields", "label", "count", "error", "message", "code",
    "broader", "edmRights", "dcType", "boolean", "link",
)  # fmt: skip


def json_value(rng: random.Random, depth: int = 0) -> object:
    if depth > 4 or rng.random() < 0.4:
        return rng.choice(VALUES)
    if rng.random() < 0.4:
        return [json_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): json_value(rng, depth + 1) for _ in range(rng.randrange(8))}


def json_body(rng: random.Random) -> bytes:
    frames: tuple[dict[str, object], ...] = (
        {"success": True, "totalResults": 1, "itemsCount": 1, "items": [{"id": "/1/a"}]},
        {"object": {"proxies": [{}], "about": "/item/1/a", "aggregations": [{}], "concepts": []}},
        {"head": {"vars": ["subject"]}, "results": {"bindings": [{}]}},
        {
            "facets": [{"name": "DATA_PROVIDER", "fields": [{"label": "x", "count": 1}]}],
            "success": True,
            "totalResults": 1,
        },
        {"id": "http://data.europeana.eu/concept/1", "type": "Concept", "prefLabel": {"en": "x"}},
        {"code": "503-SA", "error": "x", "message": "y"},
    )
    frame = {**rng.choice(frames)}
    for _ in range(rng.randrange(4)):
        frame[rng.choice((*frame, *KEYS))] = json_value(rng)
    text = json.dumps(frame).encode()
    return rng.choice(
        (
            lambda: text,
            lambda: text,
            lambda: text,
            lambda: text[: rng.randrange(len(text))],
            lambda: mutated(rng, text),
            lambda: b"[" * rng.choice((90, 500, 900, 5_000, 200_000)),
            lambda: (b"[" * 5_000) + (b"]" * 5_000),
            lambda: (b'{"a":' * 400) + b"1" + (b"}" * 400),
            lambda: b"[" + b"{}," * 1_000_000 + b"{}]",
            lambda: b'{"items": "' + b"\\ud800" * 1_000 + b'"}',
            lambda: b"9" * 10_000,
            lambda: b'{"a": NaN}',
            lambda: text.decode().encode("utf-16"),
            lambda: rng.randbytes(300),
            lambda: b"<html>maintenance</html>",
            lambda: b"",
        )
    )()


def encoded(rng: random.Random, body: bytes) -> list[Piece]:
    packed, names = rng.choice(
        (
            lambda: (gzip.compress(body, mtime=0), b"gzip"),
            lambda: (zlib.compress(body), b"deflate"),
            lambda: (gzip.compress(body, mtime=0)[: rng.randrange(12, 40)], b"gzip"),
            lambda: (mutated(rng, gzip.compress(body, mtime=0)), b"gzip"),
            lambda: (body, b"gzip"),
            lambda: (body, rng.choice((b"br", b"zstd", b"compress", b"gzip, br", b"gzip;q=1", b"\xff", b"none"))),
            lambda: (bomb(1), b"gzip"),
            lambda: (bomb(2), b"gzip, gzip"),
            lambda: (bomb(3), b"gzip, gzip, gzip"),
            lambda: (bomb(1, b"{},"), b"gzip"),
            lambda: (gzip.compress(b"", mtime=0) * 20_000, b"gzip"),
            lambda: (gzip.compress(gzip.compress(body, mtime=0), mtime=0), b"gzip, gzip"),
            lambda: (body, b"gzip, " * 50),
        )
    )()
    return response(packed, [(b"Content-Encoding", names)])


def broken(rng: random.Random, body: bytes) -> list[Piece]:
    """Answers that are not HTTP, or HTTP only just."""
    whole = b"".join(piece for piece in response(body) if isinstance(piece, bytes))
    chunked = [(b"Transfer-Encoding", b"chunked")]
    return rng.choice(
        (
            lambda: [mutated(rng, whole[:200]) + whole[200:]],
            lambda: [whole.replace(b"\r\n", b"\n")],
            lambda: [whole.replace(b": ", b" : ")],
            lambda: [whole.replace(b"\r\n", b"\r\n\t", 1)],
            lambda: [rng.randbytes(2_000)],
            lambda: [b"\0" * 100_000],
            lambda: [b""],
            lambda: response(body, version=rng.choice((b"HTTP/1.0", b"HTTP/2", b"HTTP/9.9", b"ICY", b"http/1.1", b""))),
            lambda: response(b"zz\r\n" + body, chunked),
            lambda: response(b"%x\r\n" % len(body) + body + b"\r\n", chunked),
            lambda: response(b"-5\r\nabc\r\n0\r\n\r\n", chunked),
            lambda: response(b"f" * 30 + b"\r\n", chunked),
            lambda: response(body, [(b"Content-Length", b"5"), (b"Content-Length", b"6")]),
            lambda: response(body, [(b"Content-Length", b"%d" % (len(body) + 100))]),
            lambda: response(body, [(b"Content-Length", b"%d" % (len(body) // 2))]),
            lambda: response(body, [(b"Content-Length", b"1" * 30)]),
            lambda: response(body, [(b"Content-Length", b"3"), *chunked]),
            lambda: response(body, [(b"X" * 120_000, b"1")]),
            lambda: response(body, [(b"X", b"1" * 120_000)]),
            lambda: response(body, [(b"X-%d" % n, b"1") for n in range(5_000)]),
            lambda: [b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + whole],
            lambda: [whole, whole],
        )
    )()


def slow(rng: random.Random, body: bytes) -> list[Piece]:
    whole = b"".join(piece for piece in response(body) if isinstance(piece, bytes))
    split = rng.choice((0, 1, 20, whole.index(b"\r\n\r\n") + 4))
    pieces: list[Piece] = [whole[:split]]
    for place in range(split, min(len(whole), split + 60)):
        pieces += [DRIP_S, whole[place : place + 1]]
    return pieces


def endless(rng: random.Random) -> Callable[[], AsyncIterator[Piece]]:
    """An answer whose headers, interim answers, chunks or body have no end."""
    begin, again = rng.choice(
        (
            (b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 65_536),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"\xff" * 65_536),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"\xff" * 65_536 + b"\r\n"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 1_000 + b"\r\nx\r\n"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b"0" * 65_536),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 100),
            (b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1_000 + b"\r\n"),
            (b"HTTP/1.1 200 ", b"O" * 65_536),
            (b"", b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" * 100),
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"", mtime=0) * 1_000),
            (b"HTTP/1.1 404 Gone\r\nContent-Length: 16000\r\n\r\n", b"x"),
        )
    )

    async def pieces() -> AsyncIterator[Piece]:
        yield begin
        for _ in range(ENDLESS):
            yield again

    return pieces


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: one request, one answer."""
    try:
        request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        meant = re.search(rb"//n([0-9]+)\.example", request) or re.search(rb"([0-9]+)\S* HTTP/1", request)
        given = answer(int(meant[1]) if meant else 0, b"json" in request.lower())
        pieces = aiter(given()) if callable(given) else listed(given)
        async for piece in pieces:
            if isinstance(piece, bytes):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)  # draining alone does not let the others have their turn
            elif piece == ABORT:
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return
            else:
                await asyncio.sleep(piece)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        return  # the client has left
    finally:
        writer.close()


async def listed(pieces: list[Piece]) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece


async def main() -> None:
    """Serve until the input ends, as it does when the test ends in any way."""
    for layers in (1, 2, 3):
        bomb(layers)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main())
