"""The published CSV files as a dataset folder without pictures: `eufcc import-published`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import whole_folder, write_json, write_text
from pipeline.parquet import ROWS_PER_GROUP
from pipeline.published.format import SPLIT_FILES, TAG_MAP_FILE, Published, PublishedError, read_official_splits
from pipeline.published.tables import PublishedTables, as_tables, with_views
from pipeline.release.folder import annotate_images, build_tag_list, dataset_schema
from pipeline.tables import RECORD_TAGS, RECORDS, SPLIT_TABLE, TAGS
from pipeline.templates import render
from pipeline.terminal import one_line

TRAINING = "train"
WITH_URI = r"[?&]uri=[^&]"  # what a thumbnail's URL has where it names the museum's own picture


@dataclass(frozen=True)
class Imported:
    """`rows`: per split; `tags`: those with training rows, per facet; `remarks`: sentences on what was found amiss."""

    rows: dict[str, int]
    tags: dict[str, int]
    remarks: list[str]


def import_published(folder: Path, out: Path) -> Imported:
    """Write the dataset folder `out` from the published CSV files in `folder`, as many of them as are there.

    It is laid out as the folder that models read, without the column `image` and with `image_id` null, and has the four
    tables beside it. `datasets.load_dataset` and `eufcc evaluate` open it. The same files give the same bytes. Rows
    without an id are left out. Raises PublishedError for a folder without train.csv, for a file in another format, and
    for an `out` that is not empty.
    """
    out = out.expanduser().resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PublishedError(f"{out} exists and is not empty; name a new folder.")
    published, remarks = read_folder(folder)
    rows, tags = _write(published, as_tables(published), out, remarks)
    return Imported(rows, tags, remarks)


def read_folder(folder: Path | None) -> tuple[Published, list[str]]:
    """The rows with an id of the published CSV files in a folder, and what is missing or amiss.

    Raises PublishedError without a folder, for one without training rows, and for a file in another format.
    """
    if folder is None:
        raise PublishedError("The setting `published` names no folder: set PUBLISHED to the one with train.csv.")
    if not (folder / SPLIT_FILES[TRAINING]).is_file():
        raise PublishedError(f"{folder} has no {SPLIT_FILES[TRAINING]}: nothing says which tags can be learnt.")
    read = read_official_splits(folder)
    published = with_ids(read)
    if published.rows.filter(split=TRAINING).is_empty():
        raise PublishedError(f"{folder / SPLIT_FILES[TRAINING]} has no rows with an id.")
    return published, [*remarks_on_files(folder), *remarks_on_rows(read)]


def with_ids(published: Published) -> Published:
    """Without the rows that have no id."""
    rows = published.rows.filter(pl.col("record_id").str.strip_chars() != "")
    if rows.height == published.rows.height:
        return published
    stated = published.stated.join(rows, on=["split", "row"], how="semi", maintain_order="left")
    return Published(rows, stated, published.columns)


def remarks_on_files(folder: Path) -> Iterator[str]:
    """Which files of the published dataset are missing, and which CSV files belong to no split."""
    missing = [name for name in SPLIT_FILES.values() if not (folder / name).is_file()]
    if missing:
        yield f"Missing: {', '.join(missing)}. Their splits are left out."
    known = {*SPLIT_FILES.values(), TAG_MAP_FILE}
    unknown = sorted(one_line(file.name) for file in folder.glob("*.csv") if file.name not in known)
    if unknown:
        yield f"Not read, since no split of the published dataset has this name: {', '.join(unknown)}."


def remarks_on_rows(published: Published) -> Iterator[str]:
    """What is amiss with the rows: a sentence per kind with the count and an example."""
    url, named = pl.col("image_url"), pl.col("record_id").str.strip_chars() != ""
    tagged = pl.struct("split", "row").is_in(published.stated.select(pl.struct("split", "row")).to_series().implode())
    kinds = {
        "Rows without an id (idInSource), which are left out": ~named,
        "Rows without a tag, which a run leaves out of its splits": named & ~tagged,
        "Rows without the URL of a picture": named & (url == ""),
        "Rows whose URL has no `uri`, so that the museum's own picture is unknown": (
            named & (url != "") & ~url.str.contains(WITH_URI)
        ),
    }
    for kind, condition in kinds.items():
        found = published.rows.filter(condition)
        if not found.is_empty():
            split, row = found.select("split", "row").row(0)
            yield f"{kind}: {found.height:,}, first row {row:,} of {SPLIT_FILES[split]}."
    yield from _remarks_on_ids(published.rows.filter(named))


def _remarks_on_ids(rows: pl.DataFrame) -> Iterator[str]:
    """Ids with several rows, and those of them whose rows are in several splits."""
    repeated = rows.filter(pl.col("record_id").is_duplicated())
    splits = repeated.group_by("record_id", maintain_order=True).agg(pl.col("split").unique(maintain_order=True))
    crossing = splits.filter(pl.col("split").list.len() > 1)
    if not splits.is_empty():
        yield (
            "Ids with several rows, which count as views of one record and share its tags: "
            f"{splits.height:,}, first {one_line(splits['record_id'][0])}."
        )
    if not crossing.is_empty():
        record_id, names = crossing.row(0)
        yield (
            "Ids with rows in several splits, so that a test has what is trained on: "
            f"{crossing.height:,}, first {one_line(record_id)} in {' and '.join(names)}."
        )


def _write(
    published: Published, tables: PublishedTables, out: Path, remarks: list[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """The folder; returns the rows per split and the scored tags per facet."""
    with whole_folder(out) as new:
        for table, rows in (
            (RECORDS, tables.records),
            (TAGS, tables.tags),
            (RECORD_TAGS, tables.record_tags),
        ):
            table.write(rows, new / f"{table.name}.parquet")
        split_hash = SPLIT_TABLE.write(tables.splits, new / "splits.parquet")
        tag_list = build_tag_list(tables.tags, _training_rows(tables), split_hash)
        write_json(tag_list, new / "tag_list.json", sort_keys=True)
        metadata = {"split_hash": split_hash, "tag_list_hash": str(tag_list["tag_list_hash"])}
        urls = with_views(published).select("record_id", "view", "image_url")
        rows_of = annotate_images(tables.splits, tables.records, tables.record_tags).join(
            urls, on=["record_id", "view"], maintain_order="left"
        )
        counts = {}
        for split in (each for each in SPLIT_FILES if each in published.rows["split"]):
            of_split = rows_of.filter(split=split)
            counts[split] = of_split.height
            _write_split(of_split, new / split, metadata)
        tags = {facet: len(listed) for facet, listed in tag_list["facets"].items()}
        template = Path(__file__).with_name("dataset.md")
        write_text(render(template, rows=counts, tags=tags, remarks=remarks), new / "README.md")
    return counts, tags


def _training_rows(tables: PublishedTables) -> pl.DataFrame:
    """Per tag: tag_id, train (its training rows), scored (whether there are any)."""
    training = tables.splits.filter(split=TRAINING).select("record_id")
    of_tags = training.join(tables.record_tags, on="record_id").group_by("tag_id").agg(train=pl.len().cast(pl.Int64))
    counted = tables.tags.select("tag_id").join(of_tags, on="tag_id", how="left", maintain_order="left")
    return counted.with_columns(pl.col("train").fill_null(0)).with_columns(scored=pl.col("train") > 0)


def _write_split(rows: pl.DataFrame, folder: Path, metadata: dict[str, str]) -> None:
    folder.mkdir()
    # The id of an image is the sha256 of bytes that are not here.
    known = rows.with_columns(image_id=pl.lit(None, dtype=pl.String))
    fields = [field for field in dataset_schema() if field.name != "image"]
    schema = pa.schema([*fields, pa.field("image_url", pa.string())], metadata)
    table = known.select(schema.names).to_arrow().cast(schema)
    pq.write_table(table, folder / "part-00000.parquet", compression="zstd", row_group_size=ROWS_PER_GROUP)
