"""A release of the published dataset: only what may be passed on, with the rest counted by reason."""

import csv
import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from rdflib import RDF, Graph
from rdflib.namespace import SKOS

from pipeline import DATASET_SPLITS
from pipeline.published.released import RIGHTS_CLOSED, RIGHTS_UNKNOWN, release_published
from pipeline.published.tables import PublishedTables
from pipeline.release.pack import verify_checksums
from pipeline.settings import ReleaseSettings, Settings
from pipeline.splits import invariants
from pipeline.tables import PUBLISHED_ROWS, RECORDS, SPLIT_TABLE

SETTINGS = Settings(
    profile="full",
    source="published-csvs",
    published=Path("csvs"),
    release=ReleaseSettings(rows_per_part=20, rows_per_group=8),
)
WRITTEN = PUBLISHED_ROWS.empty()
PDM = "http://creativecommons.org/publicdomain/mark/1.0/"
NOTHING = pl.DataFrame(
    schema=dict.fromkeys(["record_id", "europeana_id", "rights_uri", "attribution", "landing_page"], pl.String)
    | {"view": pl.Int16}
)


@pytest.fixture(scope="module")
def tables(museum) -> PublishedTables:
    """The small museum without rights, and with paths for tag ids, as the published files have them."""
    paths = {
        tag: f"{facet}: {' | '.join(path)}" for tag, facet, path in museum.tags["tag_id", "facet", "path"].iter_rows()
    }
    renamed = pl.col("tag_id").replace_strict(paths)
    tags = museum.tags.with_columns(
        renamed,
        pl.col("parent").replace_strict(paths, default=None),
        path=pl.col("path").list.eval(pl.element().replace_strict(paths)),
    ).sort("tag_id")
    unknown = [pl.lit(None, dtype=pl.String).alias(name) for name in ("rights_uri", "attribution", "landing_page")]
    records = museum.records.with_columns(unknown)
    record_tags = museum.record_tags.with_columns(renamed).sort("record_id", "facet", "tag_id")
    RECORDS.conform(records)
    return PublishedTables(records, tags, record_tags, museum.splits)


def open_records(tables: PublishedTables, n: int) -> pl.DataFrame:
    """Every other record is open, up to `n`."""
    chosen = tables.records[::2].head(n)["record_id"]
    return pl.DataFrame(
        {
            "record_id": chosen,
            "europeana_id": [f"/9{name}" for name in chosen],
            "rights_uri": [PDM] * n,
            "attribution": [f"Said of {name}" for name in chosen],
            "landing_page": [None] * n,
            "view": [0] * n,
        },
        schema=NOTHING.schema,
    )


@pytest.fixture(scope="module")
def open_(tables) -> pl.DataFrame:
    return open_records(tables, 40)


@pytest.fixture(scope="module")
def known(tables, open_) -> pl.DataFrame:
    """The open ones, and ten that are closed."""
    closed = tables.records[1::2].head(10).select("record_id", view=pl.lit(0, pl.Int16))
    return pl.concat([open_.select("record_id", "view"), closed])


