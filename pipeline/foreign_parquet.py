"""Parquet files that somebody else has made, read within limits. Needs pyarrow alone: nodes that only train use it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_BATCH = 10_000
BYTES_PER_BATCH = 256 << 20
SLACK = 1 << 20  # bytes of headers and levels that every file may have beside its values
TEXT_BYTES = 10_000  # of an id, a name or an address; the longest URL that is fetched has 8,000


# What pyarrow raises for a file that is damaged or none: OSError for a broken header, UnicodeDecodeError for a name.
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)


class TableError(ValueError):
    """Rows that do not fit their table: the message names the table, the column and an example."""


def checked_batches(
    file: Path,
    columns: Sequence[str],
    *,
    most_rows: int,
    longest_text: int,
    bytes_per_row: int,
    values_per_row: int = 1,
) -> Iterator[pa.RecordBatch]:
    """These columns of a file that somebody else has made, in batches, if they are not too large.

    The footer is judged before anything else is read. A text or an image that a dictionary repeats can be as large as
    its whole chunk, so a batch has as many rows as would fit if each were. Raises TableError.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            largest = _judged(parquet.metadata, columns, most_rows, bytes_per_row, values_per_row)
            rows = min(ROWS_PER_BATCH, max(1, BYTES_PER_BATCH // max(largest, 1)))
            for batch in parquet.iter_batches(batch_size=rows, columns=list(columns)):
                for column in batch.columns:
                    _check_texts(column, longest_text)
                yield batch
    except UNREADABLE as error:
        raise TableError(f"it cannot be read ({error})") from error


def read_schema(file: Path) -> pa.Schema:
    """The columns of a file that somebody else has made. Raises TableError."""
    try:
        return pq.read_schema(file)
    except UNREADABLE as error:
        raise TableError(f"it cannot be read ({error})") from error


def _judged(footer: pq.FileMetaData, columns: Sequence[str], rows: int, row_bytes: int, row_values: int) -> int:
    """The bytes of the largest chunk. Raises TableError for more rows, bytes or values than allowed."""
    leaves = [footer.schema.column(number).path.partition(".")[0] for number in range(footer.num_columns)]
    if missing := [name for name in columns if name not in leaves]:
        raise TableError(f"it has no column {missing[0]}")
    asked = [number for number, name in enumerate(leaves) if name in columns]
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in asked]
    size = sum(chunk.total_uncompressed_size for chunk in chunks)
    values = max((sum(group.column(number).num_values for group in groups) for number in asked), default=0)
    if footer.num_rows > rows:
        raise TableError(f"it has {footer.num_rows:,} rows, of which at most {rows:,} are read")
    if size > footer.num_rows * row_bytes + SLACK:
        raise TableError(f"it has {size:,} bytes in {footer.num_rows:,} rows, which is too much")
    if values > footer.num_rows * row_values:
        raise TableError(f"it has {values:,} values of one column in {footer.num_rows:,} rows, which is too much")
    return max((chunk.total_uncompressed_size for chunk in chunks), default=0)


def _check_texts(column: pa.Array, longest: int) -> None:
    """Raises TableError for a text of more bytes than `longest`; binary values, as images, may be longer."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        _check_texts(column.flatten(), longest)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        length = pc.max(pc.binary_length(column)).as_py() or 0
        if length > longest:
            raise TableError(f"it has a text of {length:,} bytes, of which at most {longest:,} are read")
