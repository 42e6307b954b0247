"""Getty away: old answers serve and are told, a dump stands in, and the activity stream says what has changed."""

import os
import threading
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from pipeline.http import GaveUp, HttpClient, HttpError
from pipeline.settings import VocabularySettings
from pipeline.vocabulary.archive import ArchiveError, age_in_days, fetch_archive, note_of, read_note
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.getty import GettySource
from pipeline.vocabulary.source import DumpThenEndpoint
from tests.pipeline.vocabulary.test_getty import ALL, FAST, Endpoint, source

STREAM = "https://data.getty.edu/vocab/activity-stream"
LATER = "2027-06-01"  # 190 days after the answers of `source`


def reset(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("connection reset", request=request)


def gone(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to host", request=request)


OUTAGES = {
    "unreachable": (gone, "is not reached after 4 attempts"),
    "reset": (reset, "is not reached after 4 attempts"),
    "503 for days": (lambda _: httpx.Response(503, text="Service Unavailable"), "after 4 attempts: HTTP 503"),
    "a page about the outage": (
        lambda _: httpx.Response(200, html="<h1>Service temporarily degraded</h1>"),
        r"HTTP 200 with a broken body \(text/html\)",
    ),
    "robots refused": (lambda _: httpx.Response(403, text="Automated access is not allowed"), "HTTP 403"),
    "too many requests, always": (lambda _: httpx.Response(429), "HTTP 429 again after"),
}


@pytest.fixture
def endpoint(thesaurus_file) -> Endpoint:
    return Endpoint(thesaurus_file)


class Hurried:
    """A clock on which waiting takes no time."""

    time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def at(answer, cache: Path, day: str, **more) -> GettySource:
    settings = {name: more.pop(name) for name in ("batch_size", "changes") if name in more}
    http = HttpClient(FAST, transport=httpx.MockTransport(answer), clock=Hurried())
    return GettySource(http, VocabularySettings(**settings), cache, today=lambda: date.fromisoformat(day), **more)


@pytest.mark.parametrize("outage", OUTAGES)
def test_old_answers_serve_and_are_told(endpoint, tmp_path: Path, outage: str):
    answer, said = OUTAGES[outage]
    before = source(endpoint, tmp_path).concepts(ALL)
    getty = at(answer, tmp_path, LATER)
    assert getty.concepts(ALL).equals(before)
    told = getty.lookup.metadata()
    assert (told["stale_answers"], told["not_asked"], told["oldest_answer"]) == (10, 0, "2026-11-23")
    assert httpx.URL("https://vocab.getty.edu/sparql").host in told["endpoint_trouble"]
    with pytest.raises(HttpError, match=said):
        at(answer, tmp_path / "empty", LATER).concepts(ALL)


def test_after_the_first_failure_nothing_is_asked(endpoint, tmp_path: Path):
    source(endpoint, tmp_path).concepts(ALL)
    asked: list[httpx.Request] = []

    def refuses(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(403)

    at(refuses, tmp_path, LATER, batch_size=1).concepts(ALL)
    assert len(asked) == 1


def test_a_subject_that_was_never_answered_is_an_error_also_later_in_the_walk(endpoint, tmp_path: Path):
    """The id is stored and its parent is not: the outage is told, and no half of a path is given out."""
    source(endpoint, tmp_path).concepts(ALL)
    lines = (tmp_path / "aat.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "aat.jsonl").write_text("".join(line for line in lines if '"300191086"' not in line.split(",")[0]))
    with pytest.raises(GaveUp, match="The subject 300191086 is not stored either"):
        at(gone, tmp_path, LATER).concepts(ALL)


def test_when_getty_is_back_it_is_asked_again(endpoint, small, tmp_path: Path):
    source(endpoint, tmp_path).concepts(ALL)
    at(gone, tmp_path, LATER).concepts(ALL)
    n = len(endpoint.requests)
    getty = at(endpoint, tmp_path, LATER)
    assert getty.concepts(ALL).equals(small.concepts(ALL))
    assert len(endpoint.requests) > n
    assert getty.lookup.metadata() == {}


@pytest.fixture
def older_dump(thesaurus_file: Path, tmp_path: Path) -> DumpSource:
    """A dump from before bronze had its number."""
    lines = thesaurus_file.read_text(encoding="utf-8").splitlines(keepends=True)
    file = tmp_path / "older.nt"
    file.write_text("".join(line for line in lines if not line.startswith("<http://vocab.getty.edu/aat/300010957>")))
    return DumpSource([file])


def test_the_endpoint_fills_in_what_the_dump_does_not_know(endpoint, older_dump, small, tmp_path: Path):
    both = DumpThenEndpoint(older_dump, source(endpoint, tmp_path))
    assert both.concepts(ALL).equals(small.concepts(ALL))
    asked = {word for request in endpoint.requests for word in endpoint.query(request).split() if "aat:3" in word}
    assert asked == {"aat:300010957", "aat:300999999"}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_dump_does_not_need_the_endpoint(older_dump, small, tmp_path: Path, outage: str):
    both = DumpThenEndpoint(older_dump, at(OUTAGES[outage][0], tmp_path, LATER, need_not_answer=True))
    rows = both.concepts(ALL)
    assert "300010957" not in rows["concept_id"]
    assert rows.height == small.concepts(ALL).height - 3  # nor what stands above it
    assert both.lookup.unknown == {"300010957", "300999999"}
    assert both.lookup.metadata()["not_asked"] == 2
    alone = DumpThenEndpoint(older_dump, None)
    assert alone.concepts(ALL).equals(rows)
    assert alone.lookup.metadata() == {}


class Stream:
    """Getty's activity stream in pages of two, and the endpoint beside it."""

    def __init__(self, endpoint: Endpoint, items: list[tuple[str, str, str]]) -> None:
        self.endpoint = endpoint
        self.pages = [items[at : at + 2] for at in range(0, len(items), 2)]
        self.read: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "data.getty.edu":
            return self.endpoint(request)
        self.read.append(request.url.path.rpartition("/")[2])
        last = f"{STREAM}/page/{len(self.pages)}"
        if str(request.url) == STREAM:
            return httpx.Response(200, json={"type": "OrderedCollection", "last": {"id": last}})
        number = int(request.url.path.rpartition("/")[2])
        items = [
            {"id": f"urn:{day}", "type": kind, "created": f"{day}T08:00:00", "endTime": f"{day}T09:00:00",
             "object": {"id": f"https://data.getty.edu/vocab/{name}", "type": "Type"}}
            for kind, name, day in self.pages[number - 1]
        ]  # fmt: skip
        page = {"type": "OrderedCollectionPage", "id": str(request.url), "orderedItems": items}
        prev = {"prev": {"id": f"{STREAM}/page/{number - 1}", "type": "OrderedCollectionPage"}} if number > 1 else {}
        return httpx.Response(200, json=page | prev)


CHANGES = [
    ("Create", "aat/300010957", "2020-01-01"),
    ("Update", "ulan/500115588", "2026-05-01"),
    ("Update", "aat/300010957", "2026-12-24"),
    ("Update", "tgn/7008038", "2026-12-25"),
    ("Delete", "aat/300010959", "2026-12-26"),
]


def asked_for(endpoint: Endpoint, begin: int) -> set[str]:
    words = (word for request in endpoint.requests[begin:] for word in endpoint.query(request).split())
    return {word for word in words if word.startswith("aat:3")}


def test_the_stream_says_what_is_asked_again_and_age_does_not(endpoint, tmp_path: Path):
    before = source(endpoint, tmp_path).concepts(ALL)
    n, stream = len(endpoint.requests), Stream(endpoint, CHANGES)
    assert at(stream, tmp_path, LATER, changes=STREAM).concepts(ALL).equals(before)
    assert asked_for(endpoint, n) == {"aat:300010957", "aat:300010959"}
    assert stream.read == ["activity-stream", "3", "2", "1"]

    n = len(endpoint.requests)
    stream = Stream(endpoint, [*CHANGES, ("Update", "aat/300264091", "2027-08-02")])
    assert at(stream, tmp_path, "2027-09-01", changes=STREAM).concepts(ALL).equals(before)
    assert asked_for(endpoint, n) == {"aat:300264091"}
    assert stream.read == ["activity-stream", "3"]  # it goes back to where it was read last


@pytest.mark.parametrize(
    "said",
    [
        {"html": "<h1>Service temporarily degraded</h1>"},
        {"json": ["no collection"]},
        {"json": {"type": "OrderedCollectionPage", "orderedItems": 5}},
    ],
    ids=["a page about the outage", "a list", "a number"],
)
def test_without_the_stream_the_age_counts(endpoint, tmp_path: Path, said: dict):
    source(endpoint, tmp_path).concepts(ALL)

    def no_stream(request: httpx.Request) -> httpx.Response:
        if request.url.host == "data.getty.edu":
            return httpx.Response(200, **said)
        return endpoint(request)

    n = len(endpoint.requests)
    at(no_stream, tmp_path, "2026-12-01", changes=STREAM).concepts(ALL)
    assert len(endpoint.requests) == n
    at(no_stream, tmp_path, LATER, changes=STREAM).concepts(ALL)
    assert len(asked_for(endpoint, n)) == 10


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/explicit.zip"
        server.shutdown()


def an_archive(file: Path, thesaurus: Path, leave_out: str = "") -> None:
    names = ("AATOut_1Subjects.nt", "AATOut_2Terms.nt", "AATOut_HierarchicalRels.nt")
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            if name != leave_out:
                content = thesaurus.read_bytes() if "Subjects" in name else b""
                archive.writestr(zipfile.ZipInfo(name, (2026, 8, 1, 0, 0, 0)), content)


def test_the_archive_is_fetched_with_its_checksum_and_read(served, thesaurus_file, small, tmp_path: Path):
    folder, address = served
    an_archive(folder / "explicit.zip", thesaurus_file)
    file, note = fetch_archive(tmp_path / "cache", address, today=lambda: date(2026, 11, 30))
    assert read_note(file) == note
    assert (note.fetched_on, note.size) == ("2026-11-30", file.stat().st_size)
    assert DumpSource([file]).all_concepts().equals(small.all_concepts())
    assert age_in_days(file, date(2026, 11, 30)) == 121
    assert fetch_archive(tmp_path / "cache", address, note.sha256.upper())[1].sha256 == note.sha256


def test_a_mirrors_password_is_neither_kept_nor_told(served, thesaurus_file, tmp_path: Path):
    folder, address = served
    an_archive(folder / "explicit.zip", thesaurus_file)
    with_password = address.replace("://", "://me:secret@")
    assert fetch_archive(tmp_path / "cache", with_password)[1].address == address
    with pytest.raises(ArchiveError, match="has the checksum") as error:
        fetch_archive(tmp_path / "cache", with_password, "0" * 64)
    assert "secret" not in str(error.value) + note_of(tmp_path / "cache" / "explicit.zip").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("leave_out", "sha256", "said"),
    [
        (None, None, "gives no zip, but perhaps a page about an outage"),
        ("a version to come", None, "gives no zip"),
        ("AATOut_2Terms.nt", None, "holds no terms"),
        ("", "0" * 64, "has the checksum [0-9a-f]{64}, not 0000"),
    ],
)
def test_what_is_no_archive_is_not_stored(served, thesaurus_file, tmp_path: Path, leave_out, sha256, said: str):
    folder, address = served
    if leave_out is None:
        (folder / "explicit.zip").write_text("<h1>Service temporarily degraded</h1>")
    else:
        an_archive(folder / "explicit.zip", thesaurus_file, leave_out)
    if leave_out == "a version to come":
        content = bytearray((folder / "explicit.zip").read_bytes())
        content[content.find(b"PK\x01\x02") + 6] = 200
        (folder / "explicit.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=said):
        fetch_archive(tmp_path / "cache", address, sha256)
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_that_cannot_be_had_is_told(tmp_path: Path):
    with pytest.raises(ArchiveError, match=r"was not had \(ConnectionError\)"):
        fetch_archive(tmp_path, "http://127.0.0.1:9/explicit.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_dump_is_as_old_as_its_file(thesaurus_file: Path):
    day = date(2026, 11, 30)
    moment = (day - timedelta(days=10) - date(1970, 1, 1)).total_seconds()
    os.utime(thesaurus_file, (moment, moment))
    assert age_in_days(thesaurus_file, day) == 10
    assert not note_of(thesaurus_file).exists()
    assert read_note(thesaurus_file) is None
