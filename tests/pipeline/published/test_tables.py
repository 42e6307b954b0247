"""The published rows as our tables, and the way back."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.published.format import (
    FACET_COLUMNS,
    PUBLISHED_FACETS,
    ROWS_SCHEMA,
    STATED_SCHEMA,
    Published,
    as_published,
    published_tags,
    read_published,
    write_published,
)
from pipeline.published.tables import as_tables, as_written
from pipeline.tables import RECORD_TAGS, RECORDS, SPLIT_TABLE, TAGS

HEAD = (
    "idInSource,objectTypes.hierarchy,subjects.hierarchy,materials.hierarchy,"
    "#portraitMedia.original,database,repository.keeper,classifications.hierarchy\n"
)
ROWS = [
    "/1/a,moble | cadira $ *toy,,seda | fibra,http://t/1,EUROPEANA,Museum,art | història\n",
    "/1/b,moble,retrat,fibra | seda,http://t/2,EUROPEANA,Museum,\n",
    "/1/a,moble,,,http://t/3,EUROPEANA,Museum,\n",
]


@pytest.fixture
def published(tmp_path: Path) -> Published:
    (tmp_path / "test_id.csv").write_text(HEAD + "".join(ROWS), encoding="utf-8")
    return read_published({"inner_test": tmp_path / "test_id.csv"})


def test_rows_become_records_views_and_tags_by_path(published):
    found = as_tables(published)
    assert found.records.select("record_id", "thumbnail_url").rows() == [("/1/a", "http://t/1"), ("/1/b", "http://t/2")]
    assert found.splits.select("record_id", "view", "split").rows() == [
        ("/1/a", 0, "inner_test"),
        ("/1/a", 1, "inner_test"),
        ("/1/b", 0, "inner_test"),
    ]
    tags = {row["tag_id"]: row for row in found.tags.to_dicts()}
    assert {"materials: seda", "materials: fibra | seda", "materials: seda | fibra"} <= set(tags)
    assert tags["materials: fibra | seda"]["parent"] == "materials: fibra"
    assert tags["object_types: *toy"]["labels"] == [{"language": "en", "text": "toy"}]
    assert (tags["object_types: moble"]["depth"], tags["object_types: moble"]["n_images"]) == (1, 3)
    assert {tag_id for tag_id, tag in tags.items() if tag["facet"] == "classifications" and tag["depth"] > 1} == set()
    assert found.record_tags.filter(record_id="/1/b", stated=False).rows() == [
        ("/1/b", "materials", "materials: fibra", False)
    ]


def round_trip(published: Published, folder: Path, **changed: pl.DataFrame) -> bytes:
    """The file that the tables of the rows give back."""
    found = as_tables(published)
    tables = {"splits": found.splits, "records": found.records, "record_tags": found.record_tags, "tags": found.tags}
    [file] = write_published(as_published(**tables | changed, written=as_written(published)), folder)
    return file.read_bytes()


def test_the_rows_come_back_as_they_are_written(published, tmp_path):
    (tmp_path / "again").mkdir()
    text = (
        HEAD
        + ROWS[0]
        + ROWS[1]
        + "/1/a,moble $ moble | cadira $ *toy,,seda | fibra,http://t/3,EUROPEANA,Museum,art | història\n"
    )
    (tmp_path / "test_id.csv").write_text(text, encoding="utf-8")
    rows = read_published({"inner_test": tmp_path / "test_id.csv"})
    # The views of a record share its tags: the first row gets that of the third.
    expected = text.replace("moble | cadira $ *toy,,", "moble | cadira $ *toy $ moble,,", 1)
    assert round_trip(rows, tmp_path / "again").decode() == expected


def test_a_tag_that_was_corrected_is_written_at_the_end_and_a_removed_one_is_not(published, tmp_path):
    (tmp_path / "again").mkdir()
    found = as_tables(published)
    one = found.record_tags.filter((pl.col("tag_id") != "object_types: *toy") & (pl.col("record_id") == "/1/a"))
    new = pl.DataFrame(
        {"record_id": ["/1/a"] * 2, "facet": ["materials", "classifications"], "stated": [True] * 2,
         "tag_id": ["materials: fibra | seda", "classifications: art"]}
    ).select(one.columns)  # fmt: skip
    changed = pl.concat([one, new]).unique(["record_id", "facet", "tag_id"], maintain_order=True)
    changed = changed.filter(pl.col("tag_id") != "classifications: història")
    line = round_trip(published, tmp_path / "again", record_tags=changed).decode().splitlines()[1]
    assert line == "/1/a,moble | cadira $ moble,,seda | fibra $ fibra | seda,http://t/1,EUROPEANA,Museum,art"


@pytest.mark.shared
def test_the_published_sample_comes_back_byte_for_byte(shared, tmp_path):
    file = shared / "eufcc" / "inner_test_sample.csv"
    assert round_trip(read_published({"inner_test": file}), tmp_path) == file.read_bytes()


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), max_size=4),
            st.lists(st.lists(st.sampled_from(["art", 'so, "x"', "*zz"]), min_size=1, max_size=2), max_size=2),
        ),
        min_size=1,
        max_size=6,
    ),
    order=st.randoms(use_true_random=False),
)
def test_any_rows_come_back_as_they_are_written(rows, order):
    """Tags in any order, repeated, above others, and in a flat facet; the tables know nothing of the order of rows."""
    numbered = [(f"r{number}", *row) for number, row in enumerate(rows)]
    order.shuffle(numbered)
    facets = [each.key for each in PUBLISHED_FACETS]
    stated = [
        ("inner_test", at, facet, position, path)
        for at, (_, things, disciplines) in enumerate(numbered, 1)
        for facet in facets
        for position, path in enumerate({"object_types": things, "classifications": disciplines}.get(facet, []), 1)
    ]
    names = [(("inner_test"), at, row[0], f"http://t/{at}", "EUROPEANA", "") for at, row in enumerate(numbered, 1)]
    given_rows = Published(
        pl.DataFrame(names, schema=ROWS_SCHEMA, orient="row"), pl.DataFrame(stated, schema=STATED_SCHEMA, orient="row")
    )
    found = as_tables(given_rows)
    back = as_published(found.splits, found.records, found.record_tags, found.tags, written=as_written(given_rows))
    assert back.rows.equals(given_rows.rows)
    assert back.stated.equals(given_rows.stated)


@pytest.mark.shared
def test_the_published_sample_goes_through_our_tables_and_back(shared):
    published = read_published({"inner_test": shared / "eufcc" / "inner_test_sample.csv"})
    found = as_tables(published)
    for table, rows in (
        (RECORDS, found.records),
        (TAGS, found.tags),
        (RECORD_TAGS, found.record_tags),
        (SPLIT_TABLE, found.splits),
    ):
        table.conform(rows)
    back = as_published(found.splits, found.records, found.record_tags, found.tags)
    assert back.rows.height == published.rows.height == 400
    assert set(back.rows["record_id"]) == set(published.rows["record_id"])
    assert tags_of(back) == tags_of(published)


def tags_of(published: Published) -> Counter[tuple[str, str, tuple[str, ...]]]:
    """Every closed tag of every record, by its full path."""
    named = published_tags(published).join(published.rows.select("split", "row", "record_id"), on=["split", "row"])
    distinct = named.select("record_id", "facet", path=pl.col("path").list.join("|")).unique()
    assert set(distinct["facet"]) <= set(FACET_COLUMNS)
    return Counter((record, facet, tuple(path.split("|"))) for record, facet, path in distinct.iter_rows())
