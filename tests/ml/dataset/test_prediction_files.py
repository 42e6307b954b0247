"""Prediction files: what is written is read again, and files of others need no column beyond the format's three."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.dataset.prediction_files import PredictionError, read_predictions, write_predictions
from ml.dataset.split import ImageSplit, load_split
from ml.dataset.tag_list import TagList, load_tag_list


@pytest.fixture
def written(museum: Path, tmp_path: Path) -> tuple[Path, ImageSplit, TagList, np.ndarray]:
    """Scores of the materials of the inner test, as a row writes them."""
    tags = load_tag_list(museum).only(["materials"])
    split = load_split(museum, "inner_test", tags)
    scores = np.random.default_rng(1).normal(size=(24, 4)).astype(np.float16).astype(np.float32)
    write_predictions({"materials": scores}, split, tags, tmp_path / "row", baseline="row", seed=1)
    return tmp_path / "row", split, tags, scores


def test_a_file_names_the_provider_of_each_image(written):
    folder, split, _, scores = written
    table = pq.read_table(folder / "inner_test" / "materials.parquet")
    assert table.column_names == ["record_id", "view", "data_provider", "scores"]
    assert tuple(table["data_provider"].to_pylist()) == split.providers
    assert np.array_equal(np.array(table["scores"].to_pylist(), np.float32), scores)


def test_a_file_without_providers_and_in_another_order_is_read_alike(written):
    folder, split, tags, scores = written
    file = folder / "inner_test" / "materials.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["data_provider"]).take(list(range(24))[::-1]), file)
    assert np.array_equal(read_predictions(folder, split, tags)["materials"], scores)


def test_a_missing_or_foreign_file_is_one_sentence(written, tmp_path: Path):
    folder, split, tags, _ = written
    with pytest.raises(PredictionError, match=r"There are no predictions in .*: train nobody first"):
        read_predictions(tmp_path / "nobody", split, tags)
    other = TagList(tags.split_hash, "another", tags.facets)
    with pytest.raises(PredictionError, match=r"for the tag list .*, the dataset has another; predict again"):
        read_predictions(folder, split, other)
    (folder / "inner_test" / "materials.parquet").write_bytes(b"no Parquet")
    with pytest.raises(PredictionError, match="cannot be read"):
        read_predictions(folder, split, tags)


def as_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What polars writes for a Categorical."""
    return column.dictionary_encode()


@pytest.mark.parametrize(
    ("column", "written_as"),
    [
        ("record_id", as_dictionary),
        ("record_id", lambda column: column.cast(pa.binary())),
        ("record_id", lambda column: column.cast(pa.large_string())),
        ("view", lambda column: column.cast(pa.uint64())),
        ("view", lambda column: column.cast(pa.float64())),
    ],
)
def test_ids_and_views_of_other_types_are_read_alike(written, column: str, written_as):
    folder, split, tags, scores = written
    file = folder / "inner_test" / "materials.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(column), column, written_as(table[column])), file)
    assert np.array_equal(read_predictions(folder, split, tags)["materials"], scores)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("record_id", pa.array(range(24)), "has record_id of type int64; write Europeana's ids"),
        ("record_id", pa.array([b"\xff"] * 24), "has a record_id that cannot be read"),
        ("view", pa.array([70_000] * 24), "has a view that cannot be read"),
        ("view", pa.array([0.5] * 24), "has a view that cannot be read"),
    ],
)
def test_ids_and_views_that_cannot_be_meant_are_one_sentence(written, column: str, values: pa.Array, message: str):
    folder, split, tags, _ = written
    file = folder / "inner_test" / "materials.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), file)
    with pytest.raises(PredictionError, match=message):
        read_predictions(folder, split, tags)


def test_metadata_that_polars_keeps_beside_the_arrow_schema_is_read(written):
    folder, split, tags, scores = written
    file = folder / "inner_test" / "materials.parquet"
    table = pq.read_table(file)
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    pl.from_arrow(table.replace_schema_metadata(None)).write_parquet(file, metadata=metadata)
    assert b"split_hash" not in (pq.read_schema(file).metadata or {})
    assert np.array_equal(read_predictions(folder, split, tags)["materials"], scores)


def bomb(file: Path, **columns: pa.Array | pa.ChunkedArray) -> None:
    """The file with these columns in place of its own."""
    table = pq.read_table(file)
    rows = len(next(iter(columns.values())))
    given = {name: columns.get(name, pa.repeat(table[name][0], rows)) for name in ("record_id", "view", "scores")}
    pq.write_table(pa.table(given).replace_schema_metadata(table.schema.metadata), file, compression="zstd")


def test_a_small_file_of_many_rows_is_refused_by_its_footer(written):
    folder, split, tags, _ = written
    file = folder / "inner_test" / "materials.parquet"
    bomb(file, view=pa.repeat(pa.scalar(0, pa.int16()), 3_000_000))
    assert file.stat().st_size < 1_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(PredictionError, match=r"is not read: it has 3,000,000 rows, of which at most 48 are read"):
        read_predictions(folder, split, tags)
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_a_text_that_a_dictionary_repeats_is_refused_before_it_is_repeated(written):
    folder, split, tags, _ = written
    file = folder / "inner_test" / "materials.parquet"
    bomb(file, record_id=pa.DictionaryArray.from_arrays(pa.array([0] * 24, pa.int32()), ["/1/" + "a" * 20_000]))
    with pytest.raises(
        PredictionError, match=r"is not read: it has a text of 20,003 bytes, of which at most 10,000 are read"
    ):
        read_predictions(folder, split, tags)
    bomb(file, record_id=pa.array([f"/1/{n}" + "a" * 100_000 for n in range(24)]))
    with pytest.raises(PredictionError, match=r"is not read: it has 2,\d{3},\d{3} bytes in 24 rows"):
        read_predictions(folder, split, tags)


@pytest.mark.parametrize("tag_ids", ["[" * 100_000, "{}", "[[1]]", "7", '["a", {}]', "\\ud800"])
def test_tag_ids_that_are_no_list_of_texts_are_one_sentence(written, tag_ids: str):
    folder, split, tags, _ = written
    file = folder / "inner_test" / "materials.parquet"
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"tag_ids": tag_ids.encode()}), file)
    with pytest.raises(PredictionError, match=r"tag_ids that are no list of texts|cannot be read"):
        read_predictions(folder, split, tags)
