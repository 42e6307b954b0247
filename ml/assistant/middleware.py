"""What every request passes before the desk: who may ask, how much, from which page; and what every answer carries."""

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ml.assistant.limits import DeskLimits

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
CLIENT_HEADER = b"x-assistant"  # a page of another origin cannot send it without asking first
SAFE_METHODS = ("GET", "HEAD")
COOKIE = "assistant_token"
MOST_ADDRESSES = 10_000
# Nothing changes by these, so another program may post to them without our header.
STATELESS = ("/api/suggest", "/v1/", "/reconcile")


class TooLarge(Exception):
    """A body went over its limit while it was read."""


class Gate:
    """ASGI middleware. `token` None means loopback: then only requests to a loopback host name pass (DNS rebinding)."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: DeskLimits,
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
        """Pass the request on, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send, scope["path"])
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        if self._token is not None and scope["method"] == "GET" and (given := self._token_in_address(scope)):
            await _let_in(send, given, scope["path"])
            return
        await self._pass_on(scope, receive, send)

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
                await _answer(send, *self._too_large(scope))

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = dict(reversed(scope["headers"]))
        if not self._spend(scope):
            return 429, "too_many_requests", "Too many requests in a short time; wait a second and try again."
        if self._token is None and _host_name(headers.get(b"host", b"")) not in self._hosts:
            return 421, "wrong_host", "This desk answers on its own loopback address only."
        if self._token is not None and not self._may_enter(scope, headers):
            return 401, "no_token", "Open the address with the token that was printed when the desk was started."
        if _foreign(scope, headers):
            return 403, "foreign_page", "A page of another origin may not use this desk."
        if _length(headers) > self._body_limit(scope["path"]):
            return self._too_large(scope)
        return None

    def _body_limit(self, path: str) -> int:
        takes_images = path in ("/api/images", "/api/suggest") or path.startswith("/v1/")
        return self._limits.max_upload_bytes if takes_images else self._limits.max_body_bytes

    def _too_large(self, scope: Scope) -> tuple[int, str, str]:
        limit = self._body_limit(scope["path"])
        return 413, "too_large", f"This is larger than the {limit / 1e6:g} MB that are taken."

    def _spend(self, scope: Scope) -> bool:
        """A token bucket for each address."""
        client = (scope.get("client") or ("unknown",))[0]
        now = self._clock()
        left, at = self._buckets.pop(client, (float(self._limits.request_burst), now))
        left = min(self._limits.request_burst, left + (now - at) * self._limits.requests_per_second)
        enough = left >= 1
        self._buckets[client] = (left - 1 if enough else left, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return enough

    def _may_enter(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        given = [headers.get(b"authorization", b"").removeprefix(b"Bearer ").decode("latin-1"), _cookie(headers)]
        given.append(self._token_in_address(scope) if scope["method"] == "GET" else "")
        token = (self._token or "").encode()
        return any(hmac.compare_digest(each.encode(), token) for each in given)

    def _token_in_address(self, scope: Scope) -> str:
        """The token of the address printed at start; only the page itself takes it there."""
        if scope["path"] != "/":
            return ""
        try:
            return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        except ValueError:
            return ""


def _foreign(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a browser sends this for a page of another origin, or without the header only our page sends."""
    if scope["method"] in SAFE_METHODS:
        return False
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc != headers.get(b"host", b"").decode("latin-1"):
        return True
    if headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        return True
    return not scope["path"].startswith(STATELESS) and CLIENT_HEADER not in headers


def _host_name(host: bytes) -> str:
    name = host.decode("latin-1").lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    return name.rsplit(":", 1)[0] if ":" in name else name


def _length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() else 0


def _cookie(headers: dict[bytes, bytes]) -> str:
    try:
        morsel = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _with_headers(send: Send, path: str) -> Send:
    extra = {name.encode(): value.encode() for name, value in SECURITY_HEADERS.items()}
    if path.startswith("/api/") or path == "/":
        extra[b"cache-control"] = b"no-store"
    if path.startswith("/reconcile"):  # OpenRefine's page asks for suggestions from another origin; labels only
        extra[b"access-control-allow-origin"] = b"*"
        extra[b"cross-origin-resource-policy"] = b"cross-origin"

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *((n, v) for n, v in extra.items() if n not in names)]
        await send(message)

    return send_more


async def _answer(send: Send, status: int, code: str, sentence: str) -> None:
    body = json.dumps({"error": code, "message": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _let_in(send: Send, token: str, path: str) -> None:
    """Put the token into a cookie, and take it out of the address."""
    cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
    headers = [(b"location", path.encode()), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
