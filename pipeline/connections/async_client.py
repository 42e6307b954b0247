"""Sends GET requests to many hosts at once, over small pools of connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any
from zlib import crc32

import httpcore
import httpx

from pipeline.connections.kept import ClosedMeanwhile, KeptConnection
from pipeline.connections.urls import AddressError, core_url
from pipeline.headers import AnswerHeaders

# The addresses to connect to for a host and a port, at least one; it raises where there is to be no connection.
Addresses = Callable[[str, int], Awaitable[list[str]]]

POOLED = 4  # connections per pool: httpcore iterates over all of them at every step of every request


class AsyncAnswer:
    """An answer whose body is still to be received. It has to be closed."""

    def __init__(self, response: httpcore.Response, busy: ExitStack) -> None:
        self.status = response.status
        self.headers = AnswerHeaders(response.headers)
        self._response, self._busy = response, busy

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it is received, in the coding that the headers name."""
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        """Gives the connection back, or closes it where the body was not read to its end."""
        with self._busy:  # ends once, however often this is called
            await self._response.aclose()


class AsyncClient:
    """GET requests; every connection goes to an address that `addresses` names.

    A request whose kept connection the server closed without an answer is sent once more, on a new connection.
    """

    def __init__(self, *, connections: int, addresses: Addresses) -> None:
        pool = partial(
            httpcore.AsyncConnectionPool,
            ssl_context=httpx.create_ssl_context(trust_env=False),
            keepalive_expiry=15.0,
            network_backend=_Backend(addresses),
        )
        self._pools = [
            pool(max_connections=POOLED, max_keepalive_connections=POOLED) for _ in range(-(-connections // POOLED))
        ]
        self._new_connections = pool(max_connections=connections, max_keepalive_connections=0)
        self._busy = [0] * len(self._pools)

    async def get(self, url: str, headers: Mapping[str, str], timeouts: Mapping[str, float]) -> AsyncAnswer:
        """Sends one request without following redirects; `timeouts` in seconds: `connect`, `read`, `write`, `pool`.

        Raises AddressError, ConnectionFailure, and what `addresses` raises.
        """
        try:
            asked = httpx.Request("GET", url, headers=headers)
        except httpx.InvalidURL as error:
            raise AddressError(str(error)) from error
        extensions = {"timeout": dict(timeouts)}
        request = httpcore.Request("GET", core_url(asked.url), headers=asked.headers.raw, extensions=extensions)
        chosen = self._least_busy(request.url.host)
        with ExitStack() as busy:
            busy.enter_context(self._request_at(chosen))
            try:
                response = await self._pools[chosen].handle_async_request(request)
            except ClosedMeanwhile:  # a GET may be sent again
                response = await self._new_connections.handle_async_request(request)
            return AsyncAnswer(response, busy.pop_all())

    @contextmanager
    def _request_at(self, pool: int) -> Iterator[None]:
        """Counts a request among those of the pool, until its answer is closed."""
        self._busy[pool] += 1
        try:
            yield
        finally:
            self._busy[pool] -= 1

    def _least_busy(self, host: bytes) -> int:
        """The pool with the fewest requests; of equals the host's own, which keeps its connections."""
        own = crc32(host) % len(self._pools)
        return min([*range(own, len(self._pools)), *range(own)], key=self._busy.__getitem__)

    async def aclose(self) -> None:
        """Closes all connections."""
        for pool in (*self._pools, self._new_connections):
            await pool.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to the first of a host's addresses that answers."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *first, last = await self._addresses(host, port)
        for address in first:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._connected(address, port, timeout, local_address, socket_options)
        return await self._connected(last, port, timeout, local_address, socket_options)

    async def _connected(self, *to: Any) -> httpcore.AsyncNetworkStream:
        return KeptConnection(await self._network.connect_tcp(*to))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
