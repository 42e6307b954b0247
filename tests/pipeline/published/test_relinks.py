"""The record behind each published row: every case has its status, and no address is asked for twice."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.harvest.europeana import EuropeanaClient
from pipeline.http import HttpClient
from pipeline.images.wanted import thumbnail_urls
from pipeline.published.addresses import address_of, spellings
from pipeline.published.lookup import Lookup
from pipeline.published.relinks import addresses_of, counts_of, lost_pictures, may_be_passed_on, relinks_of
from pipeline.sandbox.answers import Quota
from pipeline.settings import OPEN_RIGHTS, HarvestSettings, HttpSettings
from pipeline.tables import FETCHES, RELINKS
from tests.pipeline.published.conftest import CLOSED, OPEN, record
from tests.support.museum_server import running
from tests.support.published import thumbnail

KEY = "cAnary/key+42="
PLAIN = "https://m.example/plain.jpg"
ODD = 'http://m.example/a "b" (1)\\c:https://x?y=1&z=Ü'
CASES = {  # the address of the published row, and the status, property and spelling it must have
    "plain": (PLAIN, "found", "isShownBy", "exact"),
    "odd": (ODD, "found", "isShownBy", "exact"),
    "https": ("http://m.example/secure.jpg", "found", "isShownBy", "normalised"),
    "encoded": ("https://m.example/a%20b.jpg", "found", "isShownBy", "normalised"),
    "view": ("https://m.example/view.jpg", "found", "hasView", "exact"),
    "object": ("https://m.example/object.jpg", "found", "object", "exact"),
    "twice": ("https://m.example/twice.jpg", "several", "isShownBy", "exact"),
    "everywhere": ("https://m.example/no-picture.jpg", "several", "isShownBy", "exact"),
    "gone": ("https://m.example/gone.jpg", "gone", None, None),
    "never": ("https://m.example/never.jpg", "never_found", None, None),
    "no uri": (None, "no_address", None, None),
}


def records():
    shown = [PLAIN, ODD, "https://m.example/secure.jpg", "https://m.example/a b.jpg"]
    yield from (record(number, address) for number, address in enumerate(shown))
    yield record(10, "https://m.example/front.jpg", hasView=["https://m.example/view.jpg"], dataProvider=["Museum B"])
    object_ = CASES["object"][0]
    yield record(11, "https://m.example/new.jpg", edmObject=[object_], edmPreview=[thumbnail(object_)])
    yield record(12, CASES["twice"][0], dataProvider=["Museum B"], rights=[CLOSED])
    yield record(13, CASES["twice"][0], dataProvider=["museum  a"])
    yield from (record(number, CASES["everywhere"][0]) for number in range(100, 230))


def rows_of(cases) -> pl.DataFrame:
    urls = [
        thumbnail(case[0]) if case[0] else "https://api.europeana.eu/thumbnail/v2/url.json" for case in cases.values()
    ]
    rows = {"record_id": [*cases], "view": 0, "image_url": urls, "data_provider": "Museum A"}
    return addresses_of(pl.DataFrame(rows, schema_overrides={"view": pl.Int16}))


def fetches_of(rows: pl.DataFrame) -> pl.DataFrame:
    reasons = {"gone": ("http_404", "placeholder")}
    pairs = zip(rows["record_id"], rows["image_url"], strict=True)
    told = [
        (url, reason)
        for name, preview in pairs
        for url, reason in zip(thumbnail_urls(preview), reasons.get(name, (None, None)), strict=False)
    ]
    return FETCHES.frame([{"url": url, "reason": reason} for url, reason in told])


def client(address: str, key: str | None = None, **harvest) -> EuropeanaClient:
    http = HttpClient(HttpSettings(hosts={"*": address}, requests_per_second=1000.0, backoff_first_s=0.01))
    return EuropeanaClient(http, HarvestSettings(**harvest), key)


def looked_up(address: str, rows: pl.DataFrame, file: Path, **harvest) -> tuple[pl.DataFrame, Lookup]:
    with client(address, KEY, **harvest) as europeana:
        lookup = Lookup(europeana, file, HarvestSettings(**harvest))
        addresses = rows["address"].drop_nulls()
        lookup.run(addresses)
        return relinks_of(rows, lookup.answers(addresses), fetches_of(rows)), lookup


def test_every_case_has_its_status(museum_of, tmp_path: Path):
    rows, file = rows_of(CASES), tmp_path / "answers.jsonl"
    with running(museum_of([*records()]), api_key=KEY) as address:
        table, lookup = looked_up(address, rows, file)
    told = {row["record_id"]: row for row in table.to_dicts()}
    assert {name: (row["status"], row["by"], row["spelling"]) for name, row in told.items()} == {
        name: case[1:] for name, case in CASES.items()
    }
    assert told["plain"]["europeana_id"] == "/9/r00000"
    assert told["view"]["europeana_id"] == "/9/r00010"
    assert told["view"]["same_provider"] is False
    assert told["plain"]["same_provider"] is True
    assert told["twice"]["europeana_id"] == "/9/r00013"  # of the published keeper
    assert (told["twice"]["n_records"], told["twice"]["other_ids"]) == (2, ["/9/r00012"])
    assert told["twice"]["all_rights"] == [OPEN, CLOSED]
    assert told["everywhere"]["n_records"] == 130
    assert told["plain"]["attribution"] == f"Thing 0. Museum A. CC BY 4.0 ({OPEN})"
    assert RELINKS.write(table, tmp_path / "relinks.parquet")
    open_ = may_be_passed_on(table, OPEN_RIGHTS)["record_id"].to_list()
    # not "everywhere": of its 130 records only 20 are known
    assert open_ == ["encoded", "https", "object", "odd", "plain", "view"]
    assert dict(counts_of(table).select("status", "rows").iter_rows()) == Counter(case[1] for case in CASES.values())
    # one search, halved for the picture that 130 records have, one for the rest, one record
    assert lookup.requests < 15
    assert KEY not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("at_once", [1, 30])
def test_a_record_that_moved_to_https_is_found_by_its_views_too_and_once(museum_of, tmp_path: Path, at_once: int):
    front, back = "http://m.example/front.jpg", "http://m.example/back.jpg"
    cases = {"front": (front, "isShownBy", "normalised"), "back": (back, "hasView", "normalised")}
    secure = [address.replace("http", "https") for address in (front, back)]
    with running(museum_of([record(1, secure[0], hasView=[secure[1]])])) as address:
        table, _ = looked_up(address, rows_of(cases), tmp_path / "a.jsonl", addresses_per_search=at_once)
    told = {row["record_id"]: (row["by"], row["spelling"]) for row in table.to_dicts()}
    assert told == {name: case[1:] for name, case in cases.items()}
    assert set(table.select("status", "europeana_id", "n_records").iter_rows()) == {("found", "/9/r00001", 1)}


def test_pictures_that_could_not_be_had_are_counted_by_reason():
    rows = rows_of({name: CASES[name] for name in ("plain", "gone", "never")} | {"again": CASES["gone"]})
    assert lost_pictures(rows, fetches_of(rows)).rows() == [("placeholder", 2)]


def test_a_second_run_asks_nothing_and_new_rows_alone_are_asked(museum_of, tmp_path: Path):
    rows, file = rows_of(CASES), tmp_path / "answers.jsonl"
    more = {**CASES, "later": ("https://m.example/later.jpg", "never_found", None, None)}
    with running(museum_of([*records()])) as address:
        first, _ = looked_up(address, rows, file)
        again, lookup = looked_up(address, rows, file)
        assert again.equals(first)
        assert lookup.requests == 0
        assert looked_up(address, rows_of(more), file)[1].requests == 2  # as it is written, then otherwise
    with client("http://127.0.0.1:9") as nobody:  # what is stored is told without a server
        table = relinks_of(
            rows, Lookup(nobody, file, HarvestSettings()).answers(rows["address"].drop_nulls()), fetches_of(rows)
        )
    assert table.equals(first)


def test_thirty_addresses_are_one_request(museum_of, tmp_path: Path):
    cases = {f"r{n}": (f"https://m.example/{n}.jpg", "found", "isShownBy", "exact") for n in range(95)}
    museum = museum_of([record(n, f"https://m.example/{n}.jpg") for n in range(95)])
    with running(museum) as address:
        table, lookup = looked_up(address, rows_of(cases), tmp_path / "a.jsonl")
        assert lookup.requests == 4
        assert looked_up(address, rows_of(cases), tmp_path / "b.jsonl", addresses_per_search=10)[0].equals(table)
    assert set(table["status"]) == {"found"}


def test_the_quota_is_waited_for(museum_of, tmp_path: Path):
    cases = {f"r{n}": (f"https://m.example/{n}.jpg",) for n in range(6)}
    museum = museum_of([record(n, f"https://m.example/{n}.jpg") for n in range(6)])
    with running(museum, quota=Quota(requests=2, window_s=1)) as address:
        table, lookup = looked_up(address, rows_of(cases), tmp_path / "a.jsonl", addresses_per_search=1)
    assert set(table["status"]) == {"found"}
    assert lookup.requests == 6


def test_without_a_key_nothing_is_asked_and_it_says_so(tmp_path: Path):
    europeana = EuropeanaClient(HttpClient(HttpSettings()), HarvestSettings(), None)
    assert not europeana.may_ask
    rows = rows_of(CASES)
    lookup = Lookup(europeana, tmp_path / "a.jsonl", HarvestSettings())
    table = relinks_of(rows, lookup.answers(rows["address"].drop_nulls()), FETCHES.empty())
    assert dict(counts_of(table).select("status", "rows").iter_rows()) == {"no_address": 1, "not_asked": len(CASES) - 1}


def test_what_the_search_does_not_take_is_one_row_alone(museum_of, tmp_path: Path, monkeypatch):
    from pipeline.http import Refused

    bad = "https://m.example/bad.jpg"
    cases = {"good": (PLAIN,), "bad": (bad,), "other": ("https://m.example/b.jpg",)}
    ask = EuropeanaClient.with_values

    def refusing(self, values):
        if any(bad in given for given in values.values()):
            raise Refused(400, "400-SA", "Invalid search query")
        return ask(self, values)

    monkeypatch.setattr(EuropeanaClient, "with_values", refusing)
    with running(museum_of([record(1, PLAIN)])) as address:
        table, _ = looked_up(address, rows_of(cases), tmp_path / "a.jsonl")
    assert dict(table.select("record_id", "status").iter_rows()) == {
        "bad": "refused", "good": "found", "other": "never_found"
    }  # fmt: skip


class Counted:
    """Notes the addresses of every search and the records that are asked for."""

    def __init__(self, app: ASGIApp, asked: list[str]) -> None:
        self.app, self.asked = app, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("search.json"):
            self.asked.append(scope["path"])
            await self.app(scope, receive, send)
            return
        message = await receive()
        self.asked.append(json.loads(message["body"])["query"])

        async def again():
            return message

        await self.app(scope, again, send)


KILLED = """
import os, signal, sys
from pathlib import Path
import polars as pl
from pipeline.vocabulary.cache import DatedCache
from tests.pipeline.published.test_relinks import looked_up
add, left = DatedCache.add, [int(sys.argv[4])]
def then_killed(self, answers):
    add(self, answers)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
