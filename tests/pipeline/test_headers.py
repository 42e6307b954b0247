"""Headers of strangers: read as their type or as nothing, and in one place."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.engine.project import ROOT
from pipeline.headers import AnswerHeaders
from pipeline.rate_limit import LONGEST_WINDOW_S, RateLimit, RatePolicy, read_rate_limit, read_rate_policy
from tests.support.examples import examples

NAMES = (
    "content-length", "content-encoding", "content-type", "location", "etag", "last-modified", "retry-after",
    "ratelimit", "set-cookie", "x-robots-tag", "tdm-reservation",
)  # fmt: skip
PROPERTIES = [name for name, value in vars(AnswerHeaders).items() if isinstance(value, property)]


def read(*headers: tuple[str, str | bytes]) -> AnswerHeaders:
    raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    return AnswerHeaders(raw)


def test_each_header_is_read_as_its_type():
    said = read(
        ("Content-Length", " 12 "), ("CONTENT-TYPE", "Image/JPEG; charset=x"), ("Location", b"/\xe4?"),
        ("ETag", '"a"'), ("Retry-After", "3"), ("X-Robots-Tag", "all"), ("X-Robots-Tag", "noAI"),
        ("Content-Encoding", "gzip"), ("Content-Encoding", "deflate"), ("Set-Cookie", "a=1"), ("Set-Cookie", b"\xff=2"),
    )  # fmt: skip
    assert (said.content_length, said.media_type, said.location, said.etag) == (12, "image/jpeg", "/%E4?", '"a"')
    assert (said.retry_after_s, said.opt_out, said.content_encoding) == (3.0, "robots", "gzip, deflate")
    assert (said.cookies, said.last_modified, said.rate_limit) == (["a=1"], None, None)


def test_without_headers_everything_stands_for_none():
    assert {name: getattr(read(), name) for name in PROPERTIES} == {
        "content_length": 0, "content_encoding": "identity", "media_type": None, "location": None, "etag": None,
        "last_modified": None, "retry_after_s": None, "rate_limit": None, "rate_limit_policy": None, "cookies": [],
        "opt_out": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("content_length", "9" * 5_000, 0),
        ("content_length", "²", 0),
        ("content_length", "5, 5", 0),
        ("retry_after_s", "Fri, 31 Dec 9999 23:59:59 +9999", None),
        ("retry_after_s", "9" * 400, None),
        ("etag", b'"\xe9"', None),
        ("last_modified", "x" * 5_000, None),
        ("media_type", "text/html/x", None),
    ],
)
def test_what_cannot_be_read_is_none(name: str, value: str | bytes, read_as: object):
    assert getattr(read((name.removesuffix("_s").replace("_", "-"), value)), name) == read_as


@settings(max_examples=examples(300), deadline=2_000)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=6))
def test_no_bytes_make_a_reader_fail(headers: list[tuple[str, bytes]]):
    said = read(*headers)
    for name in PROPERTIES:
        getattr(said, name)
    assert said.retry_after_s is None or said.retry_after_s >= 0
    read_rate_limit(said.rate_limit)


def test_nobody_waits_for_longer_than_a_window_of_requests():
    assert read_rate_limit('"p";r=0;t=999999999') == RateLimit(0, LONGEST_WINDOW_S)
    assert read_rate_limit(f'"p";r=0;t={"9" * 5_000}') is None
    assert read_rate_limit(f'"p";r={"9" * 5_000};t=1') is None


@pytest.mark.parametrize(
    ("what", "pattern", "places"),
    [
        ("headers of answers", r"(?<!request)\.headers(\.get\(|\[)|parsedate_to_datetime", {"pipeline/headers.py"}),
        (
            "decompression",
            r"gzip\.(open|decompress|GzipFile\()|zlib\.decompress|decompressobj|import (bz2|lzma|tarfile)",
            # writes a museum; bounded by its own limit, in the decoding process
            {"pipeline/encodings.py", "pipeline/sandbox/rendered.py", "pipeline/images/formats/png.py"},
        ),
        (
            "addresses",
            r"\.is_(global|private|link_local|reserved)\b",
            {"pipeline/addresses.py"},
        ),
    ],
)
def test_there_is_one_place_for_it(what: str, pattern: str, places: set[str]):
    """The sandbox answers requests, and reads their headers as Starlette gives them."""
    found = {
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "pipeline").rglob("*.py"))
        if re.search(pattern, Path(file).read_text(encoding="utf-8"))
    }
    ours = {name for name in found if not (name.startswith("pipeline/sandbox/") and what == "headers of answers")}
    assert ours <= places, what


@pytest.mark.parametrize(
    ("policy", "limit", "read"),
    [
        ('"personal";q=1000;w=3600', '"personal";r=998;t=60', RatePolicy("personal", 1000, 3600, 998, 60)),
        ('"project";q=10000;w=3600', None, RatePolicy("project", 10_000, 3600)),
        ("burst;q=10;w=1, personal;q=1000;w=3600", None, RatePolicy("personal", 1000, 3600)),
        ('"personal";q=1000;w=0', None, None),
        ('"personal";q=0;w=3600', None, None),  # hours are counted by it: a limit of none is no figure
        ("1000 an hour", '"personal";r=998;t=60', None),
        (None, None, None),
    ],
)
def test_the_stated_limit(policy: str | None, limit: str | None, read: RatePolicy | None):
    assert read_rate_policy(policy, limit) == read


@given(st.text(max_size=80))
def test_a_limit_in_any_form_is_read_or_not_there(text: str):
    policy = read_rate_policy(text, text)
    assert policy is None or policy.per_hour > 0
