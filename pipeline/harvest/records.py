"""The `records` table from raw pages: a merge sort over files, so that memory stays flat for any number of records."""

import heapq
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from pipeline.files import sha256_of, whole_file
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.items import microseconds, row_of_item
from pipeline.harvest.store import MAX_BODY_BYTES, Generation, collections_in, read_items
from pipeline.settings import HarvestSettings
from pipeline.tables import RECORDS
from pipeline.texts import REPLACEMENT

ROWS_PER_RUN = 4_000  # sorted in memory at once
ROWS_PER_READ = 100  # of each run, while they are merged
ROWS_PER_GROUP = 4_000  # of the Parquet file

# A row before the merge: the item's columns and where it was found. Times are microseconds, quicker than datetimes.
_RUN_SCHEMA = pa.schema(
    [
        *(
            pa.field(field.name, pa.int64() if pa.types.is_timestamp(field.type) else field.type)
            for field in RECORDS.schema
            if field.name != "collections"
        ),
        pa.field("collection", pa.string()),
        pa.field("generation", pa.int64()),
    ]
)


def records_from_pages(
    folder: Path, settings: HarvestSettings | None = None, collections: Sequence[str] | None = None
) -> pl.DataFrame:
    """One row per record in the raw pages of these collections, or of all below the folder, held in memory.

    A record found by several collections is one row; of several answers the one updated last counts, among equals the
    first harvested. Caps of the settings keep the first records by id. Raises HarvestError when there is no record, or
    a collection was not harvested, or not to its end.
    """
    return pl.DataFrame(pa.concat_tables(_tables(folder, settings or HarvestSettings(), collections)))


def write_records(
    folder: Path,
    file: Path,
    settings: HarvestSettings | None = None,
    *,
    collections: Sequence[str] | None = None,
    left_out: set[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> str:
    """Write the same rows to a Parquet file without holding them all in memory; returns its sha256.

    Items whose id came damaged are no records; their ids are added to `left_out`.
    """
    with whole_file(file) as temporary, pq.ParquetWriter(temporary, RECORDS.schema, compression="zstd") as writer:
        for table in _tables(folder, settings or HarvestSettings(), collections, left_out, max_body_bytes):
            writer.write_table(table)
    return sha256_of(file)


def _tables(
    folder: Path,
    settings: HarvestSettings,
    collections: Sequence[str] | None,
    left_out: set[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Iterator[pa.Table]:
    """The table in sorted pieces, in order; at least one."""
    ids = set[str]() if left_out is None else left_out
    harvests = _complete_harvests(folder, collections)
    found = (row for harvest in harvests for row in _rows(harvest, ids, max_body_bytes))
    with tempfile.TemporaryDirectory(prefix="records-") as place:
        runs = [_write_run(rows, Path(place) / f"{n:06d}") for n, rows in enumerate(_pieces(found, ROWS_PER_RUN))]
        merged = heapq.merge(*(_read_run(run) for run in runs), key=_order)
        rows = _within_caps(_one_a_record(merged), settings)
        empty = True
        for piece in _pieces(rows, ROWS_PER_GROUP):
            empty = False
            yield _conformed(piece)
    if empty:
        raise HarvestError(f"The harvest is empty: the pages in {folder} hold no record. Harvest a collection first.")


def _complete_harvests(folder: Path, collections: Sequence[str] | None) -> list[Generation]:
    """Every finished harvest of the collections; a refresh that was not finished does not count yet."""
    complete: list[Generation] = []
    there = {found[0].collection: found for found in collections_in(folder).values()}
    wanted = list(there) if collections is None else list(dict.fromkeys(collections))
    if missing := [name for name in wanted if name not in there]:
        raise HarvestError(
            f"{len(missing)} of {len(wanted)} collections are not harvested: {', '.join(missing)}. Harvest them"
            " (`eufcc run harvest` goes on with what is there), or take them out of the collections in settings."
        )
    for found in (found for name, found in there.items() if name in wanted):
        harvests = [harvest for harvest in found if harvest.kind != "ids"]
        if harvests and not harvests[0].complete:
            raise HarvestError(
                f"The collection {harvests[0].collection!r} was not harvested to its end: harvest it again,"
                " it goes on at its last page."
            )
        complete += [harvest for harvest in harvests if harvest.complete]
    return complete


def _rows(harvest: Generation, left_out: set[str], max_body_bytes: int) -> Iterator[dict[str, Any]]:
    origin = {
        "collection": harvest.collection,
        "generation": int(harvest.folder.name.partition("-")[0]),
        "harvested_at": microseconds(datetime.fromisoformat(harvest.as_of)),
        "request": harvest.request,
    }
    for page in harvest.pages():
        try:
            items = read_items(page, max_body_bytes)
        except (OSError, ValueError) as error:
            raise HarvestError(
                f"The page {page} cannot be read ({error}): remove the folder of its collection and harvest it again."
            ) from error
        for item in items:
            if isinstance(item.get("id"), str) and REPLACEMENT in item["id"]:
                left_out.add(item["id"])
            elif isinstance(item.get("id"), str):
                yield {**row_of_item(item), **origin}


def _order(row: dict[str, Any]) -> tuple[str, int, int, str]:
    """By id; of one record the answer that counts comes first."""
    return row["record_id"], -(row["updated_at"] or 0), row["generation"], row["collection"]


def _write_run(rows: list[dict[str, Any]], file: Path) -> Path:
    table = pa.Table.from_pylist(sorted(rows, key=_order), schema=_RUN_SCHEMA)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, _RUN_SCHEMA) as writer:
        writer.write_table(table, max_chunksize=ROWS_PER_READ)
    return file


def _read_run(file: Path) -> Iterator[dict[str, Any]]:
    with pa.OSFile(str(file), "rb") as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield from reader.get_batch(number).to_pylist()


def _one_a_record(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for _, group in groupby(rows, key=itemgetter("record_id")):
        answers = list(group)
        yield {**answers[0], "collections": sorted({answer["collection"] for answer in answers})}


def _within_caps(rows: Iterable[dict[str, Any]], settings: HarvestSettings) -> Iterator[dict[str, Any]]:
    """The first records by id of each collection and of each provider, where a cap is set."""
    per_collection, per_provider = settings.max_records_per_collection, settings.max_records_per_provider
    in_collection: Counter[str] = Counter()
    of_provider: Counter[str] = Counter()
    for row in rows:
        provider = row["data_provider"]
        if per_provider is not None and of_provider[provider] >= per_provider:
            continue
        if per_collection is not None:
            row["collections"] = [name for name in row["collections"] if in_collection[name] < per_collection]
            if not row["collections"]:
                continue
        of_provider[provider] += 1
        in_collection.update(row["collections"])
        yield row


def _pieces(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists of that size, the last one shorter."""
    left = iter(rows)
    return iter(lambda: list(islice(left, size)), [])


def _conformed(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows in the schema of `records`; they are sorted and unique already."""
    columns = [pa.array([row[field.name] for row in rows], type=field.type) for field in RECORDS.schema]
    return pa.Table.from_arrays(columns, schema=RECORDS.schema)
