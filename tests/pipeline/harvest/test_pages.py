"""A harvest loses nothing and takes nothing twice, whatever the server answers and wherever it is stopped."""

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from pipeline.harvest.errors import HarvestError
from pipeline.harvest.pages import harvest_collection, only_one
from pipeline.harvest.records import records_from_pages, write_records
from pipeline.harvest.store import generations, page_files, unbroken
from pipeline.http import GaveUp, Unreachable, WrongKey
from pipeline.settings import HarvestSettings, HttpSettings
from pipeline.tables import RECORDS
from tests.pipeline.harvest.conftest import KEY, SmallEuropeana, client_of, cursor_at, every_file

SETTINGS = HarvestSettings(rows=10, chains=1, doubts=2)
ALL = [f"/1/a{number:04d}" for number in range(35)]
BAD_CURSOR = httpx.Response(400, json={"success": False, "error": "Invalid cursor value.", "code": "400-SC"})


def harvest(europeana, folder: Path, settings: HarvestSettings = SETTINGS, collection: str = "furniture"):
    client = client_of(europeana, rows=settings.rows)
    return harvest_collection(client, collection, folder / "pages" / "furniture", settings)


def ids(folder: Path) -> list[str]:
    return records_from_pages(folder / "pages")["record_id"].to_list()


def test_every_record_once(europeana, tmp_path):
    summary = harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL
    assert (summary.expected, summary.received, summary.repeated, summary.requests) == (35, 35, 0, 4)
    assert europeana.cursors() == ["*", cursor_at(10), cursor_at(20), cursor_at(30)]


def test_progress_counts_the_records_after_every_page_and_goes_on_where_it_was(europeana, tmp_path):
    told, folder = [], tmp_path / "pages" / "furniture"

    def tell(done: int, of: int) -> None:
        told.append((done, of))
        if done == 20:
            raise KeyboardInterrupt

    client = client_of(europeana, rows=SETTINGS.rows)
    with pytest.raises(KeyboardInterrupt):
        harvest_collection(client, "furniture", folder, SETTINGS, tell)
    harvest_collection(client, "furniture", folder, SETTINGS, tell)
    assert told == [(10, 35), (20, 35), (30, 35), (35, 35)]


def test_a_whole_harvest_asks_nothing_again(europeana, tmp_path):
    first = harvest(europeana, tmp_path)
    europeana.searches.clear()
    again = harvest(europeana, tmp_path)
    assert europeana.searches == []
    assert (again.as_of, again.received, again.requests) == (first.as_of, 35, 0)


def test_a_page_is_on_disk_before_the_next_is_asked_for(europeana, tmp_path):
    on_disk = []

    def watch(asked, body):
        if "cursor" in asked:
            on_disk.append(len(list(tmp_path.rglob("page-*.json.gz"))))
        return body

    europeana.bend = watch
    harvest(europeana, tmp_path)
    assert on_disk == [0, 1, 2, 3]


@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_a_stopped_harvest_goes_on_at_its_last_page(europeana, tmp_path, pages):
    def stop_after(asked, body):
        return httpx.Response(401, json={"code": "x"}) if len(europeana.cursors()) > pages else body

    europeana.bend = stop_after
    with pytest.raises(WrongKey):
        harvest(europeana, tmp_path)
    with pytest.raises(HarvestError, match="was not harvested to its end"):
        ids(tmp_path)
    europeana.bend = lambda _, body: body
    europeana.searches.clear()
    harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL
    assert europeana.cursors() == ["*", cursor_at(10), cursor_at(20), cursor_at(30)][pages:]


@pytest.mark.parametrize(
    ("size", "kept_with", "refused_with"),
    [
        (10_000, 6_000, 4_000),  # a page may have twice the bytes of a body
        pytest.param(
            2 * HttpSettings().max_body_bytes,
            3 * HttpSettings().max_body_bytes,
            HttpSettings().max_body_bytes,
            marks=pytest.mark.long,
        ),
    ],
    ids=["small", "more than by default"],
)
def test_pages_are_kept_as_far_as_the_settings_allow(tmp_path, size, kept_with, refused_with):
    large, folder, file = SmallEuropeana(2), tmp_path / "pages" / "furniture", tmp_path / "records.parquet"
    large.items[0]["title"] = ["a" * size]
    settings = HarvestSettings(rows=1, chains=1)
    large.bend = lambda asked, body: httpx.Response(401, json={}) if "cursor" in asked and large.cursors()[1:] else body
    with pytest.raises(WrongKey):
        harvest_collection(client_of(large, rows=1, max_body_bytes=2 * size), "furniture", folder, settings)
    (page,) = page_files(next(folder.rglob("page-*.json.gz")).parent)
    assert len(unbroken([page], kept_with)) == 1
    assert unbroken([page], refused_with) == []
    large.bend = lambda _, body: body
    large.searches.clear()
    harvest_collection(client_of(large, rows=1, max_body_bytes=kept_with), "furniture", folder, settings)
    assert large.cursors() == [cursor_at(1)]
    write_records(tmp_path / "pages", file, settings, max_body_bytes=kept_with)
    assert RECORDS.read(file, ["record_id"])["record_id"].to_list() == ALL[:2]
    with pytest.raises(HarvestError, match=r"page-000001\.json\.gz cannot be read \(more than"):
        write_records(tmp_path / "pages", file, settings, max_body_bytes=refused_with)


