"""Requests to the desk as fuzzers make them; a number alone, the seed, decides what one is."""

import json
import random
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

from tests.ml.assistant.conftest import vase_picture
from tests.ml.assistant.test_iiif import mutated as mutated_json

IMAGE, TAG = "a" * 64, "300010957"
PATHS = (
    *("/", "/api/about", "/api/queue", "/api/status", "/api/models", "/api/facets", "/api/export", "/openapi.json"),
    *("/api/images", "/api/suggest", "/api/images/dataset", "/api/images/address", "/api/search", "/reconcile"),
    *(f"/api/images/{IMAGE}", f"/api/images/{IMAGE}/picture", f"/api/images/{IMAGE}/suggestions"),
    *(f"/api/images/{IMAGE}/decisions", f"/api/images/{IMAGE}/undo", f"/api/images/{IMAGE}/state"),
    *(f"/api/tags/{TAG}", f"/api/tags/{TAG}/children", f"/api/tags/{TAG}/examples", f"/api/examples/{IMAGE}"),
    *("/api/tree/materials", "/page/main.js", "/page/i18n/en.json", "/favicon.ico", "/v1/", "/v1/projects"),
    *("/v1/projects/softmax.materials/suggest", "/reconcile/suggest/entity", "/reconcile/properties"),
    *(
        "/page/../app.py",
        "/page/%2e%2e/%2e%2e/etc/passwd",
        "//evil.example/",
        "/%00",
        "/\xff",
        "*",
        "",
        "/" + "a" * 9_000,
    ),
    *("http://127.0.0.1/", "/api/images/%F0%9F%92%A9", "/api/tags/" + "9" * 400, "/page/%0d%0aSet-Cookie:x=1"),
)
METHODS = (
    *("GET", "POST") * 6,
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "POST",
    "HEAD",
    "OPTIONS",
    "PUT",
    "DELETE",
    "PATCH",
    "TRACE",
    "get",
    "X" * 300,
)
QUERIES = (
    *(
        "",
        "who=x",
        "machine=true&format=lido",
        "format=csv&lang=xx",
        "q=" + "%EF%B7%BA" * 60,
        "limit=-1",
        "limit=" + "9" * 400,
    ),
    *(
        "token=guess",
        "q=%00",
        "q=%ff%fe",
        "prefix=" + "(" * 150,
        "offset=9999999999999999999999",
        "queries=[[[[",
        "who=%00x",
    ),
    *("model=../../etc", "lang[]=en", "&&&=;;", "image_id=" + IMAGE, "queries=%7B%22q%22:%7B%22query%22:1%7D%7D"),
)
HEADERS: dict[str, tuple[str, ...]] = {
    "Origin": (
        "http://[",
        "null",
        "http://evil.example",
        "",
        "http://127.0.0.1",
        "://",
        "http://127.0.0.1:99999",
        "\xff",
    ),
    "Sec-Fetch-Site": ("cross-site", "same-site", "same-origin", "none", "", "\xff"),
    "Sec-Fetch-Mode": ("navigate", "no-cors", "websocket"),
    "Content-Type": (
        *("application/json", "application/x-www-form-urlencoded", "image/jpeg", "text/html", "multipart/form-data"),
        *(
            "multipart/form-data; boundary=" + "x" * 300,
            "\xff",
            "application/json; charset=utf-16",
            "image/",
            ";;;",
            "a" * 4_000,
        ),
    ),
    "Content-Encoding": ("gzip", "br", "identity", "gzip, gzip"),
    "Authorization": ("Bearer x", "Bearer", "Basic Og==", "Bearer \xff", "Bearer " + "x" * 5_000),
    "Cookie": (
        "assistant_token=x",
        "assistant_token",
        "=;=;",
        "assistant_token=\xff",
        "a=" + "b" * 5_000,
        'assistant_token="',
    ),
    "X-Forwarded-For": ("10.0.0.1", "[::1", "\xff", ", " * 200, "a" * 3_000, "127.0.0.1:99999999999"),
    "X-Forwarded-Proto": ("https", "ftp", "\xff"),
    "Range": ("bytes=0-0", "bytes=9-1", "bytes=-1", "bytes=0-,0-,0-", "bytes=" + "0-1," * 900, "x=\xff", "bytes=a-b"),
    "If-None-Match": ("*", '"x"', "\xff"),
    "If-Modified-Since": ("Thu, 01 Jan 0000 00:00:00 GMT", "31 Dec 9999 99:99:99", "x"),
    "If-Range": ("x", "Fri, 31 Dec 9999 23:59:59 +9999"),
    "Accept": ("text/html", "*/*;q=x", "\xff", "a," * 900),
    "Accept-Language": ("ca", "\xff", "xx-" * 900, "zh;q=9"),
    "Access-Control-Request-Method": ("POST", "X", "\xff"),
    "Expect": ("100-continue", "200-ok"),
    "Upgrade": ("websocket", "h2c"),
    "Connection": ("close", "keep-alive, upgrade", "upgrade"),
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", "chunked, chunked"),
}
JSON = (
    {"who": "x", "version": 0, "key": "key-00000001", "tag_id": TAG, "action": "accept"},
    {"who": "x", "version": 0, "key": "key-00000002", "kind": "done"},
    {"split": "train", "count": 3, "who": "x"},
    {"address": "http://127.0.0.1:1/manifest", "who": "x"},
    {"queries": {"q0": {"query": "bronze", "type": "materials", "limit": 3}}},
    {"extend": {"ids": [TAG], "properties": [{"id": "broader"}]}},
)
ENDLESS = 200  # pieces at most: 2 MB


