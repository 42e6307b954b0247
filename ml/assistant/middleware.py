"""Access control for every request (rate, host, token, origin, body), and security headers for every response."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ml.assistant.access import ANYONE, Access, cookie_of, token_in_address
from ml.assistant.bodies import Bodies, BodyRefused
from ml.assistant.limits import AssistantLimits
from ml.assistant.refusals import TOO_MANY_REQUESTS, Refusals, too_large
from pipeline.web_gate import (
    FOREIGN_PAGE,
    LOOPBACK_NAMES,
    PAGE_HEADERS,
    SAFE_METHODS,
    WRONG_HOST,
    Refusal,
    host_name,
    is_foreign,
    with_headers,
)

SECURITY_HEADERS = PAGE_HEADERS | {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
CLIENT_HEADER = "x-assistant"  # a page of another origin cannot send it without a CORS preflight
SIGN_IN = "/sign-in"
# What the page for signing in needs. None of it is secret.
WITHOUT_TOKEN = (SIGN_IN, "/page/style.css", "/page/icon.svg")
MAX_ADDRESSES = 10_000  # clients whose request rate is remembered
# These change nothing, so other programs may post to them without the header.
STATELESS = ("/api/suggest", "/v1/", "/reconcile")
# OpenRefine's page, of another origin, reads and posts here; the answers are labels of the thesaurus.
OPEN_TO_PAGES = "/reconcile"
PREFLIGHT = {  # fetch.spec.whatwg.org, "CORS-preflight request"; it never carries a token
    "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
    "access-control-allow-headers": "accept, authorization, content-type, x-requested-with",
    "access-control-max-age": "86400",
}


class AccessMiddleware:
    """ASGI middleware. `hosts`: the names that are answered besides loopback's, against DNS rebinding.

    Where a token is needed and no names are given, every name is answered: a rebound page does not have the token.
    `request.state.person` is who sent a request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: AssistantLimits,
        refusals: Refusals,
        access: Access | None = None,
        hosts: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        self._app, self._limits, self._refusals, self._clock = app, limits, refusals, clock
        self._access = access or Access()
        self._has_names = bool(hosts)
        self._hosts = {*LOOPBACK_NAMES, *(host.lower() for host in hosts)}
        self._bodies = Bodies(limits)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason for refusing it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        send = with_headers(send, _headers_of(scope["path"]))
        refusal = await self._access.refresh() or self._refusal(request)
        if refusal is not None:
            await self._refusals.answer(refusal, request)(scope, receive, send)
        elif _is_preflight(request):
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
        elif self._access.is_closed and (token := token_in_address(request)):
            await _to_cookie(token, request)(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        with self._bodies.opened(receive, self._body_limit(scope["path"])) as body:

            async def send_unless_refused(message: Message) -> None:
                nonlocal started
                if body.refusal is None or started:
                    started = True
                    await send(message)

            try:
                await self._app(scope, body.receive, send_unless_refused)
            except BodyRefused:
                pass  # answered below, also where the application made an answer of its own from this
            except ClientDisconnect:
                return
            if body.refusal is not None and not started:
                await self._refusals.answer(body.refusal, Request(scope))(scope, receive, send)

    def _refusal(self, request: Request) -> Refusal | None:
        """Why the request is refused before its body is read."""
        headers, path = request.headers, request.scope["path"]
        length, limit = headers.get("content-length", "0"), self._body_limit(path)
        if not self._spend(request.client.host if request.client else "unknown"):
            return TOO_MANY_REQUESTS
        any_host = self._access.is_closed and not self._has_names
        if not any_host and host_name(headers.get("host", "")) not in self._hosts:
            return WRONG_HOST
        if _is_preflight(request):
            return None
        person = ANYONE if path in WITHOUT_TOKEN else self._access.person(request)
        if isinstance(person, Refusal):
            return person
        request.state.person = person
        if _is_refused_page(request):
            return FOREIGN_PAGE
        too_long = length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit)
        return too_large(limit) if too_long else None

    def _body_limit(self, path: str) -> int:
        takes_images = path in ("/api/images", "/api/suggest") or path.startswith("/v1/")
        return self._limits.max_upload_bytes if takes_images else self._limits.max_body_bytes

    def _spend(self, client: str) -> bool:
        """Whether the client is within its rate: a token bucket per address."""
        now = self._clock()
        left, at = self._buckets.pop(client, (float(self._limits.request_burst), now))
        left = min(self._limits.request_burst, left + (now - at) * self._limits.requests_per_second)
        enough = left >= 1
        self._buckets[client] = (left - 1 if enough else left, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return enough


class CompressedPage:
    """ASGI middleware that compresses the page's own files.

    Answers with data stay as they are: the length of a compressed one can tell what is in it ("BREACH").
    """

    def __init__(self, app: ASGIApp):
        self._app, self._compressed = app, GZipMiddleware(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        of_page = scope["type"] == "http" and (scope["path"] == "/" or scope["path"].startswith("/page/"))
        await (self._compressed if of_page else self._app)(scope, receive, send)


def _is_open(path: str) -> bool:
    return path == OPEN_TO_PAGES or path.startswith(f"{OPEN_TO_PAGES}/")


def _is_preflight(request: Request) -> bool:
    """Whether a browser asks, before the request itself, if a page of another origin may send it."""
    asks = "origin" in request.headers and "access-control-request-method" in request.headers
    return request.method == "OPTIONS" and asks and _is_open(request.scope["path"])


def _is_refused_page(request: Request) -> bool:
    """Whether the request may come from a page of another origin: by its headers, or without our own header."""
    path = request.scope["path"]
    if _is_open(path) and request.method in ("GET", "HEAD", "POST"):
        return False
    if is_foreign(request.headers, request.method, linked=path == "/"):
        return True
    changes = request.method not in SAFE_METHODS and not path.startswith((*STATELESS, SIGN_IN))
    return changes and CLIENT_HEADER not in request.headers


def _headers_of(path: str) -> dict[str, str]:
    extra = dict(SECURITY_HEADERS)
    if path.startswith(("/api/", "/iiif/")) or path == "/":
        extra["cache-control"] = "no-store"
    if path.startswith("/page/"):
        extra["cache-control"] = "no-cache"  # so that a new version shows at once
    if _is_open(path):
        extra |= {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
    return extra


def _to_cookie(token: str, request: Request) -> Response:
    """Redirect to the page without the token in its address, which moves to a cookie."""
    return Response(status_code=303, headers={"location": "/", "set-cookie": cookie_of(token, request)})
