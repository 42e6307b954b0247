"""Which addresses count as public, in all the ways in which an IPv4 address hides inside of an IPv6 address."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.addresses import is_public
from tests.support.examples import examples

PUBLIC = ("8.8.8.8", "193.0.6.139", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00:1450:4001::1",
    "2002:808:808::1", "2001:4860::5efe:8.8.8.8", "2001:4860::200:5efe:8.8.8.8", "168.63.129.17",
)  # fmt: skip
NOT_PUBLIC = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.127.255.255", "192.0.0.8", "198.18.0.1", "192.0.2.1", "203.0.113.9", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "fec0::1",
    "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "3fff::1", "3fff:fff:ffff::1", "4000::1",
    "5f00::1", "1fff:ffff::1", "100::1", "2001:2::1", "2001:20::1", "8000::1", "::10.0.0.1", "::ffff:0:10.0.0.1",
    "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:7f00:0:100::",
    "64:ff9b:1:808:8:800:7f00:1", "64:ff9b:1::", "64:ff9b:1::808:808", "2a00::5efe:10.0.0.1",
    "2001:4860::200:5efe:127.0.0.1",
    "2002:a83f:8110::1", "2001:0:a00:1::1", "64:ff9b::168.63.129.16", "::ffff:168.63.129.16",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str):
    assert not is_public(ipaddress.ip_address(address))


def mapped(inner: int) -> int:
    return 0xFFFF << 32 | inner


def nat64(inner: int) -> int:
    return 0x64_FF9B << 96 | inner


def six_to_four(inner: int) -> int:
    return 0x2002 << 112 | inner << 80 | 1


def teredo(inner: int) -> int:
    return 0x2001_0000 << 96 | 0x0808_0808 << 64 | inner ^ 0xFFFF_FFFF


def isatap(inner: int) -> int:
    return 0x2A00_1450 << 96 | 0x5EFE << 32 | inner


@settings(max_examples=examples(300))
@given(st.integers(0, 2**32 - 1), st.sampled_from([mapped, nat64, six_to_four, teredo, isatap]))
def test_an_ipv4_address_inside_of_another_is_judged_as_itself(inner: int, form):
    alone = is_public(ipaddress.IPv4Address(inner))
    assert is_public(ipaddress.IPv6Address(form(inner))) == alone


@settings(max_examples=examples(300))
@given(st.integers(0, 2**128 - 1))
def test_what_iana_has_not_given_out_is_not_public(bits: int):
    address = ipaddress.IPv6Address(bits)
    if address not in ipaddress.IPv6Network("2000::/3") and bits >> 96 not in (0, 0x64_FF9B):
        assert not is_public(address)
