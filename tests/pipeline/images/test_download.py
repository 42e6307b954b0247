"""What servers answer that no standard foresaw, byte for byte over loopback: pictures are had, nothing ends a run."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.headers import content_length, retry_after_s, validator
from pipeline.images.download import quoted, redirected
from pipeline.images.guard import Forbidden
from pipeline.tables import FETCHES
from tests.pipeline.images.pictures import jpeg
from tests.pipeline.images.raw import RawProvider, response, serving
from tests.support.examples import examples

zipped = partial(gzip.compress, mtime=0)  # without the time: equal bodies are equal bytes

A = "http://a.example"
PICTURE = jpeg(seed=11)
SHA256 = hashlib.sha256(PICTURE).hexdigest()
REASONS = {"bad_url", "bad_scheme", "bad_port", "broken_answer", "truncated_body", "too_large", "http_404", "http_301"}


@pytest.fixture
def provider() -> Iterator[RawProvider]:
    """A provider that answers byte for byte."""
    with serving(RawProvider()) as running:
        yield running


@pytest.fixture
def fetched(fetch, provider: RawProvider, tmp_path: Path):
    """The ledger's rows, in order, of some targets after they were fetched in one run; the answers are by target."""

    def run(answers: dict, *targets: str, **given) -> list[dict]:
        provider.answers.update(answers)
        targets = targets or tuple(answers)
        fetch([(f"/a/{number}", A + target, None) for number, target in enumerate(targets)], **{"attempts": 1, **given})
        rows = {row["url"]: row for row in FETCHES.read(tmp_path / "fetches.parquet").iter_rows(named=True)}
        return [rows[A + target] for target in targets]

    return run


def is_picture(row: dict) -> bool:
    """Whether the whole picture was stored."""
    return (row["state"], row["content_sha256"]) == ("fetched", SHA256)


def test_a_coding_that_is_none_leaves_the_picture_as_it_is(fetched):
    codings = ["none", "binary", "UTF-8", "image/jpeg", "identity", "utf-8, none", ""]
    answers = {f"/{place}.jpg": response(PICTURE, ("Content-Encoding", name)) for place, name in enumerate(codings)}
    for name, row in zip(codings, fetched(answers), strict=True):
        assert is_picture(row), name


def test_the_silent_fault_a_gzip_of_several_members_is_whole(fetched):
    members = b"".join(zipped(PICTURE[place : place + 500]) for place in range(0, len(PICTURE), 500))
    (row,) = fetched({"/x.jpg": response(members, ("Content-Encoding", "gzip"))})
    assert row["content_sha256"] != hashlib.sha256(PICTURE[:500]).hexdigest(), "only the first member was kept"
    assert is_picture(row)


def test_codings_are_undone(fetched):
    packed = [
        (["gzip", "gzip"], zipped(zipped(PICTURE))),
        (["gzip, identity"], zipped(PICTURE)),
        (["deflate"], zlib.compress(PICTURE)[2:-4]),
        (["DEFLATE"], zlib.compress(PICTURE)),
        (["gzip"], zipped(PICTURE) + b"\r\n\r\n"),
    ]
    answers = {
        f"/{place}.jpg": response(body, *[("Content-Encoding", name) for name in names])
        for place, (names, body) in enumerate(packed)
    }
    for (names, _), row in zip(packed, fetched(answers), strict=True):
        assert is_picture(row), names


def test_a_cut_stream_is_no_picture(fetched):
    members = zipped(PICTURE[:900]) + zipped(PICTURE[900:])
    answers = {f"/{cut}.jpg": response(members[:cut], ("Content-Encoding", "gzip")) for cut in (10, -4, -400)}
    answers["/short.jpg"] = response(PICTURE[:-50], ("Content-Length", str(len(PICTURE))))
    for row in fetched(answers):
        assert (row["state"], row["reason"]) == ("failed", "truncated_body"), row["url"]


def test_urls_are_escaped_as_browsers_do(fetched, provider):
    targets = {
        "/new scans/a b.jpg": "/new%20scans/a%20b.jpg",
        "/a%20b/c d.jpg?name=e f": "/a%20b/c%20d.jpg?name=e%20f",
        "/müller/ß.jpg": "/m%C3%BCller/%C3%9F.jpg",
        "/end.jpg ": "/end.jpg",
        "/line.jpg\n": "/line.jpg",
        "/x.jpg#view": "/x.jpg",
        "?id=1 2": "/?id=1%202",
    }
    for target, row in zip(targets, fetched(dict.fromkeys(targets.values(), response(PICTURE)), *targets), strict=True):
        assert is_picture(row), target
    assert sorted(provider.asked) == sorted(targets.values())


