"""Parquet files of others that are damaged are told, wherever the damage is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.foreign_parquet import TableError, checked_batches


def rows_of(file: Path) -> int:
    sizes = {"most_rows": 200, "longest_text": 100, "bytes_per_row": 200}
    return sum(len(batch) for batch in checked_batches(file, ["record_id", "view"], **sizes))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A hundred images."""
    images = {"record_id": [f"/1/{number}" for number in range(100)], "view": pa.array(range(100), pa.int16())}
    pq.write_table(pa.table(images), tmp_path / "images.parquet", store_schema=False)
    return tmp_path / "images.parquet"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"PAR1", b"none"),
        (b"PAR1\x15", b"PAR1\xff"),  # the header of the first page
        (b"view", b"vi\xd2w"),  # in the footer, UTF-8 no more
    ],
    ids=["magic bytes", "page header", "column name"],
)
def test_a_damaged_file_is_told(file: Path, old: bytes, new: bytes):
    assert rows_of(file) == 100
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))
    with pytest.raises(TableError, match="it cannot be read"):
        rows_of(file)


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(TableError, match="it cannot be read"):
        rows_of(tmp_path)