def test_what_a_kill_leaves_half_written_is_removed(europeana, tmp_path):
    europeana.bend = always(cursor_at(30), lambda _: httpx.Response(401, json={"code": "x"}))
    with pytest.raises(WrongKey):
        harvest(europeana, tmp_path)
    chunk = next(tmp_path.rglob("part-000"))
    (chunk / ".page-000009.json.gz.part").write_bytes(b"half")
    third = page_files(chunk)[2]
    third.write_bytes(third.read_bytes()[:-20])  # a power cut may damage it: it is asked for again
    europeana.bend = lambda _, body: body
    europeana.searches.clear()
    harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL
    assert europeana.cursors() == [cursor_at(20), cursor_at(30)]
    assert not list(tmp_path.rglob("*.part"))


def test_a_page_that_cannot_be_read_is_named(europeana, tmp_path):
    harvest(europeana, tmp_path)
    page = next(tmp_path.rglob("page-000002.json.gz"))
    page.write_bytes(page.read_bytes()[:-20])
    with pytest.raises(HarvestError, match=r"page-000002\.json\.gz cannot be read .* harvest it again"):
        ids(tmp_path)


def once(cursor: str, bend):
    """Bend the first answer at a cursor."""
    done = []

    def bent(asked, body):
        if asked.get("cursor") == cursor and not done:
            done.append(True)
            return bend(body)
        return body

    return bent


def always(cursor: str, bend):
    """Bend every answer at a cursor."""
    return lambda asked, body: bend(body) if asked.get("cursor") == cursor else body


def without(*names: str):
    return lambda body: {name: value for name, value in body.items() if name not in names}


BENDS = {
    "the walk seems to end early": once(cursor_at(10), without("nextCursor")),
    "a cursor repeats amid the walk": once(cursor_at(10), lambda body: body | {"nextCursor": cursor_at(10)}),
    "a cursor leads back": once(cursor_at(20), lambda body: body | {"nextCursor": cursor_at(10)}),
    "the last page repeats its cursor": always(cursor_at(30), lambda body: body | {"nextCursor": cursor_at(30)}),
    "an empty page amid the walk": once(cursor_at(10), without("items", "itemsCount")),
    "an empty page at the end": always(cursor_at(30), lambda body: body | {"nextCursor": cursor_at(40)}),
    "a short page amid the walk": once(
        cursor_at(10), lambda body: body | {"items": body["items"][:4], "itemsCount": 4}
    ),
    "items twice on a page": always(cursor_at(10), lambda body: body | {"items": body["items"] + body["items"][:3]}),
    "a total that is too high once": once(cursor_at(30), lambda body: body | {"totalResults": 41}),
    "a total that is too low": always(cursor_at(20), lambda body: body | {"totalResults": 12}),
    "a cursor refused once": once(cursor_at(20), lambda _: BAD_CURSOR),
    "a cursor refused twice": once(cursor_at(20), lambda _: BAD_CURSOR),
    "the search engine down as 400": once(cursor_at(20), lambda _: httpx.Response(400, json={"code": "503-SA"})),
    "HTML in place of JSON": once(cursor_at(20), lambda _: httpx.Response(200, html="<html>")),
}


@pytest.mark.parametrize("bend", BENDS)
def test_nothing_is_lost_or_doubled_when(bend, europeana, tmp_path):
    europeana.bend = BENDS[bend]
    harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL


def test_a_cursor_that_has_expired_begins_the_chunk_anew(europeana, tmp_path):
    europeana.bend = lambda asked, body: (
        BAD_CURSOR if asked.get("cursor") == cursor_at(20) and len(europeana.cursors()) <= 5 else body
    )
    harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL
    assert europeana.cursors()[:7] == ["*", cursor_at(10), *[cursor_at(20)] * 3, "*", cursor_at(10)]


def test_a_cursor_that_is_never_accepted_is_an_error(europeana, tmp_path):
    europeana.bend = always(cursor_at(20), lambda _: BAD_CURSOR)
    with pytest.raises(HarvestError, match="begun 3 times and each time Europeana refused its cursor") as failure:
        harvest(europeana, tmp_path)
    assert failure.value.transient


def test_a_walk_that_really_ends_early_is_an_error_and_can_go_on(europeana, tmp_path):
    europeana.bend = always(cursor_at(10), without("nextCursor"))
    with pytest.raises(HarvestError, match=r"ended the walk through 'furniture' \(part-000\) after 20 of 35 records"):
        harvest(europeana, tmp_path)
    europeana.bend = lambda _, body: body
    harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL


