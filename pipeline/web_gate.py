"""Judges where a request to one of our pages comes from: the Host it names and the page that sent it.

A browser lets any page send requests to this machine, and DNS rebinding lets it do so under a name of its own. Sources:
Fetch Metadata (w3.org/TR/fetch-metadata), Origin (RFC 6454) and Host (RFC 9110, section 7.2).
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = ("GET", "HEAD")
DEFAULT_PORTS = {"http": "80", "https": "443"}
# A host is a name, an IPv4 address, or an IPv6 address in brackets; then a port.
AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._~-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
ORIGIN = re.compile(rf"(https?)://{AUTHORITY.pattern}", re.IGNORECASE)
# For every page: never inside another one, never guessed to be of another type, never read by another origin.
PAGE_HEADERS = {
    "content-security-policy": "frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: HTTP status, a code for programs, a sentence for people."""

    status: int
    code: str
    message: str


WRONG_HOST = Refusal(
    421, "wrong_host", "This page is not served under this name. Open the address printed at the start."
)
FOREIGN_PAGE = Refusal(403, "foreign_page", "Pages of another origin may not use this one.")


def host_name(host: str) -> str:
    """The name in a Host header, in small letters, without the port; empty if it cannot be read."""
    found = AUTHORITY.fullmatch(host)
    return found[1].lower() if found else ""


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the Host of the same request; `null` and what cannot be read do not.

    The scheme is not compared: behind a proxy that terminates TLS, we cannot know the one in the address bar.
    """
    asked, sent = AUTHORITY.fullmatch(host), ORIGIN.fullmatch(origin)
    if asked is None or sent is None:
        return False
    default = DEFAULT_PORTS[sent[1].lower()]
    return (asked[1].lower(), asked[2] or default) == (sent[2].lower(), sent[3] or default)


def is_foreign(headers: Mapping[str, str], method: str, *, linked: bool = False) -> bool:
    """Whether a page of another origin sent the request, as its browser says.

    `linked`: links from other pages may lead here. A link opens a page in its own tab; a frame or a script does not.
    """
    if "origin" in headers and not is_same_origin(headers["origin"], headers.get("host", "")):
        return True
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (linked and opened and method in SAFE_METHODS)


def with_headers(send: Send, extra: Mapping[str, str]) -> Send:
    """A `send` that adds these headers to the response, where it has none of the same name."""

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in extra.items():
                headers.setdefault(name, value)
        await send(message)

    return send_more


class PageGate:
    """ASGI middleware around a page: only its own names, only its own origin, in no frame. Links may lead to it.

    `refusal`: what else is refused, by the scope of the request (`http` or `websocket`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = LOOPBACK_NAMES,
        refusal: Callable[[Scope], Refusal | None] = lambda scope: None,
    ):
        self._app, self._hosts, self._further = app, frozenset(hosts), refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason for refusing it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:  # before it is accepted, this is status 403
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
            return
        send = with_headers(send, PAGE_HEADERS)
        await (self._app if refusal is None else as_response(refusal))(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if host_name(headers.get("host", "")) not in self._hosts:
            return WRONG_HOST
        method = scope.get("method", "GET")
        if is_foreign(headers, method, linked=scope["type"] == "http"):
            return FOREIGN_PAGE
        return self._further(scope)


def as_response(refusal: Refusal, headers: Mapping[str, str] | None = None, **more: object) -> JSONResponse:
    """The refusal as `{"error": code, "message": sentence}` and what else the answer says."""
    return JSONResponse({"error": refusal.code, "message": refusal.message, **more}, refusal.status, headers)