DatedCache.add = then_killed
looked_up(sys.argv[1], pl.read_parquet(sys.argv[2]), Path(sys.argv[3]), addresses_per_search=4)
"""


@pytest.mark.parametrize("after", [2, 6, 9], ids=["addresses", "other spellings", "records"])
def test_a_killed_run_loses_and_repeats_nothing(museum_of, tmp_path: Path, monkeypatch, after: int):
    views = [f"https://m.example/view{n}.jpg" for n in range(4)]
    cases = {f"view{n}": (view, "found", "hasView", "exact") for n, view in enumerate(views)}
    cases |= {f"plain{n}": (f"https://m.example/{n}.jpg", "found", "isShownBy", "exact") for n in range(12)}
    cases |= {f"never{n}": (f"https://m.example/n{n}.jpg", "never_found", None, None) for n in range(4)}
    museum = [record(n, f"https://m.example/{n}.jpg") for n in range(12)]
    museum += [record(50 + n, f"https://m.example/front{n}.jpg", hasView=[view]) for n, view in enumerate(views)]
    rows, file, asked = rows_of(cases), tmp_path / "rows.parquet", list[str]()
    rows.write_parquet(file)
    monkeypatch.setattr("tests.support.museum_server._troubled", lambda app, *_: Counted(app, asked))
    with running(museum_of(museum)) as address:
        whole, _ = looked_up(address, rows, tmp_path / "whole.jsonl", addresses_per_search=4)
        at_once = sorted(asked)
        asked.clear()
        command = [sys.executable, "-c", KILLED, address, str(file), str(tmp_path / "killed.jsonl"), str(after)]
        assert subprocess.run(command, timeout=60, check=False).returncode == -9
        assert 0 < len(asked) < len(at_once)
        resumed, _ = looked_up(address, rows, tmp_path / "killed.jsonl", addresses_per_search=4)
    assert sorted(asked) == at_once
    assert resumed.equals(whole)
    assert {row["record_id"]: row["status"] for row in whole.to_dicts()} == {k: case[1] for k, case in cases.items()}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (thumbnail("https://a.example/1?b=2&c=3"), "https://a.example/1?b=2&c=3"),
        ("https://api.europeana.eu/api/v2/thumbnail-by-url.json?size=w400&uri=http%3A%2F%2Fa.example", "http://a.example"),
        ("https://api.europeana.eu/thumbnail/v2/url.json?type=IMAGE", None),
        ("https://a.example/1.jpg", None),
        (thumbnail("urn:a:b"), None),
        (thumbnail("https://a.example/\n1.jpg"), None),
        ("https://[a/thumbnail?uri=https%3A%2F%2Fa.example", None),
        ("", None),
    ],
    ids=["query", "old", "no uri", "no thumbnail", "urn", "newline", "bracket", "empty"],
)  # fmt: skip
def test_the_address_inside_a_thumbnails_url(url: str, address: str | None):
    assert address_of(url) == address


def test_spellings_are_few_and_lead_back():
    for address in (PLAIN, ODD, "HTTP://A.example:80/x%20y/?a=%C3%9C&amp;b#c", "https://[::1", "https://a/%0A"):
        others = spellings(address)
        assert len(others) <= 7
        assert address not in others
        assert len(set(others)) == len(others)
    assert "https://a.example/x y?a=Ü&b" in spellings(
        "HTTP://A.example:80/x%20y/?a=%C3%9C&amp;b#c".replace("HTTP", "http")
    )
