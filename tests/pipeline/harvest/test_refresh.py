"""A refresh asks for what changed alone, and what Europeana withdrew gets a tombstone."""

from datetime import UTC, datetime

import httpx
import pytest

from pipeline.harvest.errors import HarvestError
from pipeline.harvest.pages import harvest_collection, refresh_collection
from pipeline.harvest.records import records_from_pages
from pipeline.harvest.refresh import withdrawn
from pipeline.harvest.store import generations
from pipeline.settings import HarvestSettings
from pipeline.tables import TOMBSTONES
from tests.pipeline.harvest.conftest import SmallEuropeana, client_at, client_of, item
from tests.support.museum_server import running
from tests.support.synthetic import SyntheticMuseum

FIRST = HarvestSettings(rows=10, chains=2, as_of=datetime(2020, 1, 3, tzinfo=UTC), refresh_overlap_hours=0)
LATER = FIRST.model_copy(update={"as_of": datetime(2020, 1, 10, tzinfo=UTC)})


def searches(client) -> list[str]:
    """Keep the URLs that a client asks for."""
    asked: list[str] = []
    get = client.http.get

    def watched(url, params=None, headers=None, **more):
        asked.append(str(httpx.URL(url, params=params)))
        return get(url, params, headers, **more)

    client.http.get = watched
    return asked


def test_a_refresh_costs_what_changed_and_nothing_more(tmp_path):
    """The synthetic museum updates one record a minute from 2020-01-01: on 3 January at 0:00 it is at 2,880."""
    with running(SyntheticMuseum(2880)) as url, client_at(url, FIRST) as client:
        harvest_collection(client, "*", tmp_path / "all", FIRST)
    with running(SyntheticMuseum(2905)) as url, client_at(url, LATER) as client:
        asked = searches(client)
        summary = refresh_collection(client, "*", tmp_path / "all", LATER)
    assert (summary.received, len(asked)) == (25, 1 + 3)  # a count, three pages
    assert "timestamp_update%3A%5B2020-01-03T00%3A00%3A00.000Z+TO+%2A%5D" in asked[1]
    records = records_from_pages(tmp_path)
    assert records.height == 2905
    assert records["harvested_at"].value_counts().sort("harvested_at").rows() == [
        (datetime(2020, 1, 3, tzinfo=UTC), 2880),
        (datetime(2020, 1, 10, tzinfo=UTC), 25),
    ]


def test_a_refresh_without_changes_is_one_count_and_one_empty_page(tmp_path):
    with running(SyntheticMuseum(100)) as url, client_at(url, FIRST) as client:
        harvest_collection(client, "*", tmp_path / "all", FIRST)
        before = records_from_pages(tmp_path)
        asked = searches(client)
        assert refresh_collection(client, "*", tmp_path / "all", LATER).received == 0
    assert len(asked) == 2
    assert records_from_pages(tmp_path).equals(before)


def test_windows_overlap_and_move_with_the_watermark(tmp_path):
    europeana = SmallEuropeana(12)
    settings = HarvestSettings(rows=10, as_of=datetime(2024, 6, 10, tzinfo=UTC), refresh_overlap_hours=48)
    client = client_of(europeana)
    harvest_collection(client, "x", tmp_path / "x", settings)
    windows = []
    for day in (17, 24):
        later = settings.model_copy(update={"as_of": datetime(2024, 6, day, tzinfo=UTC)})
        europeana.searches.clear()
        refresh_collection(client, "x", tmp_path / "x", later)
        windows.append(europeana.searches[-1]["qf"][1])
    assert windows == [
        "timestamp_update:[2024-06-08T00:00:00.000Z TO *]",
        "timestamp_update:[2024-06-15T00:00:00.000Z TO *]",
    ]
    assert [generation.folder.name for generation in generations(tmp_path / "x")] == [
        "000-whole",
        "001-refresh",
        "002-refresh",
    ]


def test_a_refresh_that_was_stopped_goes_on_and_counts_only_when_done(tmp_path):
    europeana = SmallEuropeana(25)
    client = client_of(europeana)
    harvest_collection(client, "x", tmp_path / "x", FIRST)
    for number, changed in enumerate(europeana.items):
        europeana.items[number] = changed | {"title": ["New"], "timestamp_update": "2025-01-01T00:00:00.000Z"}
    europeana.searches.clear()
    europeana.bend = lambda asked, body: httpx.Response(403, json={}) if len(europeana.cursors()) == 2 else body
    with pytest.raises(Exception, match="HTTP 403"):
        refresh_collection(client, "x", tmp_path / "x", LATER)
    assert "New" not in records_from_pages(tmp_path)["attribution"].str.join(" ").item()
    europeana.bend = lambda _, body: body
    refresh_collection(client, "x", tmp_path / "x", LATER)
    assert [generation.folder.name for generation in generations(tmp_path / "x")] == ["000-whole", "001-refresh"]
    assert records_from_pages(tmp_path)["attribution"].str.starts_with("New").all()