def test_a_few_records_that_left_the_index_while_we_walked_are_no_error(tmp_path):
    europeana = SmallEuropeana(300)
    europeana.bend = lambda asked, body: body | {"totalResults": body["totalResults"] + 3}
    summary = harvest(europeana, tmp_path)
    assert (summary.expected, summary.received) == (303, 300)


def test_a_server_that_always_leaves_some_out_does_not_triple_the_requests(tmp_path):
    europeana = SmallEuropeana(300)
    europeana.bend = lambda asked, body: (
        body | {"items": body["items"][:9], "itemsCount": 9, "totalResults": 270} if "cursor" in asked else body
    )
    harvest(europeana, tmp_path, SETTINGS.model_copy(update={"max_missing_share": 0.2}))
    assert len(europeana.cursors()) <= 30 + 2


def test_an_unknown_keyword_is_one_clear_sentence(europeana, tmp_path):
    with pytest.raises(HarvestError) as failure:
        harvest(europeana, tmp_path, collection="nothing")
    assert str(failure.value) == (
        "Europeana finds no open record with an image for the keyword 'nothing':"
        " check its spelling, or take it out of the collections in settings."
    )
    assert not list(tmp_path.rglob("*.gz"))


def test_no_network_is_one_clear_sentence(tmp_path):
    def unplugged(_):
        raise httpx.ConnectError("[Errno -3] Temporary failure in name resolution")

    with pytest.raises(Unreachable, match=r"is not reached after 3 attempts: ConnectError .*; look at the network"):
        harvest(unplugged, tmp_path)


def test_a_server_that_breaks_down_stops_all_chains(tmp_path):
    europeana = SmallEuropeana(500)
    europeana.bend = lambda asked, body: httpx.Response(503) if len(europeana.cursors()) > 3 else body
    with pytest.raises(GaveUp, match="HTTP 503"):
        harvest(europeana, tmp_path)


def test_another_search_begins_anew(europeana, tmp_path):
    harvest(europeana, tmp_path)
    europeana.searches.clear()
    client = client_of(europeana, reusability="restricted")
    harvest_collection(client, "furniture", tmp_path / "pages" / "furniture", SETTINGS)
    assert len(europeana.cursors()) == 4
    assert len(generations(tmp_path / "pages" / "furniture")) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"success": False, "error": "no", "code": "401_key_invalid"}), WrongKey),
        (httpx.Response(200, json={"success": True, "totalResults": 0, "items": []}), HarvestError),
        (httpx.Response(500, text="down"), GaveUp),
    ],
    ids=["wrong key", "nothing found", "server down"],
)
def test_another_search_that_fails_leaves_the_old_pages(answer, error, europeana, tmp_path):
    harvest(europeana, tmp_path)
    with pytest.raises(error):
        harvest_collection(
            client_of(lambda _: answer, reusability="restricted"),
            "furniture",
            tmp_path / "pages" / "furniture",
            SETTINGS,
        )
    assert ids(tmp_path) == ALL


def test_a_cap_that_was_raised_begins_anew(europeana, tmp_path):
    harvest(europeana, tmp_path, SETTINGS.model_copy(update={"max_records_per_collection": 12}))
    harvest(europeana, tmp_path)
    assert ids(tmp_path) == ALL


def test_two_harvests_do_not_write_into_one_folder(europeana, tmp_path):
    folder = tmp_path / "pages" / "furniture"
    with only_one(folder, "furniture"), pytest.raises(HarvestError, match="Another process is harvesting 'furniture'"):
        harvest(europeana, tmp_path)


def test_a_cap_ends_the_walk_early(europeana, tmp_path):
    settings = SETTINGS.model_copy(update={"max_records_per_collection": 12})
    summary = harvest(europeana, tmp_path, settings)
    assert europeana.cursors() == ["*", cursor_at(10)]
    assert summary.expected == 12
    assert records_from_pages(tmp_path / "pages", settings)["record_id"].to_list() == ALL[:12]


def test_the_key_is_in_nothing_that_is_written(europeana, tmp_path):
    harvest(europeana, tmp_path)
    records_from_pages(tmp_path / "pages").write_parquet(tmp_path / "records.parquet", compression="uncompressed")
    alone = base64.b64encode(KEY.encode())
    canaries = [KEY.encode(), quote(KEY, safe="").encode(), alone, alone.rstrip(b"="), alone[:-2]]
    canaries += [base64.urlsafe_b64encode(KEY.encode()), json.dumps(KEY).encode()[1:-1]]
    written = list(every_file(tmp_path))
    assert len(written) == 7  # four pages, the manifest, the lock, the table
    for file in written:
        content = file.read_bytes()
        content += gzip.decompress(content) if file.suffix == ".gz" else b""
        assert not [canary for canary in canaries if canary in content + file.name.encode()]


def test_the_same_answers_give_the_same_pages(tmp_path):
    for name in ("one", "two"):
        harvest(SmallEuropeana(35), tmp_path / name)
    one, two = (
        {file.relative_to(tmp_path / name): file.read_bytes() for file in every_file(tmp_path / name)}
        for name in ("one", "two")
    )
    assert one == two
