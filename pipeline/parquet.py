"""Parquet files written atomically, sorted and cast to a schema: equal content is equal bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import sha256_of, whole_file
from pipeline.foreign_parquet import TableError

ROWS_PER_GROUP = 100_000
SLICE = 1_000_000  # rows whose order is checked at a time


@dataclass(frozen=True)
class Column:
    """A column: `meaning` is shown to people, with the unit where there is one."""

    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table: `row` says what one row is; rows are unique in `key` and stored sorted by it."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that every file of this table has."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def conform(self, rows: pl.DataFrame | pa.Table) -> pa.Table:
        """The rows cast to the schema and sorted by the key, so that equal content is equal bytes.

        Raises TableError for a missing or unknown column, a value that does not fit, an empty or repeated key.
        """
        table = rows.to_arrow() if isinstance(rows, pl.DataFrame) else rows
        wanted, given = set(self.schema.names), set(table.schema.names)
        if wanted != given:
            raise TableError(
                f"{self.name}: columns missing {sorted(wanted - given)}, unknown {sorted(given - wanted)}."
            )
        try:
            table = table.select(self.schema.names).cast(self.schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(f"{self.name}: {error}") from error
        if not self.ascends(table):  # sorting copies every row; most tables come sorted
            table = table.sort_by([(name, "ascending") for name in self.key])
            self._check_key(table)
        return table

    def write(self, rows: pl.DataFrame | pa.Table, file: Path, *, row_group_size: int = ROWS_PER_GROUP) -> str:
        """Write the rows atomically; returns the sha256 of the file."""
        return write_parquet(self.conform(rows), file, row_group_size=row_group_size)

    def read(self, file: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows of the file, or of the shards when `file` is a folder; only the given columns, if given."""
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        try:
            return pl.DataFrame(pq.read_table(file, schema=schema, columns=schema.names))
        except FileNotFoundError:
            raise
        except (pa.ArrowInvalid, OSError) as error:
            raise TableError(
                f"{self.name}: {file} is damaged ({error}): delete it, then run the job again that makes it."
            ) from error

    def empty(self) -> pl.DataFrame:
        """A frame without rows, with this table's columns."""
        return self.frame([])

    def frame(self, rows: list[dict[str, object]]) -> pl.DataFrame:
        """The given rows as a frame with this table's columns; a missing value is null."""
        return pl.DataFrame(pa.Table.from_pylist(rows, schema=self.schema))

    def ascends(self, table: pa.Table) -> bool:
        """Whether every row's key is greater than the one before, so that the table is sorted and no key repeats."""
        larger, equal = pl.lit(False), pl.lit(True)
        for name in self.key:
            before = pl.col(name).shift(1)
            larger = larger | (equal & (pl.col(name) > before))
            equal = equal & (pl.col(name) == before)
        for start in range(0, table.num_rows, SLICE):  # in slices, so that no second copy of long keys is made
            keys = pl.DataFrame(table.select(list(self.key)).slice(max(0, start - 1), SLICE + 1))
            if any(keys.null_count().row(0)):
                return False
            if not keys.select(larger.slice(1).all()).item():
                return False
        return True

    def _check_key(self, table: pa.Table) -> None:
        keys = pl.DataFrame(table.select(list(self.key)))
        if any(keys.null_count().row(0)):
            raise TableError(f"{self.name}: a row without a value in its key {self.key}.")
        repeated = keys.filter(keys.is_duplicated())
        if not repeated.is_empty():
            raise TableError(f"{self.name}: the key {self.key} repeats, for example {repeated.row(0)}.")


def write_parquet(table: pa.Table, file: Path, *, row_group_size: int) -> str:
    """Write an Arrow table to a Parquet file atomically; returns the sha256 of the file."""
    with whole_file(file) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            row_group_size=row_group_size,
            write_statistics=True,
            store_schema=True,
        )
    return sha256_of(file)
