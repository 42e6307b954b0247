"""The dataset folder: complete, ordered, byte-deterministic, replaced whole or not at all."""

import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline import FACETS
from pipeline.files import sha256_of, whole_folder
from pipeline.release.folder import (
    DATASET_SPLITS,
    DatasetError,
    preferred_label,
    write_dataset,
)
from pipeline.settings import ReleaseSettings
from pipeline.tables import SPLIT_TABLE


def write(museum, folder: Path, **changes) -> Path:
    tables = {
        "images_folder": museum.images,
        "records": museum.records,
        "record_tags": museum.record_tags,
        "tags": museum.tags,
        "splits": museum.splits,
        "split_tags": museum.split_tags,
    }
    write_dataset(**(tables | changes), folder=folder, settings=ReleaseSettings(rows_per_part=20, rows_per_group=8))
    return folder


@pytest.fixture(scope="module")
def dataset(museum, tmp_path_factory) -> Path:
    return write(museum, tmp_path_factory.mktemp("written") / "dataset")


def read(dataset: Path, split: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(part) for part in sorted((dataset / split).glob("part-*.parquet"))])


def test_every_image_of_the_splits_is_there_once_in_the_order_of_the_shards(museum, dataset: Path):
    stored = pl.concat([pl.read_parquet(shard) for shard in sorted(museum.images.rglob("part-*.parquet"))])
    for split in DATASET_SPLITS:
        rows = read(dataset, split).select("record_id", "view")
        wanted = stored.select("record_id", "view").join(
            museum.splits.filter(pl.col("split") == split), on=["record_id", "view"], how="semi", maintain_order="left"
        )
        assert rows.equals(wanted)


def test_an_image_keeps_its_own_bytes_although_shards_are_shuffled(museum, dataset: Path):
    stored = {
        row["record_id"]: row["image"]
        for shard in sorted(museum.images.glob("*.parquet"))
        for row in pq.read_table(shard).to_pylist()
    }
    rows = read(dataset, "train")
    assert rows.height == 40
    for row in rows.iter_rows(named=True):
        assert row["image"] == stored[row["record_id"]]
        assert row["image"]["path"] == f"{row['image_id']}.jpg"


def test_tags_are_closed_sorted_and_keep_those_outside_the_tag_list(museum, dataset: Path):
    listed = {tag["tag_id"] for tag in json.loads((dataset / "tag_list.json").read_text())["facets"]["materials"]}
    assert listed == {"300200001", "300200002"}
    rows = read(dataset, "inner_test")
    expected = {
        key[0]: part["tag_id"].sort().to_list()
        for key, part in museum.record_tags.filter(pl.col("facet") == "materials").group_by("record_id")
    }
    assert dict(rows.select("record_id", "materials").iter_rows()) == {
        r: expected.get(r, []) for r in rows["record_id"]
    }
    assert any("300200003" in tags for tags in rows["materials"])
    closed = rows.filter(pl.col("materials_stated").list.contains("300200002"))["materials"][0].to_list()
    assert closed == ["300200001", "300200002"]


def test_hashes_and_row_groups(museum, dataset: Path, tmp_path: Path):
    tag_list = json.loads((dataset / "tag_list.json").read_text())
    assert tag_list["split_hash"] == SPLIT_TABLE.write(museum.splits, tmp_path / "splits.parquet")
    files = sorted((dataset / "train").glob("*.parquet"))
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet"]
    parquet = pq.ParquetFile(files[0])
    assert [parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups)] == [8, 8, 4]
    assert parquet.schema_arrow.metadata[b"split_hash"].decode() == tag_list["split_hash"]
    assert parquet.schema_arrow.metadata[b"tag_list_hash"].decode() == tag_list["tag_list_hash"]


def test_tag_list_holds_labels_paths_and_training_counts(museum, dataset: Path):
    tags = json.loads((dataset / "tag_list.json").read_text())["facets"]
    assert sorted(tags) == sorted(FACETS)
    amphorae = next(tag for tag in tags["object_types"] if tag["tag_id"] == "300100003")
    assert amphorae["label"] == "amphorae"
    assert amphorae["labels"] == {"ca": "etiqueta 300100003", "en": "amphorae"}
    assert (amphorae["parent"], amphorae["depth"]) == ("300100002", 3)
    assert amphorae["path"] == ["300100001", "300100002", "300100003"]
    train = read(dataset, "train")
    assert amphorae["n_train"] == sum("300100003" in tags for tags in train["object_types"])


def test_same_tables_in_any_row_order_give_the_same_bytes(museum, dataset: Path, tmp_path: Path):
    def shuffle(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sample(fraction=1.0, shuffle=True, seed=5)

    again = write(
        museum,
        tmp_path / "dataset",
        records=shuffle(museum.records),
        record_tags=shuffle(museum.record_tags),
        tags=shuffle(museum.tags),
        splits=shuffle(museum.splits),
        split_tags=shuffle(museum.split_tags),
    )
    assert sha256_of(again) == sha256_of(dataset)


def test_a_failure_leaves_the_old_folder_and_no_rest(museum, tmp_path: Path):
    folder = write(museum, tmp_path / "dataset")
    before = sha256_of(folder)
    with pytest.raises(DatasetError, match="is in no row of records"):
        write(museum, folder, records=museum.records.head(3))
    ghost = museum.splits.with_columns(
        record_id=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("/9/ghost")).otherwise("record_id")
    )
    names = museum.records.vstack(museum.records.head(1).with_columns(record_id=pl.lit("/9/ghost")))
    with pytest.raises(DatasetError, match="/9/ghost view 0"):
        write(museum, folder, splits=ghost, records=names)
    assert sha256_of(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_whole_folder_replaces_all_of_the_old_one(tmp_path: Path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")
    with whole_folder(tmp_path / "x") as new:
        (new / "new").write_text("new")
        assert (tmp_path / "x" / "old").exists()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("labels", "language", "shown"),
    [
        ({"ca": "eina", "en": "tools"}, "ca", "eina"),
        ({"ca": "eina", "en": "tools"}, "nl", "tools"),
        ({"fr": "outil", "de": "Werkzeug"}, "nl", "Werkzeug"),
        ({}, "en", "aat:300022238"),
    ],
)
def test_a_label_falls_back_as_the_protocol_says(labels, language, shown):
    assert preferred_label(labels, "300022238", language) == shown