@pytest.fixture(scope="module")
def folder(museum, tables, known, open_, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("released") / "release"
    release_published(museum.images, tables, WRITTEN, known, open_, made, SETTINGS)
    return made


def test_only_open_records_are_in_the_files(folder, open_):
    rows = pl.concat(pl.read_parquet(file, columns=["record_id", "rights_uri", "attribution", "europeana_url"])
                     for file in sorted((folder / "data").glob("*.parquet")))  # fmt: skip
    assert set(rows["record_id"]) <= set(open_["record_id"])
    assert set(rows["rights_uri"]) == {PDM}
    record, said, url = rows.select("record_id", "attribution", "europeana_url").row(0)
    assert said == f"Said of {record}"
    assert url == f"https://www.europeana.eu/item/9{record}"
    with (folder / "attribution.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["record_id"] for row in csv.DictReader(stream)} == set(rows["record_id"])


def test_what_is_left_out_is_counted_by_reason(folder, tables, known, open_):
    splits = SPLIT_TABLE.read(folder / "splits.parquet")
    before = dict(tables.splits.select("record_id", "split").iter_rows())
    reasons = dict(splits.filter(split="left_out").select("record_id", "reason").iter_rows())
    for record, split in splits.select("record_id", "split").iter_rows():
        if before[record] == "left_out":
            assert split == "left_out"
        elif record in set(open_["record_id"]):
            assert split == before[record]
        else:
            assert split == "left_out"
            assert reasons[record] == (RIGHTS_CLOSED if record in set(known["record_id"]) else RIGHTS_UNKNOWN)
    described = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    n = splits.filter(split="left_out").height
    assert f"{n} images whose near-duplicates lie in two splits, or that are not known to be openly licensed," in str(
        described["rai:dataLimitations"]
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    for reason in (RIGHTS_CLOSED, RIGHTS_UNKNOWN):
        assert f"| {reason} | {sum(each == reason for each in reasons.values())} |" in card


def test_tags_are_those_of_the_released_images(folder, tables):
    listed = json.loads((folder / "tag_list.json").read_text(encoding="utf-8"))["facets"]
    rows = pl.read_parquet(folder / "data" / "train-*.parquet")
    for facet, tags in listed.items():
        counted = rows.select(pl.col(facet).explode()).to_series().drop_nulls().value_counts()
        assert {tag["tag_id"]: tag["n_train"] for tag in tags} == dict(counted.iter_rows())
    graph = Graph().parse(folder / "vocabulary.ttl")
    concepts = set(graph.subjects(RDF.type, SKOS.Concept))
    assert concepts
    assert all(str(concept).startswith("urn:eufcc:tag:") for concept in concepts)


def test_the_release_is_whole_and_the_same_bytes_again(folder, museum, tables, known, open_, tmp_path):
    assert verify_checksums(folder) == []
    release_published(museum.images, tables, WRITTEN, known.reverse(), open_.reverse(), tmp_path / "release", SETTINGS)
    assert (tmp_path / "release" / "SHA256SUMS").read_text() == (folder / "SHA256SUMS").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
    splits = SPLIT_TABLE.read(folder / "splits.parquet")
    assert invariants.records_in_two_splits(splits) == []


def test_a_further_view_without_a_picture_opens_no_record_and_says_nothing_of_one(
    folder, museum, tables, known, open_, tmp_path
):
    further = pl.lit(9, pl.Int16)
    closed = known.join(open_, on="record_id", how="anti")["record_id"].to_list()
    views = pl.concat([open_.with_columns(record_id=pl.Series(closed * 4)), open_])
    views = views.with_columns(view=further, europeana_id=pl.lit("/8/another"))
    all_known, all_open = pl.concat([views.select(known.columns), known]), pl.concat([views, open_])
    release_published(museum.images, tables, WRITTEN, all_known, all_open, tmp_path / "release", SETTINGS)
    assert (tmp_path / "release" / "SHA256SUMS").read_text() == (folder / "SHA256SUMS").read_text()


@pytest.mark.filterwarnings("ignore")
def test_datasets_and_mlcroissant_read_it(folder, tmp_path):
    import datasets
    import mlcroissant

    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    splits = SPLIT_TABLE.read(folder / "splits.parquet")
    assert {split: loaded[split].num_rows for split in loaded} == {
        split: splits.filter(split=split).height for split in DATASET_SPLITS
    }
    described = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    assert next(iter(described.records("records")))["records/rights_uri"].decode() == PDM


@pytest.mark.filterwarnings("ignore")
def test_without_rights_a_release_has_no_image_and_says_so(museum, tables, tmp_path):
    import mlcroissant

    facts = release_published(museum.images, tables, WRITTEN, NOTHING, NOTHING, tmp_path / "release", SETTINGS)
    assert facts.n_images == 0
    files = sorted((tmp_path / "release" / "data").glob("*.parquet"))
    assert {file.name.partition("-")[0] for file in files} == set(DATASET_SPLITS)
    assert sum(pq.ParquetFile(file).metadata.num_rows for file in files) == 0
    card = (tmp_path / "release" / "README.md").read_text(encoding="utf-8")
    assert f"| {RIGHTS_UNKNOWN} | {facts.n_left_out - tables.splits.filter(split='left_out').height} |" in card
    assert verify_checksums(tmp_path / "release") == []
    described = mlcroissant.Dataset(jsonld=str(tmp_path / "release" / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
