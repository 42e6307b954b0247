"""No URL of a third party leads anywhere but to the public internet, by whatever way it tries."""

import pytest
from starlette.responses import RedirectResponse, Response

from pipeline.images.guard import Forbidden, check_url
from tests.pipeline.images.pictures import jpeg


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://a.example/x.jpg", "bad_scheme"),
        ("file:///etc/passwd", "bad_scheme"),
        ("gopher://a.example/", "bad_scheme"),
        ("data:image/png;base64,AAAA", "bad_scheme"),
        ("//a.example/x.jpg", "bad_scheme"),
        ("not a url", "bad_url"),
        ("http:///x.jpg", "bad_url"),
        ("http://user:secret@a.example/", "bad_url"),
        ("http://a.example/\r\nHost: b.example", "bad_url"),
        ("http://[::1/x", "bad_url"),
        ("http://a.example:99999/", "bad_url"),
        ("http://a.example/" + "x" * 9_000, "bad_url"),
        ("http://a.example:22/", "bad_port"),
        ("https://a.example:8443/", "bad_port"),
    ],
)
def test_urls_that_are_never_asked(url: str, reason: str):
    with pytest.raises(Forbidden) as refused:
        check_url(url)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "url", ["http://a.example/x.jpg", "https://a.example:443/?a=b", "https://münchen.example/ü.jpg"]
)
def test_urls_that_may_be_asked(url: str):
    check_url(url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"]
)
def test_every_spelling_of_a_private_address_is_refused(fetch, provider, host: str):
    summary = fetch([("/a/1", f"http://{host}/x.jpg", None)], hosts={}, allowed_addresses=(), attempts=1)
    assert summary.reasons == {"private_address": 1}
    assert not provider.asked


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "private_address"),
        ("http://10.0.0.5/x.jpg", "private_address"),
        ("http://[::1]/x.jpg", "private_address"),
        ("http://b.example:22/", "bad_port"),
        ("file:///etc/passwd", "bad_scheme"),
        ("//10.0.0.5/x.jpg", "private_address"),
    ],
)
def test_redirects_are_checked_like_any_url(fetch, provider, target: str, reason: str):
    provider.answers["/x.jpg"] = RedirectResponse(target)
    summary = fetch([("/a/1", "http://a.example/x.jpg", None)], hosts={"http://a.example": provider.address})
    assert summary.reasons == {reason: 1}


def test_redirects_are_followed_five_times_and_no_more(fetch, provider):
    for number in range(8):
        provider.answers[f"/{number}"] = RedirectResponse(f"/{number + 1}")
    provider.answers["/8"] = Response(jpeg())
    summary = fetch([("/a/far", "http://a.example/2", None), ("/a/near", "http://a.example/3", None)])
    assert summary.usable == 1
    assert summary.reasons == {"too_many_redirects": 1}


def test_a_name_that_changes_its_address_is_asked_for_once(fetch, provider):
    """DNS rebinding: the first answer is public, every later one is the loopback."""
    lookups: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        lookups.append(host)
        return ["192.0.2.77" if len(lookups) == 1 else "127.0.0.1"]

    provider.answers["/x.jpg"] = Response(jpeg())
    # 192.0.2.0/24 is for documentation: nobody answers there. It is allowed here to stand for a public address.
    summary = fetch(
        [("/a/1", "http://rebind.example/x.jpg", None)],
        hosts={}, allowed_addresses=("192.0.2.0/24",), resolver=rebinding, attempts=1, timeout_s=0.5,
    )  # fmt: skip
    assert summary.usable == 0
    assert lookups == ["rebind.example"]  # the connection went to the address that was checked
    again = fetch(
        [("/a/1", "http://rebind.example/x.jpg", None)],
        hosts={}, allowed_addresses=("192.0.2.0/24",), resolver=rebinding, attempts=1, timeout_s=0.5, retry_now=True,
    )  # fmt: skip
    assert again.reasons == {"private_address": 1}
    assert not provider.asked


def test_one_private_address_among_public_ones_refuses_all(fetch, provider):
    async def mixed(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    rows = [("/a/1", "http://mixed.example/x.jpg", None)]
    summary = fetch(rows, hosts={}, allowed_addresses=(), resolver=mixed, attempts=1)
    assert summary.reasons == {"private_address": 1}


def test_the_allow_list_opens_other_ports_only_for_mapped_hosts(fetch, provider):
    provider.answers["/x.jpg"] = Response(jpeg())
    port = provider.address.rsplit(":", 1)[1]
    rows = [("/a/1", "http://a.example/x.jpg", None), ("/a/2", f"http://127.0.0.1:{port}/x.jpg", None)]
    summary = fetch(rows, hosts={"http://a.example": provider.address})
    assert summary.usable == 1
    assert summary.reasons == {"bad_port": 1}
