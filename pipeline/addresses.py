"""Which addresses are on the public internet: the one place where addresses are judged.

Sources: IANA's special-purpose registries (RFC 6890) and, for IPv4 addresses inside of IPv6 addresses, RFC 4291,
section 2.5.5 (mapped, compatible), RFC 2765 (translated), RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380
(Teredo) and RFC 5214 (ISATAP).
"""

import ipaddress
from collections.abc import Iterable, Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a text, separated by spaces."""
    return tuple(ipaddress.ip_network(network) for network in text.split())


# `is_global` of the standard library has changed between Python versions; these are refused whatever it says.
NEVER_PUBLIC = networks(
    "0.0.0.0/8 10.0.0.0/8 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 "  # this host and private networks
    "100.64.0.0/10 169.254.0.0/16 "  # carrier-grade NAT (RFC 6598), with Alibaba's metadata; link-local, with others'
    "168.63.129.16/32 "  # Azure's own services, on every machine of theirs
    "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 "
    "2001::/23 2001:db8::/32 3fff::/20"  # protocols' own and documentation
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out of IPv6
LAST_32_BITS = networks("::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96")
TEREDO = ipaddress.IPv6Network("2001::/32")
SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # the first half of the interface's id


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet; IPv4 addresses inside an IPv6 address must be so too."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not in_any(address, NEVER_PUBLIC)
    if not all(map(is_public, inner_ipv4(address))):
        return False
    if in_any(address, LAST_32_BITS):
        return True
    # 64:ff9b:1::/48 is not public either: each network has its own place for the IPv4 address in it (RFC 8215).
    return address in GLOBAL_UNICAST and (address in TEREDO or not in_any(address, NEVER_PUBLIC))


def in_any(address: Address, many: Iterable[Network]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address.version == network.version and address in network for network in many)


def inner_ipv4(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that a router or a tunnel may read out of an IPv6 address."""
    bits = int(address)
    if in_any(address, LAST_32_BITS):
        yield _ipv4(bits)
    if address in SIX_TO_FOUR:
        yield _ipv4(bits >> 80)
    if address in TEREDO:
        yield _ipv4(bits >> 64)  # of its server
        yield _ipv4(~bits)
    if (bits >> 32) & 0xFFFF_FFFF in ISATAP:
        yield _ipv4(bits)


def _ipv4(bits: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(bits & 0xFFFF_FFFF)
