"""Tables are written whole, sorted, and equal to the byte when their content is equal."""

from pathlib import Path

import polars as pl
import pytest

from pipeline.files import sha256_of, whole_file
from pipeline.foreign_parquet import TableError
from pipeline.tables import TABLES, TOMBSTONES

ROWS = [{"record_id": "/b/1", "reason": "gone"}, {"record_id": "/a/1", "reason": "gone"}]


def test_rows_in_any_order_give_the_same_bytes(tmp_path: Path):
    TOMBSTONES.write(TOMBSTONES.frame(ROWS), tmp_path / "one.parquet")
    TOMBSTONES.write(TOMBSTONES.frame(ROWS[::-1]), tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert TOMBSTONES.read(tmp_path / "one.parquet")["record_id"].to_list() == ["/a/1", "/b/1"]


def test_a_repeated_key_names_the_table_and_the_row(tmp_path: Path):
    with pytest.raises(TableError, match=r"tombstones: the key .* repeats, for example \('/b/1',\)"):
        TOMBSTONES.write(TOMBSTONES.frame([*ROWS, ROWS[0]]), tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_column_is_refused(tmp_path: Path):
    rows = TOMBSTONES.frame(ROWS).with_columns(pl.lit(1).alias("colour"))
    with pytest.raises(TableError, match=r"unknown \['colour'\]"):
        TOMBSTONES.write(rows, tmp_path / "t.parquet")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path):
    target = tmp_path / "t.bin"
    target.write_bytes(b"old")

    def fail_midway() -> None:
        with whole_file(target) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail_midway()
    assert [file.name for file in tmp_path.iterdir()] == ["t.bin"]
    assert target.read_bytes() == b"old"


def test_a_folder_hash_changes_with_a_name(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x")
    before = sha256_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256_of(tmp_path) != before


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_says_what_a_row_and_a_column_is(table):
    assert table.row.endswith(".")
    assert set(table.key) <= {column.name for column in table.columns}
    assert all(column.meaning for column in table.columns)
