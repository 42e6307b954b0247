"""Limits third-party URLs to public addresses on ports 80 and 443; every host is resolved once, checked and pinned."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from pipeline.addresses import Network, in_any, is_public
from pipeline.connections import AsyncClient, check_address

Resolver = Callable[[str, int], Awaitable[list[str]]]

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 8_000


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
        check_address(url)
    except ValueError as error:
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


def guarded_client(
    *,
    connections: int,
    allowed: Iterable[str] = (),
    hosts: Mapping[str, str] | None = None,
    resolver: Resolver = resolve,
) -> AsyncClient:
    """A client that connects only to checked addresses: a name is resolved once per connection and never again.

    `allowed` are private networks that the configuration permits; the addresses of the host map `hosts` may use other
    ports because a person wrote them. Its requests raise Forbidden and CannotResolve too.
    """
    networks: tuple[Network, ...] = tuple(ipaddress.ip_network(network) for network in allowed)
    targets = frozenset(map(_host_and_port, (hosts or {}).values()))

    async def addresses(host: str, port: int) -> list[str]:
        """The addresses of the host, at least one; a single forbidden address forbids the host."""
        if port not in PORTS.values() and (host, port) not in targets:
            raise Forbidden("bad_port", str(port))
        found = await resolver(host, port)
        if not found:
            raise CannotResolve(f"{host}: no address")
        for text in found:
            address = ipaddress.ip_address(text.split("%")[0])
            if not is_public(address) and not in_any(address, networks):
                raise Forbidden("private_address", f"{host} is {text}")
        return found

    return AsyncClient(connections=connections, addresses=addresses)


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)
