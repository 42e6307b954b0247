"""The published rows as our tables, and the way back."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from pipeline.published.format import FACET_COLUMNS, Published, as_published, published_tags, read_published
from pipeline.published.tables import as_tables
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
