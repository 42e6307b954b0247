"""Data goes to hosts that were named, and over http to this machine alone."""

import pytest

from pipeline.allow_list import NotAllowed, check_allowed

NAMED = {"EUFCC_ALLOWED_HOSTS": "store.museum.example, 127.0.0.1:9000"}


@pytest.mark.parametrize(
    "address",
    [
        "https://store.museum.example",
        "https://store.museum.example:8443/hook?x=1",
        "http://127.0.0.1:9000",
        "https://s3.eu-west-1.amazonaws.com",
    ],
)
def test_a_named_host_is_allowed(address: str):
    assert check_allowed(address, NAMED) == address


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://elsewhere.example", "not on the allow-list"),
        ("https://evil.store.museum.example", "not on the allow-list"),
        ("https://store.museum.example.evil.example", "not on the allow-list"),
        ("https://amazonaws.com.evil.example", "not on the allow-list"),
        ("http://127.0.0.1:9001", "not on the allow-list"),
        ("http://169.254.169.254/latest/meta-data", "not on the allow-list"),
        ("http://store.museum.example", "plain http"),
        ("http://s3.eu-west-1.amazonaws.com", "not on the allow-list"),
        ("ftp://store.museum.example", "not an address of the form"),
        ("https://user:secret@store.museum.example", "not an address of the form"),
        ("https://store.museum.example:port", "not an address"),
        ("https://user:secret@[store.museum.example", "not an address"),
        ("user:secret@store.museum.example", "not an address of the form"),
        ("https://elsewhere.example?key=secret", "not on the allow-list"),
        ("store.museum.example", "not an address of the form"),
    ],
)
def test_others_are_refused(address: str, why: str):
    with pytest.raises(NotAllowed, match=why) as refused:
        check_allowed(address, NAMED)
    assert "secret" not in str(refused.value)


def test_nothing_is_named_means_nobody():
    with pytest.raises(NotAllowed, match=r"add 127\.0\.0\.1:9000 to EUFCC_ALLOWED_HOSTS"):
        check_allowed("http://127.0.0.1:9000", {})
