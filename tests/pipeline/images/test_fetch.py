"""Fetching: what is asked, how often, what is kept, and that interruptions leave no trace."""

import gzip
import hashlib
import random
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.files import sha256_of
from pipeline.http_errors import NoFirstAnswer
from pipeline.images import fetch as fetch_module
from pipeline.tables import FETCHES, IMAGES
from pipeline.waits import Patience
from tests.pipeline.images.pictures import REJECTED, jpeg
from tests.pipeline.images.provider import Provider, serving

A = "http://a.example"


def images_of(folder: Path) -> pl.DataFrame:
    return IMAGES.read(folder / "images")


def ledger_of(folder: Path) -> dict[str, dict]:
    return {row["url"]: row for row in FETCHES.read(folder / "fetches.parquet").iter_rows(named=True)}


def test_an_image_is_stored_under_the_hash_of_its_source(fetch, provider, tmp_path):
    provider.answers["/x.jpg"] = Response(jpeg(), headers={"content-type": "text/html"})  # content types lie
    summary = fetch([("/a/1", f"{A}/x.jpg", None)])
    (row,) = images_of(tmp_path).iter_rows(named=True)
    assert summary.usable == summary.requests == summary.shards == 1
    assert row["image_id"] == hashlib.sha256(jpeg()).hexdigest()
    assert row["image"]["path"] == f"{row['image_id']}.jpg"
    assert (row["record_id"], row["view"], row["width"], row["height"]) == ("/a/1", 0, 60, 40)
    assert row["source_url"] == f"{A}/x.jpg"
    assert ledger_of(tmp_path)[f"{A}/x.jpg"]["state"] == "fetched"


def test_the_requests_say_who_asks(fetch, provider):
    provider.answers["/x.jpg"] = Response(jpeg())
    fetch([("/a/1", f"{A}/x.jpg", None)])
    sent = provider.headers["/x.jpg"]
    assert sent["user-agent"].startswith("eufcc/")
    assert "+https://" in sent["user-agent"]
    assert sent["x-original-host"] == A


def test_a_second_run_asks_nothing_and_changes_nothing(fetch, provider, tmp_path):
    provider.answers["/x.jpg"] = Response(jpeg())
    rows = [("/a/1", f"{A}/x.jpg", None), ("/a/2", f"{A}/gone.jpg", None)]
    fetch(rows)
    before = sha256_of(tmp_path / "images")
    assert fetch(rows).requests == 0
    assert sha256_of(tmp_path / "images") == before


def test_transient_errors_are_tried_again_and_permanent_ones_are_not(fetch, provider, tmp_path):
    provider.answers["/busy.jpg"] = lambda request, before: Response(jpeg(), 200 if before == 2 else 503)
    provider.answers["/never.jpg"] = Response(status_code=503)
    summary = fetch(
        [("/a/1", f"{A}/busy.jpg", None), ("/a/2", f"{A}/never.jpg", None), ("/a/3", f"{A}/gone.jpg", None)], attempts=3
    )
    assert (provider.asked["/busy.jpg"], provider.asked["/never.jpg"], provider.asked["/gone.jpg"]) == (3, 3, 1)
    ledger = ledger_of(tmp_path)
    assert [ledger[f"{A}/{name}.jpg"]["state"] for name in ("busy", "never", "gone")] == [
        "fetched",
        "failed",
        "rejected",
    ]
    assert (ledger[f"{A}/never.jpg"]["reason"], ledger[f"{A}/never.jpg"]["attempts"]) == ("http_503", 3)
    assert not summary.complete
    assert summary.next_try > time.time() + 500


def test_only_what_failed_is_asked_again_and_only_when_due(fetch, provider):
    provider.answers["/x.jpg"] = Response(jpeg())
    provider.answers["/never.jpg"] = Response(status_code=500)
    rows = [("/a/1", f"{A}/x.jpg", None), ("/a/2", f"{A}/never.jpg", None), ("/a/3", f"{A}/gone.jpg", None)]
    fetch(rows, attempts=1)
    assert fetch(rows, attempts=1).requests == 0
    provider.answers["/never.jpg"] = Response(jpeg(1))
    summary = fetch(rows, attempts=1, retry_now=True)
    assert (summary.requests, summary.usable) == (1, 2)


def test_retry_after_gives_the_host_a_rest(fetch, provider):
    provider.answers["/x.jpg"] = lambda request, before: (
        Response(jpeg()) if before else Response(status_code=429, headers={"retry-after": "0.25"})
    )
    started = time.monotonic()
    assert fetch([("/a/1", f"{A}/x.jpg", None)]).usable == 1
    assert time.monotonic() - started > 0.25


