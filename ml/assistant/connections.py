"""Connections of the assistant's server: few enough for the process's files, none held by a client that sends nothing.

uvicorn limits how many requests run, and how long a connection rests between two of them. It waits without an end for
the first one, which lets a thousand half-sent requests lock everyone out ("Slowloris").
"""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from ml.assistant.limits import AssistantLimits
from ml.assistant.refusals import NOT_HTTP, SLOW_HEADERS, TOO_MANY_CONNECTIONS, Refusals

BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 17\r\nconnection: close\r\n\r\n"
    b"This is not HTTP."
)


class Connections:
    """The open connections, the longest silent first."""

    def __init__(self, limits: AssistantLimits, refusals: Refusals):
        self._most, self._timeout_s, self._refusals = limits.connections(), limits.header_timeout_s, refusals
        self._open: dict[GuardedProtocol, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self, **options: Any) -> "GuardedProtocol":
        """The protocol of a new connection, as uvicorn makes it."""
        return GuardedProtocol(self, **options)

    def opened(self, connection: "GuardedProtocol") -> None:
        """Take a connection; over the limit, close the one whose client has owed us something for longest."""
        self._open[connection] = None
        if len(self._open) > self._most:
            idle = next((each for each in self._open if each.is_waiting_for_client()), connection)
            self._end(idle, TOO_MANY_CONNECTIONS)

    def heard(self, connection: "GuardedProtocol") -> None:
        """The client has sent something."""
        if connection in self._open:
            self._open.pop(connection)
            self._open[connection] = None

    def closed(self, connection: "GuardedProtocol") -> None:
        """The connection is gone."""
        self._open.pop(connection, None)

    def timer(self, connection: "GuardedProtocol") -> asyncio.TimerHandle:
        """Ends the connection if its client does not send a request in time."""
        return connection.loop.call_later(self._timeout_s, self._end, connection, SLOW_HEADERS)

    def not_http(self) -> None:
        """A client has sent what is no HTTP."""
        self._refusals.counts[NOT_HTTP] += 1

    def _end(self, connection: "GuardedProtocol", reason: str) -> None:
        self._refusals.counts[reason] += 1
        self.closed(connection)
        connection.transport.abort()


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP protocol on h11, which limits the size of headers; here with a limit on their time."""

    def __init__(self, connections: Connections, **options: Any):
        super().__init__(**options)
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._timer = self._connections.timer(self)
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._stop_timer()
        self._connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The client has sent something. Until that is a request, or when its answer is out already, time runs."""
        self._connections.heard(self)
        super().data_received(data)
        if self._is_answering():
            self._stop_timer()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self._connections.timer(self)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP. Where it follows a request that is being answered, that request ends too."""
        self._connections.not_http()
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(BAD_REQUEST)  # as it is: h11 refuses an answer with a body to a HEAD
            self.transport.close()
        else:  # an answer is out already, in whole or in part
            self.transport.abort()

    def is_waiting_for_client(self) -> bool:
        """Whether the client has to send or to read before anything happens here."""
        slow_reader = self.flow.write_paused or self.transport.is_closing()
        return slow_reader or self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def behind(proxies: list[str], app: ASGIApp) -> ASGIApp:
    """The application behind these proxies: only their headers tell the client's address and scheme.

    `request.state.from_proxy` says whether a proxy sent the request, which the client's address no longer tells.
    """
    as_told: Any = ProxyHeadersMiddleware(app, proxies)  # type: ignore[arg-type]  # uvicorn's own types of ASGI

    async def with_origin(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = (scope.get("client") or ("",))[0]
            scope["state"] = {**scope.get("state", {}), "from_proxy": peer in as_told.trusted_hosts}
        await as_told(scope, receive, send)

    return with_origin


def server(
    app: Callable[..., Any], limits: AssistantLimits, refusals: Refusals, *, proxies: list[str]
) -> uvicorn.Server:
    """The assistant's server. `proxies`: addresses whose X-Forwarded-For and X-Forwarded-Proto headers are believed."""
    config = uvicorn.Config(
        behind(proxies, app) if proxies else app,
        log_level="error",  # uvicorn warns at every request that is no HTTP, which would let anyone fill the log
        loop="asyncio",
        ws="none",
        http=Connections(limits, refusals).protocol,  # type: ignore[arg-type]  # uvicorn only calls it
        backlog=limits.accepted_at_once,
        timeout_keep_alive=int(limits.keep_alive_s),
        proxy_headers=False,
        server_header=False,
    )
    return uvicorn.Server(config)
