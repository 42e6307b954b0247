"""Limits third-party URLs to public addresses on ports 80 and 443; every host is resolved once, checked and pinned."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import httpcore
import httpx

from pipeline.addresses import Network, in_any, is_public
from pipeline.images.kept_connections import ClosedMeanwhile, KeptConnection

Resolver = Callable[[str, int], Awaitable[list[str]]]

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 8_000
POOLED = 4  # connections per pool: httpcore iterates over all of them at every step of every request


class Forbidden(ValueError):
    """The URL, or an address it leads to, is never fetched; `reason` is the typed reason of the ledger."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class CannotResolve(OSError):
    """The host name has no address."""


def check_url(url: str) -> None:
    """Raises Forbidden unless the URL is http(s) on its default port, with a plain host."""
    if len(url) > LONGEST_URL or any(ord(letter) < 33 or ord(letter) == 127 for letter in url):
        raise Forbidden("bad_url", "too long, or with spaces or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise Forbidden("bad_url", str(error)) from error
    if parts.scheme.lower() not in PORTS:
        raise Forbidden("bad_scheme", parts.scheme)
    if not host or parts.username is not None or parts.password is not None:
        raise Forbidden("bad_url", "no host, or a user name in it")
    if port is not None and port not in PORTS.values():
        raise Forbidden("bad_port", str(port))


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, in the system's order; raises CannotResolve."""
    try:
        entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotResolve(f"{host}: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects only to checked addresses: a name is resolved once per connection and never again.

    `allowed` are private networks that the configuration permits; `targets` are the (host, port) pairs of the host map,
    which may use other ports because a person wrote them.
    """

    def __init__(
        self, allowed: Iterable[str] = (), targets: Iterable[tuple[str, int]] = (), resolver: Resolver = resolve
    ) -> None:
        self._allowed: tuple[Network, ...] = tuple(ipaddress.ip_network(network) for network in allowed)
        self._targets = frozenset(targets)
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that answers, after all of them were checked."""
        if port not in PORTS.values() and (host, port) not in self._targets:
            raise Forbidden("bad_port", str(port))
        *first, last = await self._checked(host, port)
        for address in first:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._connected(address, port, timeout, local_address, socket_options)
        return await self._connected(last, port, timeout, local_address, socket_options)

    async def _connected(self, *to: Any) -> httpcore.AsyncNetworkStream:
        return KeptConnection(await self._network.connect_tcp(*to))

    async def sleep(self, seconds: float) -> None:
        """Sleeps; part of httpcore's interface."""
        await asyncio.sleep(seconds)

    async def _checked(self, host: str, port: int) -> list[str]:
        """The addresses of the host, at least one; a single forbidden address forbids the host."""
        addresses = await self._resolver(host, port)
        if not addresses:
            raise CannotResolve(f"{host}: no address")
        for text in addresses:
            address = ipaddress.ip_address(text.split("%")[0])
            if not is_public(address) and not in_any(address, self._allowed):
                raise Forbidden("private_address", f"{host} is {text}")
        return addresses


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport over small connection pools; every connection goes through GuardedBackend.

    A GET whose kept connection the server closed without an answer is sent once more, on a new connection.
    """

    def __init__(
        self,
        *,
        connections: int,
        allowed: Iterable[str] = (),
        hosts: Mapping[str, str] | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        pool = partial(
            httpcore.AsyncConnectionPool,
            ssl_context=httpx.create_ssl_context(trust_env=False),
            keepalive_expiry=15.0,
            network_backend=GuardedBackend(allowed, map(_host_and_port, (hosts or {}).values()), resolver),
        )
        self._pools = [
            pool(max_connections=POOLED, max_keepalive_connections=POOLED) for _ in range(-(-connections // POOLED))
        ]
        self._new_connections = pool(max_connections=connections, max_keepalive_connections=0)
        self._busy = [0] * len(self._pools)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request without following redirects."""
        asked = request.url
        url = httpcore.URL(scheme=asked.raw_scheme, host=asked.raw_host, port=asked.port, target=asked.raw_path)
        sent = httpcore.Request(request.method, url, headers=request.headers.raw, extensions=request.extensions)
        chosen = self._least_busy(asked.raw_host)
        self._busy[chosen] += 1
        try:
            try:
                response = await self._pools[chosen].handle_async_request(sent)
            except ClosedMeanwhile:  # the Downloader sends GETs only, which may be sent again
                response = await self._new_connections.handle_async_request(sent)
        except BaseException:
            self._busy[chosen] -= 1
            raise
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response, self._busy, chosen),
            extensions=response.extensions,
        )

    def _least_busy(self, host: bytes) -> int:
        """The pool with the fewest requests; of equals the host's own, which keeps its connections."""
        own = crc32(host) % len(self._pools)
        return min([*range(own, len(self._pools)), *range(own)], key=self._busy.__getitem__)

    async def aclose(self) -> None:
        """Closes all connections."""
        for pool in (*self._pools, self._new_connections):
            await pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a pooled response as an httpx stream."""

    def __init__(self, response: httpcore.Response, busy: list[int], pool: int) -> None:
        self._response, self._busy, self._pool = response, busy, pool

    async def __aiter__(self):
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        if self._pool >= 0:  # httpx closes more than once
            self._busy[self._pool] -= 1
            self._pool = -1
        await self._response.aclose()


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)
