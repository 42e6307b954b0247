"""The records table: one row a record, the same for any order of pages, equal to the obvious slow way."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.harvest import records as module
from pipeline.harvest.chunks import Chunk
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import Page, Window
from pipeline.harvest.items import row_of_item
from pipeline.harvest.records import records_from_pages, write_records
from pipeline.harvest.store import Generation, other_collections, write_page
from pipeline.settings import HarvestSettings
from pipeline.tables import RECORDS

AS_OF = "2026-01-01T00:00:00+00:00"


def an_item(record_id: str, day: int = 1, provider: str = "Museum", title: str = "Chair") -> dict:
    return {
        "id": record_id,
        "title": [title],
        "dataProvider": [provider],
        "timestamp_update": f"2024-01-{day:02d}T00:00:00.000Z",
    }


def store(
    pages: Path, collection: str, *content: list[dict], number: int = 0, kind: str = "whole", as_of: str = AS_OF
) -> None:
    """Write pages as a harvest does."""
    received = len({item["id"] for page in content for item in page})
    folder = pages / collection / f"{number:03d}-{kind}"
    chunk = Chunk("part-000", Window(), received)
    request = f"request of {collection}"
    Generation(
        folder, collection, kind, as_of, request, (None, None), None, received, (chunk,), received, received, 0
    ).write()
    for index, items in enumerate(content):
        page = Page("asked", items, received, None, json.dumps({"items": items}))
        write_page(folder / "part-000", index + 1, page, "*", None, as_of)


def rows(frame: pl.DataFrame, *columns: str) -> list[tuple]:
    return frame.select(columns).rows()


def test_collections_that_are_not_asked_for_are_as_if_they_were_not_there(tmp_path):
    store(tmp_path / "both", "toy", [an_item("/1/b"), an_item("/1/a")])
    store(tmp_path / "both", "art", [an_item("/1/b", day=2), an_item("/1/c")])
    store(tmp_path / "fresh", "toy", [an_item("/1/b"), an_item("/1/a")])
    kept = records_from_pages(tmp_path / "both", collections=["toy"])
    assert kept.equals(records_from_pages(tmp_path / "fresh"))
    write_records(tmp_path / "both", tmp_path / "kept.parquet", collections=["toy"])
    write_records(tmp_path / "fresh", tmp_path / "fresh.parquet", collections=["toy"])
    assert (tmp_path / "kept.parquet").read_bytes() == (tmp_path / "fresh.parquet").read_bytes()
    assert list(other_collections(tmp_path / "both", ["toy"]).values()) == ["art"]


def test_collections_that_were_not_harvested_are_counted_and_named(tmp_path):
    store(tmp_path, "toy", [an_item("/1/a")])
    with pytest.raises(HarvestError, match=r"^2 of 3 collections are not harvested: art, map\. .*`eufcc run harvest`"):
        records_from_pages(tmp_path, collections=["art", "toy", "map"])


def test_a_record_of_two_collections_is_one_row(tmp_path):
    store(tmp_path, "toy", [an_item("/1/b"), an_item("/1/a")])
    store(tmp_path, "art", [an_item("/1/b")])
    assert rows(records_from_pages(tmp_path), "record_id", "collections", "request") == [
        ("/1/a", ["toy"], "request of toy"),
        ("/1/b", ["art", "toy"], "request of art"),
    ]


def test_the_answer_updated_last_counts(tmp_path):
    store(tmp_path, "art", [an_item("/1/a", day=2, title="new")])
    store(tmp_path, "toy", [an_item("/1/a", day=1, title="old")])
    assert rows(records_from_pages(tmp_path), "attribution") == [("new. Museum",)]


def test_an_unchanged_record_keeps_its_row_across_a_refresh(tmp_path):
    store(tmp_path, "art", [an_item("/1/a"), an_item("/1/b")])
    store(
        tmp_path, "art", [an_item("/1/a"), an_item("/1/b", day=9)],
        number=1, kind="refresh", as_of="2026-02-01T00:00:00+00:00",
    )  # fmt: skip
    assert rows(records_from_pages(tmp_path), "record_id", "harvested_at") == [
        ("/1/a", datetime(2026, 1, 1, tzinfo=UTC)),
        ("/1/b", datetime(2026, 2, 1, tzinfo=UTC)),
    ]


def test_listings_of_ids_are_no_records(tmp_path):
    store(tmp_path, "art", [an_item("/1/a")])
    store(tmp_path, "art", [{"id": "/1/z"}], number=1, kind="ids")
    assert records_from_pages(tmp_path)["record_id"].to_list() == ["/1/a"]


def test_caps_keep_the_first_by_id(tmp_path):
    store(tmp_path, "art", [an_item(f"/1/{n}", provider="A" if n < 5 else "B") for n in range(8)])
    store(tmp_path, "toy", [an_item(f"/1/{n}", provider="A" if n < 5 else "B") for n in range(4, 9)])
    per_provider = HarvestSettings(max_records_per_provider=2)
    assert records_from_pages(tmp_path, per_provider)["record_id"].to_list() == ["/1/0", "/1/1", "/1/5", "/1/6"]
    per_collection = HarvestSettings(max_records_per_collection=5)
    assert rows(records_from_pages(tmp_path, per_collection), "record_id", "collections") == [
        ("/1/0", ["art"]),
        ("/1/1", ["art"]),
        ("/1/2", ["art"]),
        ("/1/3", ["art"]),
        ("/1/4", ["art", "toy"]),
        ("/1/5", ["toy"]),
        ("/1/6", ["toy"]),
        ("/1/7", ["toy"]),
        ("/1/8", ["toy"]),
    ]


@pytest.mark.parametrize("make", [lambda _: None, lambda folder: store(folder, "art", [])])
def test_an_empty_harvest_is_one_clear_sentence(tmp_path, make):
    make(tmp_path)
    with pytest.raises(HarvestError, match=r"^The harvest is empty: .* hold no record\. Harvest a collection first\.$"):
        records_from_pages(tmp_path)


def test_a_failed_write_leaves_the_old_table(tmp_path):
    (tmp_path / "records.parquet").write_bytes(b"old")
    with pytest.raises(HarvestError):
        write_records(tmp_path / "pages", tmp_path / "records.parquet")
    assert (tmp_path / "records.parquet").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["records.parquet"]


def test_the_written_table_is_the_table_in_memory(tmp_path):
    store(tmp_path / "pages", "art", [an_item(f"/1/{n:03d}") for n in range(100)])
    write_records(tmp_path / "pages", tmp_path / "records.parquet")
    assert RECORDS.read(tmp_path / "records.parquet").equals(records_from_pages(tmp_path / "pages"))
    assert RECORDS.conform(records_from_pages(tmp_path / "pages")).schema == RECORDS.schema


def merged_slowly(found: dict[str, list[dict]]) -> list[tuple]:
    """All answers in a dictionary: what the merge over files must equal."""
    best: dict[str, tuple] = {}
    names: dict[str, set[str]] = {}
    for collection in sorted(found):
        for one in found[collection]:
            row = row_of_item(one)
            names.setdefault(one["id"], set()).add(collection)
            rank = (-(row["updated_at"] or 0), collection)
            if one["id"] not in best or rank < best[one["id"]][0]:
                best[one["id"]] = (rank, row["updated_at"], collection)
    return [(key, sorted(names[key]), *best[key][1:]) for key in sorted(best)]


ITEMS = st.lists(
    st.builds(an_item, st.sampled_from([f"/{n}/é{m}" for n in (1, 10, 2) for m in range(6)]), st.integers(1, 4)),
    max_size=12,
)


@settings(max_examples=40)
@given(found=st.dictionaries(st.sampled_from(["art", "toy", "tool"]), st.lists(ITEMS, max_size=3), min_size=1))
def test_the_merge_over_files_equals_the_slow_way(found, tmp_path_factory):
    pages = tmp_path_factory.mktemp("pages")
    for collection, content in found.items():
        store(pages, collection, *content)
    expected = merged_slowly({name: [one for page in content for one in page] for name, content in found.items()})
    if not expected:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_RUN", 3)
        patch.setattr(module, "ROWS_PER_READ", 2)
        patch.setattr(module, "ROWS_PER_GROUP", 4)
        frame = records_from_pages(pages)
    assert [
        (record_id, collections, int(updated_at.timestamp() * 1e6), request.removeprefix("request of "))
        for record_id, collections, updated_at, request in rows(
            frame, "record_id", "collections", "updated_at", "request"
        )
    ] == expected
