"""The local museum and strangers: other pages of a browser, other names, queries that reach out or never end, links."""

import gzip
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pyoxigraph
import pytest

from pipeline.sandbox import folder as museum_folder
from pipeline.sandbox.folder import MuseumError, MuseumFolder
from pipeline.sandbox.thesaurus import SparqlApi, SparqlLimits
from pipeline.vocabulary.dump import DumpError, DumpSource
from tests.support.museum_server import running
from tests.support.synthetic import SyntheticMuseum

CROSS_JOIN = "SELECT (COUNT(*) AS ?n) { ?a ?p ?o . ?b ?q ?r . ?c ?s ?t . ?d ?u ?v }"
SORTED = "SELECT * { ?a ?p ?o . ?b ?q ?r . ?c ?s ?t } ORDER BY ?t ?r ?o"
TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://vocab.getty.edu/ontology#Concept>"


@pytest.fixture(scope="module")
def api() -> SparqlApi:
    """An endpoint over a small thesaurus, with two seconds a query."""
    store = pyoxigraph.Store()
    a = pyoxigraph.NamedNode("http://vocab.getty.edu/aat/300000001")
    for number in range(3_000):
        store.add(pyoxigraph.Quad(a, pyoxigraph.NamedNode(f"http://x/{number}"), pyoxigraph.Literal(str(number))))
    return SparqlApi(store, SparqlLimits(seconds=2))


@pytest.fixture
def inner() -> Iterator[tuple[str, list[bool]]]:
    """A service inside of the network that must not be asked, and whether it was."""
    asked: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # closed at the end of the test
                asked.append(True)
                connection.close()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def answered(api: SparqlApi, query: str) -> tuple[int, bytes]:
    response = api._answer(query, "application/sparql-results+json")
    return response.status_code, bytes(response.body)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { SERVICE <http://ADDRESS/> { ?s ?p ?o } }",
        "SELECT * { SERVICE SILENT <http://ADDRESS/> { ?s ?p ?o } }",
        "SELECT * { BIND(<http://ADDRESS/> AS ?x) SERVICE ?x { ?s ?p ?o } }",
        "SELECT * { \\u0053ERVICE <http://ADDRESS/> { ?s ?p ?o } }",
        "SELECT * { { SELECT * { ?a ?b ?c FILTER(?c<1) SERVICE SILENT <http://ADDRESS/> { ?s ?p ?o } } } }",
        "ASK { service <http://ADDRESS/> { ?s ?p ?o } }",
    ],
)
def test_a_query_reaches_no_other_server(api: SparqlApi, inner: tuple[str, list[bool]], query: str):
    address, asked = inner
    status, body = answered(api, query.replace("ADDRESS", address))
    assert (status, asked) in ((400, []), (200, []), (503, [])), body
    assert answered(api, "ASK { ?s ?p ?o }") == (200, b'{"head":{},"boolean":true}')


@pytest.mark.parametrize("query", [CROSS_JOIN, SORTED])
def test_a_query_that_never_ends_is_ended_and_the_next_one_answered(api: SparqlApi, query: str):
    started = time.monotonic()
    status, body = answered(api, query)
    assert status == 503
    assert b"QUERY NOT ANSWERED" in body
    assert time.monotonic() - started < 20
    assert answered(api, "ASK { ?s ?p ?o }")[0] == 200


def test_a_query_that_takes_too_much_memory_is_ended(api: SparqlApi):
    small = SparqlApi(api.thesaurus, SparqlLimits(seconds=20, memory_mb=300))
    assert answered(small, SORTED)[0] == 503
    assert answered(small, "ASK { ?s ?p ?o }")[0] == 200


def test_a_process_that_ends_before_it_has_the_thesaurus_is_told_and_the_next_one_answers(
    api: SparqlApi, monkeypatch: pytest.MonkeyPatch
):
    mine = SparqlApi(api.thesaurus)  # larger than a pipe holds
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/bin/false")
        status, body = answered(mine, "ASK { ?s ?p ?o }")
    assert (status, body.endswith(b"(exit code 1)")) == (503, True)
    assert answered(mine, "ASK { ?s ?p ?o }")[0] == 200


def test_no_process_outlives_the_endpoint(api: SparqlApi):
    mine = SparqlApi(api.thesaurus)
    assert answered(mine, "ASK { ?s ?p ?o }")[0] == 200
    (process,) = [each for each in psutil.Process().children() if each.pid == mine._process.pid]  # type: ignore[union-attr]
    del mine
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(SyntheticMuseum(3)) as url:
        yield url


