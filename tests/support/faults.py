"""The faults that servers have, and a schedule that picks one by seed, request and attempt."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.sandbox.hosts import media_url, original_host
from tests.support import fault_responses as reply
from tests.support.fault_responses import Exchange, Play

# Where a fault can strike.
API, SEARCH, CURSOR, SPARQL, IMAGE = "api", "search", "cursor", "sparql", "image"


@dataclass(frozen=True)
class Fault:
    """One way to go wrong. `lasting`: a client may believe it at once; it will not get better by asking again."""

    name: str
    where: tuple[str, ...]
    description: str
    play: Play
    lasting: bool = False


FAULTS = (
    # Europeana's APIs; many strike the SPARQL endpoint and the images too
    Fault("429", (API,), "the key's budget is used up; RateLimit says for how long", reply.too_many_requests),
    Fault("500", (API, IMAGE), "internal server error", reply.error(500, "Internal server error")),
    Fault("502_html", (API, SPARQL, IMAGE), "a gateway's page in HTML", reply.page(502, reply.HTML, "text/html")),
    Fault("503", (API, SPARQL, IMAGE), "service unavailable", reply.error(503, "Service Unavailable")),
    Fault("503_sa_as_400", (SEARCH,), "the search engine is down, said as 400", reply.error(400, "Error", "503-SA")),
    Fault("504_sa_as_400", (SEARCH,), "the search engine is slow, said as 400", reply.error(400, "Error", "504-SA")),
    Fault("html_as_200", (API, SPARQL), "a maintenance page in HTML", reply.page(200, reply.HTML, "text/html")),
    Fault("timeout", (API, SPARQL, IMAGE), "no answer for `slow_s`, then the connection is cut", reply.silence),
    Fault("reset", (API, SPARQL, IMAGE), "the connection is cut before an answer", reply.reset),
    Fault("reset_midway", (API, SPARQL, IMAGE), "the connection is cut in the middle of the body", reply.reset_midway),
    Fault("slow_body", (API, SPARQL, IMAGE), "the true answer, in drops over `slow_s`", reply.slow_body),
    Fault("truncated_json", (API,), "half of the JSON, announced as all of it", reply.truncated),
    # a walk by cursor
    Fault("bad_cursor", (CURSOR,), "400-SC to a cursor that was given out", reply.expired_cursor),
    Fault("repeated_cursor", (CURSOR,), "the last page gives its own cursor back instead of none", reply.cursor_at_end),
    Fault("stuck_cursor", (CURSOR,), "a page amid the walk gives its own cursor back", reply.stuck_cursor),
    Fault("empty_last_page", (CURSOR,), "the last page has a cursor, and an empty page behind it", reply.empty_page),
    Fault("duplicate_items", (CURSOR,), "items come twice on a page", reply.duplicate_items),
    Fault("drifting_total", (CURSOR,), "totalResults is a few off on a page", reply.drifting_total),
    # Getty's endpoint
    Fault("301_to_https", (SPARQL,), "moved to https; a redirected POST loses its body", reply.permanent_redirect),
    Fault("sparql_499", (SPARQL,), "the proxy gave up", reply.page(499, b"", "text/html")),
    Fault("sparql_half", (SPARQL,), "half of the result, announced as all of it", reply.truncated),
    # images; a thumbnail or a provider's file
    Fault("404", (IMAGE,), "gone", reply.page(404, b"Not Found", "text/plain"), lasting=True),
    Fault("410", (IMAGE,), "gone for good", reply.page(410, b"Gone", "text/plain"), lasting=True),
    Fault("403", (IMAGE,), "forbidden", reply.page(403, b"Forbidden", "text/plain"), lasting=True),
    Fault("truncated_image", (IMAGE,), "half of the image, announced as all of it", reply.truncated, lasting=True),
    Fault("corrupted_image", (IMAGE,), "noise over half of the image", reply.corrupted, lasting=True),
    Fault("wrong_type", (IMAGE,), "the true image, called text/html", reply.wrong_content_type),
    Fault("html_as_jpeg", (IMAGE,), "a web page, called image/jpeg", reply.page(200, reply.HTML, "image/jpeg"), True),
    Fault("svg_as_jpeg", (IMAGE,), "an SVG with a script, as a JPEG", reply.page(200, reply.SVG, "image/jpeg"), True),
    Fault("zero_bytes", (IMAGE,), "an empty body", reply.page(200, b"", "image/jpeg"), lasting=True),
    Fault("redirect_loop", (IMAGE,), "a redirect to itself", reply.redirect_loop, lasting=True),
    Fault("redirect_inside", (IMAGE,), "a redirect to a cloud's metadata address", reply.redirect_inside, lasting=True),
    Fault("redirect_to_file", (IMAGE,), "a redirect to file:///etc/passwd", reply.redirect_to_file, lasting=True),
    Fault("huge_declared", (IMAGE,), "ten terabytes announced", reply.huge_declared, lasting=True),
    Fault("endless", (IMAGE,), "a body without an end", reply.endless, lasting=True),
    Fault("gzip_bomb", (IMAGE,), "a body that unpacks to 80 MB", reply.gzip_bomb, lasting=True),
    Fault("pixel_bomb", (IMAGE,), "a small PNG of 900 million pixels", reply.pixel_bomb, lasting=True),
)
BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass
class Faults:
    """A schedule of faults: the same seed, request and attempt always meet the same one, or none.

    A request is struck with `probability`, then by one to `strikes` faults in a row, and after that gets the true
    answer for good, so that a client which asks again as it should arrives. With `lasting`, a fault marked so strikes
    every time. `modes` names the faults in play (default: all that are not `lasting`, or all with `lasting=True`);
    `slow_s` is how long slow answers take; `reset_s` is what a 429 says.
    """

    seed: int = 0
    probability: float = 0.3
    modes: tuple[str, ...] = ()
    strikes: int = 2
    lasting: bool = False
    slow_s: float = 0.5
    reset_s: int = 0
    played: Counter[str] = field(default_factory=Counter)
    _attempts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.modes) - set(BY_NAME))
        if unknown:
            raise ValueError(f"Unknown fault {unknown[0]!r}; there are {', '.join(BY_NAME)}.")

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with this schedule's faults before it."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            body = await _whole_body(receive)
            fault = self.next_fault(scope, body)
            again = _again(body, receive)
            if fault is None:
                await app(scope, again, send)
                return
            self.played[fault.name] += 1
            await fault.play(Exchange(app, scope, again, send, self.slow_s, self.reset_s))

        return faulty

    def next_fault(self, scope: Scope, body: bytes) -> Fault | None:
        """The fault that meets this attempt of a request, or None for the true answer."""
        request = fingerprint(scope, body)
        attempt = self._attempts[request]
        self._attempts[request] += 1
        candidates = self._candidates(kinds(scope))
        if not candidates or self._draw(request, "struck") >= self.probability:
            return None
        first = candidates[int(self._draw(request, "0") * len(candidates))]
        if self.lasting and first.lasting:
            return first
        if attempt >= 1 + int(self._draw(request, "strikes") * self.strikes):
            return None
        if self.lasting:
            candidates = [fault for fault in candidates if not fault.lasting]
        return first if attempt == 0 else candidates[int(self._draw(request, str(attempt)) * len(candidates))]

    def _candidates(self, where: frozenset[str]) -> list[Fault]:
        allowed = self.modes or tuple(fault.name for fault in FAULTS if self.lasting or not fault.lasting)
        return [fault for fault in FAULTS if fault.name in allowed and where & set(fault.where)]

    def _draw(self, request: str, what: str) -> float:
        """A number in [0, 1) that depends on nothing but its arguments and the seed."""
        digest = hashlib.sha256(f"{self.seed} {request} {what}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56


def kinds(scope: Scope) -> frozenset[str]:
    """What a request is, as far as faults tell requests apart."""
    path = scope["path"]
    if path.startswith(("/thumbnail/", "/api/v2/thumbnail")) or media_url(scope) is not None:
        return frozenset({IMAGE})
    if path.startswith("/sparql"):
        return frozenset({SPARQL})
    if path.endswith("/search.json"):
        walk = {CURSOR} if b"cursor=" in scope["query_string"] else set()
        return frozenset({API, SEARCH} | walk)
    return frozenset({API})


def fingerprint(scope: Scope, body: bytes) -> str:
    """What makes two requests the same: method, host, path, parameters but the key, body."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    params = sorted((name, value) for name, value in pairs if name != "wskey")
    text = f"{scope['method']} {original_host(scope)} {scope['path']} {params} {hashlib.sha256(body).hexdigest()}"
    return hashlib.sha256(text.encode()).hexdigest()


async def _whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever the connection says."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
