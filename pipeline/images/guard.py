"""Where a third party's URL may lead: public addresses on ports 80 and 443, each resolved once, checked and pinned."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[list[str]]]

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 8_000
POOLED = 4  # connections of one pool: httpcore looks through all of them at every step of every request

# `is_global` of the standard library has changed between Python versions; these are refused whatever it says.
NEVER_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "100::/64",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(ValueError):
    """A URL, or an address it leads to, that is never fetched; `reason` is the typed reason of the ledger."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class CannotResolve(OSError):
    """The name of a host has no address."""


def check_url(url: str) -> None:
    """Refuse a URL that is not http(s) on its own port with a plain host; raises Forbidden."""
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


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; an IPv4 address inside an IPv6 one is judged as itself."""
    inner = _inner_ipv4(address)
    if inner is not None:
        return is_public(inner)
    if any(address.version == network.version and address in network for network in NEVER_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _inner_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, in the system's order; raises CannotResolve."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotResolve(f"{host}: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that were checked after the one resolution; the name is never resolved again.

    `allowed` are private networks the configuration opens; `targets` the (host, port) pairs of the host map, which
    may also use other ports, since a person wrote them.
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
        """A connection to the first address that answers, all of them checked before."""
        if port not in PORTS.values() and (host, port) not in self._targets:
            raise Forbidden("bad_port", str(port))
        addresses = await self._checked(host, port)
        for last, address in zip([False] * (len(addresses) - 1) + [True], addresses, strict=True):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if last:
                    raise
        raise CannotResolve(f"{host}: no address")

    async def sleep(self, seconds: float) -> None:
        """Wait, as the interface asks."""
        await asyncio.sleep(seconds)

    async def _checked(self, host: str, port: int) -> list[str]:
        """The addresses of the host; one forbidden among them forbids all, so that no mixture slips through."""
        addresses = await self._resolver(host, port)
        if not addresses:
            raise CannotResolve(f"{host}: no address")
        for text in addresses:
            address = ipaddress.ip_address(text.split("%")[0])
            opened = any(address.version == network.version and address in network for network in self._allowed)
            if not opened and not is_public(address):
                raise Forbidden("private_address", f"{host} is {text}")
        return addresses


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport over small connection pools whose every connection passes the guard."""

    def __init__(
        self,
        *,
        connections: int,
        allowed: Iterable[str] = (),
        hosts: Mapping[str, str] | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        ssl_context = httpx.create_ssl_context(trust_env=False)
        backend = GuardedBackend(allowed, map(_host_and_port, (hosts or {}).values()), resolver)
        self._pools = [
            httpcore.AsyncConnectionPool(
                ssl_context=ssl_context,
                max_connections=POOLED,
                max_keepalive_connections=POOLED,
                keepalive_expiry=15.0,
                network_backend=backend,
            )
            for _ in range(-(-connections // POOLED))
        ]
        self._busy = [0] * len(self._pools)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; redirects are not followed here."""
        chosen = self._least_busy(request.url.raw_host)
        self._busy[chosen] += 1
        try:
            response = await self._pools[chosen].handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    extensions=request.extensions,
                )
            )
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
        """The pool with the fewest requests; among equals the host's own, where its connections are kept."""
        own = crc32(host) % len(self._pools)
        return min([*range(own, len(self._pools)), *range(own)], key=self._busy.__getitem__)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a pooled response, as httpx wants it."""

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