def test_a_refresh_asks_conditionally_and_counts_what_did_not_change(fetch, provider, tmp_path):
    def answer(request: Request, before: int) -> Response:
        if request.headers.get("if-none-match") == '"v1"':
            return Response(status_code=304)
        return Response(jpeg(), headers={"etag": '"v1"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"})

    provider.answers["/same.jpg"] = answer
    provider.answers["/new.jpg"] = lambda request, before: Response(jpeg(before), headers={"etag": f'"{before}"'})
    rows = [("/a/1", f"{A}/same.jpg", None), ("/a/2", f"{A}/new.jpg", None)]
    fetch(rows)
    summary = fetch(rows, refresh=True)
    assert summary.states == {"fetched": 1, "unchanged": 1}
    assert provider.headers["/same.jpg"]["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert images_of(tmp_path)["image_id"].to_list() == [hashlib.sha256(jpeg(n)).hexdigest() for n in (0, 1)]


def test_an_image_stays_when_its_refresh_fails_and_goes_when_it_is_gone(fetch, provider):
    provider.answers["/x.jpg"] = Response(jpeg())
    rows = [("/a/1", f"{A}/x.jpg", None)]
    fetch(rows)
    provider.answers["/x.jpg"] = Response(status_code=500)
    assert fetch(rows, refresh=True, attempts=1).usable == 1
    provider.answers["/x.jpg"] = Response(status_code=410)
    assert fetch(rows, refresh=True).usable == 0


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x-robots-tag": "noai"}, "opt_out_robots"),
        ({"x-robots-tag": "noindex, NoImageAI"}, "opt_out_robots"),
        ({"tdm-reservation": "1"}, "opt_out_tdm"),
    ],
)
def test_opt_outs_are_honoured(fetch, provider, headers, reason):
    provider.answers["/x.jpg"] = Response(jpeg(), headers=headers)
    assert fetch([("/a/1", f"{A}/x.jpg", None)]).reasons == {reason: 1}


@pytest.mark.parametrize(
    "headers", [{"x-robots-tag": "noindex"}, {"x-robots-tag": "otherbot: noai"}, {"tdm-reservation": "0"}]
)
def test_what_is_not_an_opt_out_for_us_is_none(fetch, provider, headers):
    provider.answers["/x.jpg"] = Response(jpeg(), headers=headers)
    assert fetch([("/a/1", f"{A}/x.jpg", None)]).usable == 1


def test_the_fallback_is_asked_when_the_first_address_has_nothing(fetch, provider, tmp_path):
    provider.answers["/second.jpg"] = Response(jpeg())
    summary = fetch([("/a/1", f"{A}/first.jpg", f"{A}/second.jpg")])
    assert summary.usable == 1
    assert images_of(tmp_path)["source_url"].to_list() == [f"{A}/second.jpg"]
    assert fetch([("/a/1", f"{A}/first.jpg", f"{A}/second.jpg")]).requests == 0


def test_a_placeholder_never_becomes_an_image(fetch, provider):
    provider.answers["/icon.png"] = Response(jpeg(3))
    digest = hashlib.sha256(jpeg(3)).hexdigest()
    summary = fetch([("/a/1", f"{A}/icon.png", None)], placeholder_sha256=(digest,))
    assert summary.reasons == {"placeholder": 1}


def test_caps_hold_for_announced_endless_and_packed_bodies(fetch, provider, tmp_path):
    async def endless():
        for _ in range(1_000):
            yield bytes(65_536)

    provider.answers["/announced"] = Response(bytes(300_000))
    provider.answers["/endless"] = lambda request, before: StreamingResponse(endless())
    packed = gzip.compress(bytes(50_000_000))
    provider.answers["/packed"] = Response(packed, headers={"content-encoding": "gzip"})
    provider.answers["/honest"] = Response(gzip.compress(jpeg()), headers={"content-encoding": "gzip"})
    rows = [(f"/a/{name}", f"{A}/{name}", None) for name in ("announced", "endless", "packed", "honest")]
    summary = fetch(rows, max_bytes=200_000)
    assert summary.reasons == {"too_large": 3}
    assert summary.usable == 1
    assert not list((tmp_path / "cache" / "incoming").iterdir())


def test_a_large_body_goes_through_a_file(fetch, provider, tmp_path):
    from tests.pipeline.images.pictures import drawing, saved

    provider.answers["/x.png"] = Response(saved(drawing(1200, 900), "BMP"))
    provider.answers["/y.tif"] = Response(saved(drawing(1200, 900), "TIFF"))  # 3.2 MB
    summary = fetch([("/a/1", f"{A}/x.png", None), ("/a/2", f"{A}/y.tif", None)])
    assert summary.usable == 1
    assert summary.reasons == {"unsupported_format": 1}
    assert not list((tmp_path / "cache" / "incoming").iterdir())


def test_a_slow_body_is_cut_off(fetch, provider):
    async def drops():
        import asyncio

        for byte in jpeg():
            yield bytes([byte])
            await asyncio.sleep(0.05)

    provider.answers["/slow"] = lambda request, before: StreamingResponse(drops())
    summary = fetch([("/a/1", f"{A}/slow", None)], attempts=1, timeout_s=0.3)
    assert summary.reasons == {"timeout": 1}


def test_a_host_is_never_asked_by_more_connections_than_allowed(fetch, provider):
    provider.delay_s = 0.01
    provider.answers.update({f"/{n}.jpg": Response(jpeg(n)) for n in range(30)})
    fetch([(f"/a/{n:02d}", f"{A}/{n}.jpg", None) for n in range(30)], connections_per_host=3)
    assert provider.most_at_once <= 3


def test_a_host_that_takes_no_connection_is_left_when_patience_ends(fetch, provider):
    rows = [(f"/a/{n:03d}", f"http://dead.example/{n}.jpg", None) for n in range(60)]
    lookups = []

    async def nowhere(host: str, port: int) -> list[str]:
        lookups.append(host)
        return []

    summary = fetch(rows, hosts={}, resolver=nowhere, host_patience_s=0.05, connections_per_host=2)
    assert summary.states == {"failed": 60}
    assert summary.reasons["host_unreachable"] > 40
    assert len(lookups) < 12


async def nowhere(host: str, port: int) -> list[str]:
    """No address for any host."""
    return []


def test_where_no_host_was_ever_reached_the_run_ends_and_says_what_to_do(fetch, provider, tmp_path):
    rows = [(f"/a/{n:03d}", f"http://dead{n}.example/x.jpg", None) for n in range(40)]
    dead = {"hosts": {}, "resolver": nowhere, "connections": 4}
    with pytest.raises(NoFirstAnswer, match=r"No image server has taken a connection in 0 s \(dns_failed\).*doctor"):
        fetch(rows, **dead, patience=Patience(None, 0.05))
    summary = fetch(rows, **dead, patience=Patience(None, None), host_patience_s=0.0, retry_now=True)
    assert summary.states == {"failed": 40}  # with --wait every address is asked


def test_dead_hosts_do_not_end_a_run_that_has_reached_one(fetch, provider):
    provider.answers["/x.jpg"] = Response(jpeg())
    assert fetch([("/a/0", f"{A}/x.jpg", None)]).usable == 1
    rows = [("/a/0", f"{A}/x.jpg", None), *((f"/b/{n}", f"http://dead{n}.example/x.jpg", None) for n in range(20))]
    ends_at_once = Patience(None, 0.0)
    summary = fetch(rows, hosts={}, resolver=nowhere, connections=4, host_patience_s=0.0, patience=ends_at_once)
    assert summary.states == {"failed": 20, "fetched": 1}


def test_long_waits_for_a_host_are_told_once(fetch, provider, monkeypatch):
    """What is waited for, and until when; waits of less than five seconds are not told."""
    monkeypatch.setattr(fetch_module, "SILENT_S", 0.1)
    monkeypatch.setattr("pipeline.waits.SILENT_S", 0.1)
    told: list[str] = []
    for path in ("/x.jpg", "/y.jpg"):
        provider.answers[path] = lambda request, before: (
            Response(jpeg()) if before else Response(status_code=429, headers={"retry-after": "0.25"})
        )
    rows = [("/a/1", f"{A}/x.jpg", None), ("/a/2", f"{A}/y.jpg", None)]
    assert fetch(rows, connections_per_host=1, attempts=9, patience=Patience(told.append)).usable == 2
    assert all(
        re.fullmatch(r"a\.example asks to wait \(http_429\); its images are asked for again at \d\d:\d\d:\d\d", said)
        for said in told
    )
    assert 1 <= len(told) <= 2
    provider.answers["/z.jpg"] = lambda request, before: (
        Response(jpeg(3)) if before else Response(status_code=429, headers={"retry-after": "0.02"})
    )
    fetch([("/a/3", f"{A}/z.jpg", None)], patience=Patience(told.append))
    assert len(told) <= 2


def test_a_museum_that_is_away_for_a_moment_costs_no_image(fetch):
    provider = Provider()
    provider.answers.update({f"/{n}.jpg": Response(jpeg(n)) for n in range(60)})
    rows = [(f"/a/{n:03d}", f"{A}/{n}.jpg", None) for n in range(60)]
    with socket.socket() as closed:  # a port that takes no connection
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    given = {"hosts": {"*": f"http://127.0.0.1:{port}"}, "connections_per_host": 8, "attempts": 2}
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(fetch, rows, host_patience_s=20.0, **given)
        time.sleep(0.6)
        assert not fetching.done()
        with serving(provider, port):
            assert fetching.result(30).states == {"fetched": 60}


def test_rejected_bytes_have_their_reason_in_the_ledger(fetch, provider, tmp_path):
    names = sorted(REJECTED)
    for number, name in enumerate(names):
        provider.answers[f"/{number}"] = Response(REJECTED[name][0])
    fetch([(f"/a/{number}", f"{A}/{number}", None) for number in range(len(names))])
    ledger = ledger_of(tmp_path)
    assert [ledger[f"{A}/{number}"]["reason"] for number in range(len(names))] == [REJECTED[name][1] for name in names]
    assert images_of(tmp_path).is_empty()


def test_shards_are_cut_by_rows_and_do_not_depend_on_order(fetch, provider, tmp_path):
    provider.answers.update({f"/{n}.jpg": Response(jpeg(n)) for n in range(25)})
    rows = [(f"/a/{n:02d}", f"{A}/{n}.jpg", None) for n in range(25)]
    assert fetch(rows, rows_per_shard=10, folder=tmp_path / "one").shards == 3
    shuffled = random.Random(1).sample(rows, 25)
    fetch(shuffled[:7], rows_per_shard=10, folder=tmp_path / "two")
    fetch(shuffled, rows_per_shard=10, folder=tmp_path / "two", connections=1)
    assert sha256_of(tmp_path / "one" / "images") == sha256_of(tmp_path / "two" / "images")
    (tmp_path / "two" / "images" / ".part-00001.parquet.x1y2.part").write_bytes(b"left by a kill")
    fetch(rows[:5], rows_per_shard=10, folder=tmp_path / "two")
    assert [file.name for file in (tmp_path / "two" / "images").iterdir()] == ["part-00000.parquet"]


def test_shards_can_go_to_an_object_store(fetch, provider):
    import pyarrow.parquet as pq
    from upath import UPath

    provider.answers["/x.jpg"] = Response(jpeg())
    target = UPath("memory://bucket/images")
    fetch([("/a/1", f"{A}/x.jpg", None)], shards=target)
    with (target / "part-00000.parquet").open("rb") as file:
        assert pq.read_table(file).num_rows == 1


def test_other_picture_settings_fetch_anew(fetch, provider, tmp_path):
    provider.answers["/x.jpg"] = Response(jpeg())
    rows = [("/a/1", f"{A}/x.jpg", None)]
    fetch(rows)
    assert fetch(rows, short_side=20).requests == 1
    assert images_of(tmp_path)["height"].to_list() == [20]


def test_what_older_rules_refused_is_asked_again_and_nothing_else(fetch, provider, tmp_path, monkeypatch):
    provider.answers |= {"/x.jpg": Response(jpeg()), "/page.jpg": Response(b"<html></html>")}
    provider.answers["/busy.jpg"] = Response(status_code=503)
    rows = [(f"/a/{name}", f"{A}/{name}.jpg", None) for name in ("x", "page", "gone", "busy")]
    fetch(rows, attempts=1)
    assert ledger_of(tmp_path)[f"{A}/page.jpg"]["rules"] == fetch_module.REFUSAL_RULES
    assert [ledger_of(tmp_path)[f"{A}/{name}.jpg"]["rules"] for name in ("x", "busy")] == [None, None]
    assert fetch(rows, attempts=1).requests == 0
    provider.asked.clear()
    monkeypatch.setattr(fetch_module, "REFUSAL_RULES", fetch_module.REFUSAL_RULES + 1)
    provider.answers["/page.jpg"] = Response(jpeg(seed=5))  # what the new rules accept
    assert fetch(rows, attempts=1).usable == 2
    assert provider.asked == {"/page.jpg": 1, "/gone.jpg": 1}
    row = ledger_of(tmp_path)[f"{A}/page.jpg"]
    assert (row["state"], row["reason"], row["rules"]) == ("fetched", None, None)
    assert ledger_of(tmp_path)[f"{A}/gone.jpg"]["rules"] == fetch_module.REFUSAL_RULES
    assert fetch(rows, attempts=1).requests == 0


def test_a_fallback_that_older_rules_refused_is_asked_again(fetch, provider, monkeypatch):
    provider.answers["/small.jpg"] = Response(b"<html></html>")
    rows = [("/a/1", f"{A}/gone.jpg", f"{A}/small.jpg")]
    assert fetch(rows).usable == 0
    monkeypatch.setattr(fetch_module, "REFUSAL_RULES", fetch_module.REFUSAL_RULES + 1)
    provider.answers["/small.jpg"] = Response(jpeg())
    assert fetch(rows).usable == 1