def test_redirects_lead_where_browsers_go(fetched, provider):
    locations = {
        "/y z.jpg": "/y%20z.jpg",
        "y z.jpg": "/folder/y%20z.jpg",
        "  /y.jpg  ": "/y.jpg",
        "../ä.jpg": "/%C3%A4.jpg",
        b"/\xe4.jpg": "/%E4.jpg",
        "?size=a b": "/folder/4?size=a%20b",
        "//a.example/w.jpg": "/w.jpg",
        f"{A}/v.jpg#top": "/v.jpg",
        "/already%20escaped%2Fonce.jpg": "/already%20escaped%2Fonce.jpg",
    }
    locations["?size=a b"] = f"/folder/{list(locations).index('?size=a b')}?size=a%20b"
    answers = {
        f"/folder/{place}": response(b"moved", ("Location", location), ("X-Name", b"\xe9"), status="302 Found")
        for place, location in enumerate(locations)
    }
    rows = fetched(answers | dict.fromkeys(locations.values(), response(PICTURE)), *answers)
    for location, row in zip(locations, rows, strict=True):
        assert is_picture(row), location
    assert set(locations.values()) < set(provider.asked)


def test_a_redirect_to_nowhere_is_a_typed_refusal(fetched):
    locations = [
        "http://[::1",
        "http://a.example:99999999/",
        "javascript:alert(1)",
        "http://[zz]/",
        "http:///x",
        "\u0085",
    ]
    answers = {
        f"/{place}": response(b"", ("Location", location), status="301 Moved")
        for place, location in enumerate(locations)
    }
    for location, row in zip(locations, fetched(answers), strict=True):
        assert (row["state"], row["reason"] in REASONS) == ("rejected", True), (location, row["reason"])


def needs_cookie(*set_cookie: str):
    """An answer that redirects to itself, until the cookie seen=1 is there."""

    def answer(headers: dict[str, str], before: int) -> bytes:
        if "seen=1" in headers.get("cookie", "").split("; "):
            return response(PICTURE)
        return response(b"", *[("Set-Cookie", each) for each in set_cookie], ("Location", ""), status="302 Found")

    return answer


def test_a_redirect_that_wants_its_cookie_back_gets_it(fetched, provider):
    lines = [
        ["seen=1"],
        ["seen=1; Path=/; HttpOnly; SameSite=Lax"],
        ["seen=1; Domain=a.example"],
        ["seen=1; Expires=nonsense; Max-Age=x"],
        ["\xff=\xfe", "=", "novalue", "seen=1"],
    ]
    rows = fetched({f"/{place}": needs_cookie(*set_cookie) for place, set_cookie in enumerate(lines)})
    for set_cookie, row in zip(lines, rows, strict=True):
        assert is_picture(row), set_cookie
    assert len(provider.asked) == 2 * len(lines)


def test_cookies_of_another_path_host_or_picture_are_not_sent(fetched, provider):
    def redirect(cookie: str, location: str) -> bytes:
        return response(b"", ("Set-Cookie", cookie), ("Location", location), status="302 Found")

    fetched(
        {
            "/login": redirect("seen=1; Path=/other", "/x.jpg"),
            "/far": redirect("far=1; Path=/", "http://b.example/x.jpg"),
            "/x.jpg": response(PICTURE),
        }
    )
    assert len(provider.asked) == 5
    assert not any("cookie" in headers for headers in provider.headers)


def test_a_redirect_for_ever_ends(fetched):
    (row,) = fetched({"/x.jpg": needs_cookie("seen=2")})
    assert (row["state"], row["reason"]) == ("rejected", "too_many_redirects")


def test_203_is_a_picture_that_a_proxy_passed_on_unless_it_is_a_page(fetched):
    status = "203 Non-Authoritative Information"
    page = response(b"<!DOCTYPE html><html>", status=status)
    picture, other = fetched({"/x.jpg": response(PICTURE, status=status), "/page.jpg": page})
    assert is_picture(picture)
    assert picture["http_status"] == 203
    assert (other["state"], other["reason"]) == ("rejected", "html")


def test_nonsense_in_content_length_is_typed(fetched):
    lengths = ["", "-5", "1e3", "12, 13", "99999999999999999999999", "abc", "\xb2"]
    answers = {f"/{place}": response(PICTURE, ("Content-Length", text)) for place, text in enumerate(lengths)}
    for row in fetched(answers):
        assert is_picture(row) or row["reason"] in REASONS