def test_a_refresh_needs_a_whole_harvest(tmp_path):
    with pytest.raises(HarvestError, match="has not been harvested whole: harvest it before it is refreshed"):
        refresh_collection(client_of(SmallEuropeana(5)), "x", tmp_path / "x", FIRST)


class Withdrawing(SmallEuropeana):
    """The record API too: what is in `items` with its rights, what is in `closed` with others, else 404."""

    closed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("search.json"):
            return super().__call__(request)
        record_id = request.url.path.removeprefix("/record/v2").removesuffix(".json")
        if record_id in (*self.closed, *self.hidden):
            rights = "InC/1.0/" if record_id in self.closed else None
            uri = f"http://rightsstatements.org/vocab/{rights}" if rights else self.items[0]["rights"][0]
            aggregations = [{"edmRights": {"def": [uri]}}]
            return httpx.Response(
                200, json={"object": {"about": record_id, "proxies": [], "aggregations": aggregations}}
            )
        return httpx.Response(404, json={"success": False, "error": f"Invalid record identifier: {record_id}"})


def harvested(tmp_path, n: int = 200) -> tuple[Withdrawing, object]:
    europeana = Withdrawing(n)
    harvest_collection(client_of(europeana), "x", tmp_path / "pages" / "x", FIRST)
    return europeana, records_from_pages(tmp_path / "pages")


def test_withdrawn_records_become_tombstones_with_date_and_reason(tmp_path):
    europeana, records = harvested(tmp_path)
    europeana.items = [one for one in europeana.items if one["id"] not in ("/1/a0003", "/1/a0050", "/1/a0199")]
    europeana.closed, europeana.hidden = ("/1/a0050",), ("/1/a0199",)
    tombstones = withdrawn(client_of(europeana), records, tmp_path / "pages", LATER)
    assert tombstones.rows() == [
        ("/1/a0003", LATER.as_of, "gone: Europeana has no such record any more"),
        ("/1/a0050", LATER.as_of, "no longer open: its rights are http://rightsstatements.org/vocab/InC/1.0/"),
    ]
    TOMBSTONES.conform(tombstones)
    assert [generation.kind for generation in generations(tmp_path / "pages" / "x")] == ["whole"]


def test_a_tombstone_stays_though_the_record_comes_back(tmp_path):
    europeana, records = harvested(tmp_path)
    before = TOMBSTONES.frame([{"record_id": "/1/a0003", "withdrawn_at": FIRST.as_of, "reason": "gone"}])
    after = withdrawn(client_of(europeana), records, tmp_path / "pages", LATER, previous=before)
    assert after.rows() == [("/1/a0003", FIRST.as_of, "gone")]


def test_listing_is_by_the_hundred_and_lookups_only_for_the_missing(tmp_path):
    europeana, records = harvested(tmp_path)
    europeana.items = europeana.items[1:]
    europeana.searches.clear()
    withdrawn(client_of(europeana), records, tmp_path / "pages", LATER)
    assert len(europeana.cursors()) == 20
    assert {asked["profile"] for asked in europeana.searches} == {"minimal"}


def test_half_of_everything_gone_at_once_is_a_fault_not_a_withdrawal(tmp_path):
    europeana, records = harvested(tmp_path)
    europeana.items = europeana.items[:100]
    with pytest.raises(HarvestError, match="100 of 200 records are missing from Europeana's lists at once"):
        withdrawn(client_of(europeana), records, tmp_path / "pages", LATER)


def test_a_record_that_one_collection_still_finds_is_not_missing(tmp_path):
    europeana, records = harvested(tmp_path, 20)
    other = Withdrawing(0)
    other.items = [item(number) for number in range(20, 25)]
    harvest_collection(client_of(other), "y", tmp_path / "pages" / "y", FIRST)
    both = records_from_pages(tmp_path / "pages")
    europeana.items = europeana.items + other.items
    assert withdrawn(client_of(europeana), both, tmp_path / "pages", LATER).is_empty()
    assert records.height == 20


def test_collections_that_are_not_asked_for_are_not_listed(tmp_path):
    europeana, records = harvested(tmp_path, 20)
    taken_out = Withdrawing(5)
    harvest_collection(client_of(taken_out), "y", tmp_path / "pages" / "y", FIRST)
    europeana.searches.clear()
    given = {"collections": ["x"], "previous": None}
    assert withdrawn(client_of(europeana), records, tmp_path / "pages", LATER, **given).is_empty()
    assert {asked["query"] for asked in europeana.searches} == {"x"}
