"""A key goes to Europeana and nowhere else: it is in nothing that a run writes, however that is packed or spelt."""

import base64
import gzip
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.assets.conftest import KEY, WRONG_KEY, Runs

pytestmark = pytest.mark.xdist_group("runs")


def spellings(key: str) -> set[bytes]:
    """The key raw, URL-encoded once and twice, and in base64 at each place it may have inside a longer text."""
    once = quote(key, safe="")
    in_urls = (once, once.lower(), quote(key), quote_plus(key), quote(once))  # a slash may stay as it is
    found = {key.encode(), *(each.encode() for each in in_urls)}
    for data in (key.encode(), once.encode()):
        for skipped in range(3):
            encoded = base64.b64encode(b"\0" * skipped + data)
            middle = encoded[4 if skipped else 0 :].rstrip(b"=")[:-2]  # without what a neighbour shares bits with
            found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def contents(file: Path) -> Iterator[bytes]:
    """What a file holds: its name, its bytes, and what is packed in them."""
    content = file.read_bytes()
    yield file.name.encode()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"PAR1"):
        yield repr(pq.read_schema(file).metadata).encode()
        for batch in pq.ParquetFile(file).iter_batches():
            yield repr(batch.to_pylist()).encode()
    elif content.startswith(b"SQLite format 3"):
        yield from cells(file)


def cells(database: Path) -> Iterator[bytes]:
    """Every cell of every table; Dagster packs some of them with zlib."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in connection.execute(f'select * from "{table}"'):
                for cell in row:
                    data = cell if isinstance(cell, bytes) else str(cell).encode()
                    yield data
                    if data[:1] == b"\x78":
                        yield zlib.decompress(data)
    finally:
        connection.close()


def found_in(folder: Path, key: str) -> list[str]:
    """The files below a folder that hold the key in any spelling."""
    looked_for = spellings(key)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [
        str(file.relative_to(folder))
        for file in files
        if any(spelling in content for content in contents(file) for spelling in looked_for)
    ]


def test_the_museum_gives_the_key_back_as_europeana_does(address: str):
    """Else the search below would find nothing because there is nothing to find."""
    asked = {"query": "*", "rows": "1", "cursor": "*"}
    answer = httpx.get(f"{address}/record/v2/search.json", params=asked, headers={"X-Api-Key": KEY}).json()
    assert answer["apikey"] == KEY
    assert KEY in answer["items"][0]["link"] or quote(KEY, safe="") in answer["items"][0]["link"]
    assert KEY in answer["items"][0]["guid"] or quote(KEY, safe="") in answer["items"][0]["guid"]


@pytest.mark.parametrize("key", [KEY, WRONG_KEY])
def test_no_run_writes_its_key(runs: Runs, key: str):
    kinds = {file.suffix for file in runs.folder.rglob("*") if file.is_file()}
    assert {".gz", ".parquet", ".db", ".err", ".json", ".jsonl"} <= kinds
    assert found_in(runs.folder, key) == []


def test_what_libraries_log_is_in_dagsters_database(runs: Runs):
    """The search looks at a database that holds each request: so it would see a key in one."""
    logged = b"".join(cell for file in sorted((runs.folder / "good" / "history").rglob("*.db")) for cell in cells(file))
    assert b"receive_response_headers" in logged
    assert b"HTTP Request: GET http://127.0.0.1" in logged


def test_the_search_finds_a_key_wherever_one_is_planted(tmp_path: Path):
    pq.write_table(pa.table({"a": [f"?wskey={quote(KEY)}"]}), tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(f'{{"apikey":"{KEY}"}}'.encode()))
    (tmp_path / "c.log").write_bytes(b"Basic " + base64.b64encode(b"me:" + KEY.encode()))
    (tmp_path / "d.log").write_bytes(b"Basic " + base64.b64encode(b"me, " + KEY.encode() + b" it is"))
    (tmp_path / "e.log").write_bytes(b"Basic " + base64.urlsafe_b64encode(b"about me:" + KEY.encode() + b" it is"))
    with sqlite3.connect(tmp_path / "f.db") as database:
        database.execute("create table snapshots (body blob)")
        database.execute("insert into snapshots values (?)", (zlib.compress(KEY.encode() * 3),))
    database.close()
    (tmp_path / "g.txt").write_text(quote_plus(KEY).lower())
    (tmp_path / "h.txt").write_text("nothing")
    assert found_in(tmp_path, KEY) == [
        "a.parquet", "b.json.gz", "c.log", "d.log", "e.log", "f.db", "g.txt",
    ]  # fmt: skip