def test_nonsense_in_retry_after_is_typed(fetched):
    waits = ["Fri, 31 Dec 9999 23:59:59 +9999", "9" * 20, "-1", "soon", "nan", "inf", "\xb2", "1e9", "0"]
    answers = {
        f"/{place}": response(b"", ("Retry-After", wait.encode("latin-1")), status="503 Busy")
        for place, wait in enumerate(waits)
    }
    for row in fetched(answers):
        assert (row["state"], row["reason"]) == ("failed", "http_503")


def test_retry_after_is_read_as_seconds_or_a_date():
    assert retry_after_s("120") == retry_after_s(" 120 ") == 120
    assert retry_after_s("Mon, 01 Jan 1990 00:00:00 GMT") == 0
    assert retry_after_s("Thu, 01 Jan 2099 00:00:00 GMT") > 10**8
    for unread in (None, "", "later", "1e3", "-3", "Thu, 01 Jan 99999 00:00:00 GMT", "²"):
        assert retry_after_s(unread) is None


def test_an_etag_that_cannot_be_sent_back_is_not(fetched, provider):
    etags = [b'"\xe9\xff"', b'W/"caf\xc3\xa9"', b"x" * 5_000, b'"fine"']
    answers = {
        f"/{place}": response(PICTURE, ("ETag", etag), ("Last-Modified", b"\xff")) for place, etag in enumerate(etags)
    }
    fetched(answers)
    assert all(row["state"] == "fetched" for row in fetched(answers, refresh=True))
    sent = dict(zip(provider.asked[4:], provider.headers[4:], strict=True))
    assert [sent[target].get("if-none-match") for target in answers] == [None, None, None, '"fine"']
    assert not any("if-modified-since" in headers for headers in sent.values())


NAMES = ["Content-Encoding", "Content-Length", "Location", "Set-Cookie", "ETag", "Last-Modified", "X-Robots-Tag"]
NAMES += ["Retry-After", "tdm-reservation", "Transfer-Encoding", "Content-Type"]
WORDS = [
    b"gzip",
    b"deflate",
    b"identity",
    b"http://",
    b"[::1",
    b"//",
    b"..",
    b"/x.jpg",
    b"=",
    b";",
    b", ",
    b"%",
    b"Path=",
]
WORDS += [b"noai", b"chunked", b"31 Dec 9999 23:59:59", b"-1", b"99999999999", b"\xff", b"\xc3\xa9", b" ", b"\t", b'"']
VALUES = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=4)), max_size=5).map(b"".join)
HEADERS = st.lists(
    st.tuples(st.sampled_from(NAMES), VALUES.map(lambda value: value.translate(None, b"\r\n\0"))), max_size=5
)
STATUSES = st.sampled_from(
    ["200 OK", "203 Proxy", "301 Moved", "302 Found", "304 Same", "404 Gone", "429 Slow", "503 Busy"]
)


def test_whatever_the_headers_say_a_run_goes_on_to_its_end(fetch, provider, tmp_path):
    answers: list[bytes] = []

    @settings(max_examples=examples(200), database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(STATUSES, HEADERS, st.sampled_from([PICTURE, b"", zipped(PICTURE), PICTURE[:300]]))
    def collect(status: str, headers: list, body: bytes) -> None:
        answers.append(response(body, *headers, status=status))

    collect()
    rows = []
    for number, answer in enumerate(answers):
        provider.answers[f"/{number}.jpg"] = answer
        rows.append((f"/a/{number}", f"{A}/{number}.jpg", None))
    first = fetch(rows, attempts=1, timeout_s=2.0)
    second = fetch(rows, attempts=1, timeout_s=2.0, refresh=True)
    fetches = FETCHES.read(tmp_path / "fetches.parquet")
    assert len(fetches) == len(rows)
    assert sum(first.states.values()) == sum(second.states.values()) == len(rows)
    untyped = {reason for reason in fetches["reason"] if reason and not reason.replace("_", "").isalnum()}
    assert untyped == set()


@settings(max_examples=examples(200), deadline=2_000)
@given(st.text(max_size=60))
def test_every_text_is_an_url_or_forbidden(text: str):
    for spelled in (lambda: quoted(f"http://a.example/{text}"), lambda: quoted(redirected("http://a.example/x", text))):
        try:
            url = spelled()
        except Forbidden:
            continue
        assert quoted(url) == url
        assert " " not in url.partition("://")[2].partition("/")[2]


@settings(max_examples=examples(200), deadline=2_000)
@given(st.text(max_size=40))
def test_every_header_is_read_or_left(text: str):
    wait = retry_after_s(text)
    assert wait is None or wait >= 0
    assert content_length(text) >= 0
    assert validator(text) in (text, None)