def request_of(seed: int, host: str, token: str | None) -> tuple[bytes, bytes]:
    """The head and the body of a request."""
    rng = random.Random(seed)
    path, query = rng.choice(PATHS), rng.choice(QUERIES)
    body = body_of(rng)
    hosts = (host,) * 40 + ("rebound.example", "[::1", "", "127.0.0.1:x", "\xff", "a" * 3_000)
    headers = [("Host", rng.choice(hosts))]
    headers += [
        (name, rng.choice(HEADERS[name])) for name in rng.sample(sorted(HEADERS), rng.choice((0, 0, 0, 0, 1, 1, 2, 8)))
    ]
    headers += [("X-Assistant", "1")] * (rng.random() < 0.9)
    headers += [("Authorization", f"Bearer {token}")] * (token is not None and rng.random() < 0.8)
    headers += [(f"X-{n}", "1") for n in range(rng.choice((0,) * 15 + (150,)))]
    if rng.random() < 0.98:
        right = str(len(body))
        headers.append(
            ("Content-Length", rng.choice((right,) * 60 + ("-1", "1" * 30, "0x5", "", "99999999", "+5", right + "1")))
        )
    rng.shuffle(headers)
    version = rng.choice(("HTTP/1.1",) * 60 + ("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", ""))
    target = f"{path}?{query}" if query else path
    head = f"{rng.choice(METHODS)} {target} {version}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode("latin-1") + b"\r\n", body


def body_of(rng: random.Random) -> bytes:
    """An image, JSON or a form, mostly damaged."""
    text = json.dumps(mutated_json(rng.choice(JSON), rng)).encode()
    whole = vase_picture(size=(64, 48))
    return rng.choice(
        (
            lambda: b"",
            lambda: text,
            lambda: text,
            lambda: json.dumps(rng.choice(JSON)).encode(),
            lambda: text[: rng.randrange(len(text))],
            lambda: text.decode().encode("utf-16"),
            lambda: b"[" * rng.choice((10, 900, 50_000)),
            lambda: b'{"a":' * 900 + b"1" + b"}" * 900,
            lambda: b"9" * 5_000,
            lambda: b'{"who": "\\ud800", "version": 1e400}',
            lambda: b"queries=" + text,
            lambda: b"text=data:image/jpeg;base64," + rng.randbytes(50).hex().encode(),
            lambda: b"&" * 3_000,
            lambda: whole,
            lambda: whole[: rng.randrange(len(whole))],
            lambda: rng.randbytes(rng.randrange(3_000)),
            lambda: b"zz\r\n" + text,
            lambda: b"%x\r\n" % len(text) + text + b"\r\n0\r\n\r\n",
        )
    )()


def outcome(seed: int, address: str, token: str | None) -> tuple[int, bytes]:
    """Sends the request of this seed in one of several ways. Returns the status, 0 for no answer, and the answer."""
    where, rng = urlsplit(address), random.Random(-1 - seed)
    head, body = request_of(seed, where.netloc, token)
    source = (f"127.0.{seed % 199}.2", 0)  # many clients, each with a rate of its own
    with closing(socket.create_connection((where.hostname, where.port), timeout=3, source_address=source)) as client:
        try:
            send(client, head, body, rng)
            answer = client.recv(65_536)
        except (TimeoutError, ConnectionError):
            return 0, b""
    status = answer[9:12]
    return int(status) if answer.startswith(b"HTTP/1.1 ") and status.isdigit() else 0, answer


def send(client: socket.socket, head: bytes, body: bytes, rng: random.Random) -> None:
    """As a whole, in pieces with pauses, cut off, several at once, or headers without an end."""
    way = rng.choices(("whole", "pieces", "cut", "pipelined", "endless"), (80, 6, 8, 4, 2))[0]
    if way == "whole":
        client.sendall(head + body)
    elif way == "pieces":
        for piece in (head[:20], head[20:-2], head[-2:], body[:10], body[10:]):
            client.sendall(piece)
            time.sleep(0.02)
    elif way == "cut":
        whole = head + body
        client.sendall(whole[: rng.randrange(len(whole))])
        client.shutdown(socket.SHUT_WR)
    elif way == "pipelined":
        client.sendall((head + body) * 5)
    else:
        client.sendall(head[:-2])
        for _ in range(ENDLESS):
            client.sendall(b"X-More: " + b"x" * 10_000 + b"\r\n")
