"""A large collection is cut so that the chunks hold every record once; a dry run says beforehand what it costs."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.harvest.chunks import plan_chunks
from pipeline.harvest.europeana import Window
from pipeline.harvest.pages import harvest_collection
from pipeline.harvest.plan import dry_run
from pipeline.harvest.records import records_from_pages
from pipeline.harvest.store import generations, read_head
from pipeline.sandbox.answers import Quota
from pipeline.sandbox.folder import MuseumFolder
from pipeline.settings import HarvestSettings
from tests.pipeline.harvest.conftest import SmallEuropeana, client_at, client_of
from tests.support.museum_server import running

SETTINGS = HarvestSettings(split_above=100, rows=50, chains=7)


def a_museum(folder: Path, n: int, created: str | None = None) -> Path:
    """A museum folder of n open records, created over n days, of one large provider and small ones."""
    folder.mkdir()
    items = [
        {
            "id": f"/1/{number:05d}",
            "type": "IMAGE",
            "title": ["Chair"],
            "dataProvider": ["Large" if number % 2 else f'Small "{number % 5}"'],
            "provider": ["Aggregator"],
            "country": ["Spain"],
            "rights": ["http://creativecommons.org/publicdomain/mark/1.0/"],
            "edmIsShownBy": [f"https://media.museum.example/{number}.jpg"],
            "edmPreview": [f"https://api.europeana.eu/thumbnail/v2/url.json?uri=x{number}&type=IMAGE"],
            "timestamp_created": created
            or f"{2015 + number % 7}-0{number % 9 + 1}-{number % 27 + 1:02d}T00:00:00.000Z",
            "timestamp_update": f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T00:00:00.000Z",
        }
        for number in range(n)
    ]
    (folder / "records.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    (folder / "entities.jsonl").write_text("", encoding="utf-8")
    (folder / "media.csv").write_text("url,file\n", encoding="utf-8")
    (folder / "media").mkdir()
    return folder


@pytest.fixture(scope="module")
def museum(tmp_path_factory) -> MuseumFolder:
    return MuseumFolder(a_museum(tmp_path_factory.mktemp("museums") / "dated", 700))


def test_a_small_collection_is_one_chunk(museum):
    with running(museum) as url, client_at(url, SETTINGS) as client:
        chunks = plan_chunks(client, "*", Window(), HarvestSettings(split_above=700))
    assert [(chunk.window, chunk.count) for chunk in chunks] == [(Window(), 700)]


def test_chunks_by_creation_hold_everything_once(museum, tmp_path):
    with running(museum) as url, client_at(url, SETTINGS) as client:
        chunks = plan_chunks(client, "*", Window(), SETTINGS)
        summary = harvest_collection(client, "*", tmp_path / "all", SETTINGS)
    assert len(chunks) > 5
    assert sum(chunk.count for chunk in chunks) == 700
    assert max(chunk.count for chunk in chunks) <= 100
    windows = [chunk.window for chunk in chunks]
    assert windows[0].created_from is None
    assert windows[-1].created_before is None
    assert [left.created_before for left in windows[:-1]] == [right.created_from for right in windows[1:]]
    assert (summary.expected, summary.received, summary.repeated) == (700, 700, 0)
    assert records_from_pages(tmp_path)["record_id"].to_list() == [f"/1/{number:05d}" for number in range(700)]


def test_records_created_at_one_moment_are_cut_by_update(tmp_path):
    museum = a_museum(tmp_path / "museum", 700, created="2019-01-01T00:00:00.000Z")
    with running(museum) as url, client_at(url, SETTINGS) as client:
        chunks = plan_chunks(client, "*", Window(), SETTINGS)
        harvest_collection(client, "*", tmp_path / "pages" / "all", SETTINGS)
    assert len(chunks) >= 7
    assert chunks[1].window.created_from is None
    assert chunks[1].window.updated_from is not None
    assert records_from_pages(tmp_path / "pages").height == 700


def test_what_no_time_can_cut_stays_one_chunk():
    europeana = SmallEuropeana(150)
    for item in europeana.items:
        item["timestamp_update"] = "2024-01-01T00:00:00.000Z"
    [chunk] = plan_chunks(client_of(europeana), "*", Window(), SETTINGS)
    assert chunk.count == 150


def test_a_server_that_does_not_understand_the_cut_is_walked_in_one_chain():
    """It answers every window with everything: the counts of two halves do not add up to the whole."""
    europeana = SmallEuropeana(150)
    europeana.items.sort(key=lambda item: item["timestamp_update"])
    europeana.bend = lambda asked, body: (
        body | {"items": europeana.items[-1:]} if "desc" in asked.get("sort", "") else body
    )
    [chunk] = plan_chunks(client_of(europeana), "*", Window(), SETTINGS)
    assert (chunk.window, chunk.count) == (Window(), 150)


def test_a_provider_above_the_cap_is_a_chunk_that_ends_early(museum, tmp_path):
    settings = HarvestSettings(rows=50, max_records_per_provider=120)
    with running(museum) as url, client_at(url, settings) as client:
        chunks = plan_chunks(client, "*", Window(), settings)
        summary = harvest_collection(client, "*", tmp_path / "all", settings)
    assert [(chunk.window.provider, chunk.window.without_providers, chunk.limit) for chunk in chunks] == [
        (None, ("Large",), None),
        ("Large", (), 120),
    ]
    assert [chunk.count for chunk in chunks] == [350, 350]
    assert summary.expected == 350 + 120
    [generation] = generations(tmp_path / "all")
    assert sum(len(read_head(page).ids) for page in generation.pages()) == 350 + 150
    kept = records_from_pages(tmp_path, settings)
    assert kept.filter(kept["data_provider"] == "Large")["record_id"].to_list() == [
        f"/1/{number:05d}" for number in range(1, 240, 2)
    ]


def test_a_dry_run_says_what_it_costs_and_fetches_no_record(museum):
    settings = HarvestSettings(
        collections=("*", "chair", "nothing"), max_records_per_provider=300, requests_per_hour=1_000, rows=50
    )
    with running(museum, quota=Quota(requests=10)) as url, client_at(url, settings) as client:
        plan = dry_run(client, settings)  # it counts with what the server states, not with the settings
    assert plan.select("collection", "found", "records", "requests").rows() == [
        ("*", 700, 650, 14),
        ("chair", 700, 650, 14),
        ("nothing", 0, 0, 2),
        ("(all)", 1400, 1300, 30),
    ]
    assert plan["hours"].to_list() == [1.4, 1.4, pytest.approx(0.75 / 3600), pytest.approx(3.0)]
    assert plan["requests_per_hour"].to_list() == [10] * 4
    assert plan["gigabytes_images"].to_list()[-1] == pytest.approx(1300 * 30_000 / 1e9)


def test_without_a_stated_limit_the_settings_count(europeana):
    settings = HarvestSettings(collections=("chair",), requests_per_hour=5, rows=10)
    client = client_of(europeana, rows=10)
    plan = dry_run(client, settings)
    assert client.allowed is None
    assert plan["requests_per_hour"].to_list() == [5, 5]
    assert plan["hours"].to_list()[-1] == 1.0  # 35 records: four pages and a count


def test_windows_are_written_to_the_manifest_and_read_back(museum, tmp_path):
    settings = HarvestSettings(rows=50, split_above=100, max_records_per_provider=300)
    with running(museum) as url, client_at(url, settings) as client:
        harvest_collection(client, "*", tmp_path / "all", settings)
    [generation] = generations(tmp_path / "all")
    assert generation.chunks[-1].window.provider == "Large"
    assert dataclasses.asdict(generation.chunks[0].window)["without_providers"] == ("Large",)