@pytest.mark.parametrize(
    "path", ["/sparql?query=ASK%20%7B%7D", "/record/v2/search.json?query=*", "/thumbnail/v3/200/0"]
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
def test_other_names_and_other_pages_are_refused(address: str, path: str, headers: dict[str, str], status: int):
    assert httpx.get(address + path, headers=headers).status_code == status
    assert httpx.get(address + path).status_code not in (403, 421)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A museum of one record and one image."""
    museum = tmp_path / "museum"
    (museum / "media").mkdir(parents=True)
    (museum / "media" / "a.jpg").write_bytes(b"a")
    (museum / "records.jsonl").write_text('{"id": "/1/a"}\n')
    (museum / "media.csv").write_text("url,file\nhttps://m.example/a.jpg,a.jpg\n")
    return museum


def test_media_that_lead_out_of_the_folder_are_refused(folder: Path, tmp_path: Path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.jpg").write_bytes(b"secret")
    (folder / "media" / "a.jpg").unlink()
    (folder / "media").rmdir()
    (folder / "media").symlink_to(tmp_path / "secret")
    with pytest.raises(MuseumError, match=r"media is a link out of the folder"):
        MuseumFolder(folder)


@pytest.mark.parametrize(
    "name", ["media/b.jpg", "records.jsonl", "open_rights.txt", "x.nt", "entities.jsonl", "media.csv"]
)
def test_no_file_of_a_museum_is_a_link_out_of_it(folder: Path, tmp_path: Path, name: str):
    (tmp_path / "secret").write_text("secret: 1\n")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "secret")
    with (folder / "media.csv").open("a") if name != "media.csv" else (tmp_path / "x").open("w") as rows:
        rows.write("https://m.example/b.jpg,b.jpg\n")
    with pytest.raises(MuseumError) as refused:
        MuseumFolder(folder)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("file", ["/etc/hostname", "../records.jsonl", "../../secret", "a/../../records.jsonl", ""])
def test_names_in_media_csv_stay_in_the_folder(folder: Path, tmp_path: Path, file: str):
    (tmp_path / "secret").write_text("x")
    (folder / "media.csv").write_text(f"url,file\nhttps://m.example/b.jpg,{file}\n")
    with pytest.raises(MuseumError, match="line 2"):
        MuseumFolder(folder)


def test_links_inside_the_folder_are_followed(folder: Path, tmp_path: Path):
    (folder / "media" / "b.jpg").symlink_to(folder / "media" / "a.jpg")
    (folder / "media.csv").write_text("url,file\nhttps://m.example/b.jpg,b.jpg\n")
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    assert MuseumFolder(linked).media["https://m.example/b.jpg"].read_bytes() == b"a"


@pytest.mark.parametrize(
    "content",
    [f"<http://vocab.getty.edu/aat/300000001> {TYPE} .\n".encode() * 400_000, b"<http://" + b"a" * 40_000_000],
    ids=["lines", "one line"],
)  # fmt: skip
def test_a_dump_that_is_a_bomb_is_refused(folder: Path, tmp_path: Path, content: bytes):
    file = tmp_path / "aat.nt.gz"
    file.write_bytes(gzip.compress(content, mtime=0))
    assert file.stat().st_size < 1_000_000
    with pytest.raises(DumpError, match=r"aat.nt.gz (has more than 1000000 bytes after decompression|is damaged)"):
        DumpSource([file], max_bytes=1_000_000).subjects  # noqa: B018
    if b"\n" not in content:  # a statement without an end
        with pytest.raises(DumpError, match="is damaged"):
            DumpSource([file]).subjects  # noqa: B018
        (folder / "aat.nt.gz").write_bytes(file.read_bytes())
        with pytest.raises(MuseumError, match="is not N-Triples"):
            MuseumFolder(folder)


@pytest.mark.parametrize("name", ["aat.nt", "aat.nt.gz"])
def test_a_thesaurus_that_is_too_long_is_told_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    content = f"<http://vocab.getty.edu/aat/300000001> {TYPE} .\n".encode() * 100
    (folder / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    MuseumFolder(folder)
    monkeypatch.setattr(museum_folder, "MAX_THESAURUS_BYTES", 1_000)
    with pytest.raises(MuseumError, match=r"aat\.nt.* is not read: it has more than 1000 bytes"):
        MuseumFolder(folder)
