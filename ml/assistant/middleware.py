"""Access control for every request (rate, host, token, origin, size), and security headers for every response."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ml.assistant.limits import AssistantLimits

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
CLIENT_HEADER = "x-assistant"  # a page of another origin cannot send it without a CORS preflight
SAFE_METHODS = ("GET", "HEAD")
COOKIE = "assistant_token"
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


class TooLarge(Exception):
    """A request body exceeded its limit while it was read."""


class AccessMiddleware:
    """ASGI middleware. Without a token, only loopback host names are accepted, against DNS rebinding."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: AssistantLimits,
        token: str | None = None,
        hosts: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        self._app = app
        self._limits = limits
        self._token = token
        self._hosts = {*LOOPBACK_HOSTS, *hosts}
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason for refusing it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        send = _with_headers(send, scope["path"])
        response = self._refusal(request)
        if response is None and self._token is not None and (token := _token_in_address(request)):
            response = _to_cookie(token, scope["path"])
        await (response or self._pass_on)(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        left = self._body_limit(scope["path"])

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except TooLarge:
            if not started:
                await self._too_large(scope["path"])(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        path, length = request.scope["path"], request.headers.get("content-length", "0")
        if not self._spend(request.client.host if request.client else "unknown"):
            return _refuse(429, "too_many_requests", "Too many requests in a short time. Wait a second and try again.")
        if self._token is None and _host_name(request.headers.get("host", "")) not in self._hosts:
            return _refuse(421, "wrong_host", "The assistant answers only at its own loopback address.")
        if _is_preflight(request):
            return Response(status_code=204, headers=PREFLIGHT)
        if self._token is not None and not _has_token(request, self._token):
            return _refuse(401, "no_token", "Open the address with the token, which was printed at the start.")
        if _is_foreign(request):
            return _refuse(403, "foreign_page", "Pages of another origin may not use the assistant.")
        if length.isascii() and length.isdigit() and int(length) > self._body_limit(path):
            return self._too_large(path)
        return None

    def _body_limit(self, path: str) -> int:
        takes_images = path in ("/api/images", "/api/suggest") or path.startswith("/v1/")
        return self._limits.max_upload_bytes if takes_images else self._limits.max_body_bytes

    def _too_large(self, path: str) -> Response:
        limit = self._body_limit(path)
        return _refuse(413, "too_large", f"The request is larger than the limit of {limit / 1e6:g} MB.")

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


def _has_token(request: Request, token: str) -> bool:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = (bearer, request.cookies.get(COOKIE, ""), _token_in_address(request))
    return any(hmac.compare_digest(each.encode(), token.encode()) for each in given)


def _token_in_address(request: Request) -> str:
    """The token in the query of the page's address; no other address accepts it."""
    if request.method != "GET" or request.scope["path"] != "/":
        return ""
    return request.query_params.get("token", "")


def _is_open(path: str) -> bool:
    return path == OPEN_TO_PAGES or path.startswith(f"{OPEN_TO_PAGES}/")


def _is_preflight(request: Request) -> bool:
    """Whether a browser asks, before the request itself, if a page of another origin may send it."""
    asks = "origin" in request.headers and "access-control-request-method" in request.headers
    return request.method == "OPTIONS" and asks and _is_open(request.scope["path"])


def _is_foreign(request: Request) -> bool:
    """Whether the request may come from a page of another origin: by its headers, or without our own header."""
    headers = request.headers
    if request.method in SAFE_METHODS or (request.method == "POST" and _is_open(request.scope["path"])):
        return False
    if "origin" in headers and urlsplit(headers["origin"]).netloc != headers.get("host", ""):
        return True
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    return not request.scope["path"].startswith(STATELESS) and CLIENT_HEADER not in headers


def _host_name(host: str) -> str:
    name = host.lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    return name.rsplit(":", 1)[0] if ":" in name else name


def _with_headers(send: Send, path: str) -> Send:
    extra = dict(SECURITY_HEADERS)
    if path.startswith("/api/") or path == "/":
        extra["cache-control"] = "no-store"
    if path.startswith("/page/"):
        extra["cache-control"] = "no-cache"  # so that a new version shows at once
    if _is_open(path):
        extra |= {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in extra.items():
                headers.setdefault(name, value)
        await send(message)

    return send_more


def _refuse(status: int, code: str, message: str) -> Response:
    headers = {429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(status)
    return JSONResponse({"error": code, "message": message}, status_code=status, headers=headers)


def _to_cookie(token: str, path: str) -> Response:
    """Redirect to the page without the token in its address, which moves to a cookie."""
    cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
    return Response(status_code=303, headers={"location": path, "set-cookie": cookie})
