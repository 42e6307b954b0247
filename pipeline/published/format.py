"""The published EUFCC-340K format, both ways: its CSV rows as tables, and our tables as its CSV rows."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.facets import ALL_FACETS
from pipeline.files import whole_file
from pipeline.tables import PUBLISHED_ROWS
from pipeline.text_files import read_rows
from pipeline.vocabulary.thesaurus import fallback_label

# Facets without a published name have no column, and their tags are left out.
PUBLISHED_FACETS = tuple(facet for facet in ALL_FACETS if facet.published is not None)
FACET_COLUMNS = {
    facet.key: f"{facet.published}.hierarchy"
    for facet in sorted(PUBLISHED_FACETS, key=lambda facet: facet.published_column)
}
RECORD_COLUMNS = {0: "idInSource", 4: "#portraitMedia.original", 5: "database", 6: "repository.keeper"}
_AT = RECORD_COLUMNS | {facet.published_column: FACET_COLUMNS[facet.key] for facet in PUBLISHED_FACETS}
COLUMNS = tuple(_AT[position] for position in sorted(_AT))
_WITHOUT_FACETS = max(RECORD_COLUMNS) + 1  # columns that every file has; facets behind them may be younger than a file
SPLIT_FILES = {"train": "train.csv", "validation": "val.csv", "inner_test": "test_id.csv", "outer_test": "test_ood.csv"}
BETWEEN_TAGS = " $ "
BETWEEN_LEVELS = " | "
OUTSIDE = "*"  # before a term that is not in the Catalan list
FLAT = frozenset(facet.key for facet in PUBLISHED_FACETS if facet.published_flat)  # levels are tags side by side
DATABASE = "EUROPEANA"
TAG_MAP_FILE = "tags.csv"

ROWS_SCHEMA = pl.Schema(
    {
        "split": pl.String(),
        "row": pl.Int64(),
        "record_id": pl.String(),
        "image_url": pl.String(),
        "database": pl.String(),
        "data_provider": pl.String(),
    }
)
STATED_SCHEMA = pl.Schema(
    {
        "split": pl.String(),
        "row": pl.Int64(),
        "facet": pl.String(),
        "position": pl.Int64(),
        "path": pl.List(pl.String()),
    }
)


class PublishedError(ValueError):
    """A file that is not in the published format; the message names the file and the line."""


@dataclass(frozen=True)
class Published:
    """Rows in the published format.

    `rows`: split, row (from 1), record_id, image_url, database, data_provider. `stated`: split, row, facet, position
    (from 1, as written, repetitions too), path (the levels as written, with a leading `*` where there is one).
    `columns` are those of the files: older ones lack the last facets.
    """

    rows: pl.DataFrame
    stated: pl.DataFrame
    columns: tuple[str, ...] = COLUMNS

    @property
    def facets(self) -> list[str]:
        """The facets that the files have a column for, in the order of the facets."""
        return [facet.key for facet in PUBLISHED_FACETS if FACET_COLUMNS[facet.key] in self.columns]


def read_published(files: Mapping[str, Path]) -> Published:
    """The rows of the files, by split. Raises PublishedError."""
    parts, written = [ROWS_SCHEMA.to_frame().with_columns(pl.lit("").alias(each) for each in FACET_COLUMNS)], 0
    for split, file in files.items():
        cells, in_file = _cells(file)
        written = max(written, in_file)
        numbered = cells.select(pl.lit(split).alias("split"), pl.int_range(1, pl.len() + 1).alias("row"), pl.all())
        parts.append(numbered)
    rows = pl.concat(parts)
    return Published(rows.select(ROWS_SCHEMA.names()), _stated(rows), COLUMNS[:written] or COLUMNS)


def _cells(file: Path) -> tuple[pl.DataFrame, int]:
    """The rows of a file with a column per field, named as in ROWS_SCHEMA, and per facet; and how many it has."""
    own = ROWS_SCHEMA.names()[2:]
    columns = dict(zip([*own, *FACET_COLUMNS], [*RECORD_COLUMNS.values(), *FACET_COLUMNS.values()], strict=True))
    cells: dict[str, list[str]] = {name: [] for name in columns}
    written = 0
    for fields in _fields(file):
        written = max(written, len(fields))
        for name, column in columns.items():
            cells[name].append(fields.get(column, ""))
    return pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String)), written


def _stated(rows: pl.DataFrame) -> pl.DataFrame:
    """The tags in the facets' cells: STATED_SCHEMA, in the order in which they are written."""
    of_facets = []
    for number, facet in enumerate(FACET_COLUMNS):
        tags = pl.col(facet).str.split(BETWEEN_TAGS)
        of_facet = rows.with_row_index("at").filter(pl.col(facet) != "").select("at", "split", "row", tag=tags)
        of_facet = of_facet.with_columns(position=pl.int_ranges(1, pl.col("tag").list.len() + 1))
        each = of_facet.explode("tag", "position")
        # Most tags repeat: the texts of each path are kept once.
        paths = each.select(pl.col("tag").unique()).with_columns(path=pl.col("tag").str.split(BETWEEN_LEVELS))
        each = each.join(paths, on="tag", maintain_order="left").drop("tag")
        each = each.with_columns(facet=pl.lit(facet), column=pl.lit(number, dtype=pl.Int8))
        of_facets.append(each)
    ordered = pl.concat(of_facets).sort("at", "column", maintain_order=True)
    return ordered.select(pl.col(name).cast(dtype) for name, dtype in STATED_SCHEMA.items())


def read_official_splits(folder: Path) -> Published:
    """train.csv, val.csv, test_id.csv and test_ood.csv of the published repository, as many as are there."""
    files = {split: folder / name for split, name in SPLIT_FILES.items() if (folder / name).is_file()}
    if not files:
        raise PublishedError(f"{folder} holds none of {', '.join(SPLIT_FILES.values())}; name the published folder.")
    return read_published(files)


def write_published(published: Published, folder: Path) -> list[Path]:
    """One CSV per split, in the published names; what was read is written as it was."""
    cells: dict[tuple[str, int, str], list[list[str]]] = {}
    for split, row, facet, _, path in published.stated.sort("split", "row", "facet", "position").iter_rows():
        cells.setdefault((split, row, facet), []).append(path)
    written = []
    for (split,), rows in published.rows.sort("split", "row").group_by("split", maintain_order=True):
        file = folder / SPLIT_FILES[str(split)]
        with whole_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(published.columns)
            for _, number, *of_record in rows.iter_rows():
                tags = {
                    column: join_tags(cells.get((str(split), number, facet), []))
                    for facet, column in FACET_COLUMNS.items()
                }
                own = dict(zip(RECORD_COLUMNS.values(), of_record, strict=True))
                writer.writerow([{**tags, **own}[column] for column in published.columns])
        written.append(file)
    return written


def join_tags(tags: Sequence[Sequence[str]]) -> str:
    """The cell with these tags, each as its levels from the top."""
    return BETWEEN_TAGS.join(BETWEEN_LEVELS.join(levels) for levels in tags)


def published_tags(published: Published) -> pl.DataFrame:
    """One row per row, facet and tag, closed upwards: split, row, facet, path, stated; keyed by the full path.

    A label under two parents is two tags. The levels of a flat facet are tags side by side.
    """
    paths = published.stated.select("facet", "path").unique()
    closed = [
        (facet, path, list(tag), stated)
        for facet, path in paths.iter_rows()
        for tag, stated in _tags_of_path(facet, path)
    ]
    path = STATED_SCHEMA["path"]
    schema = pl.Schema({"facet": pl.String(), "path": path, "tag": path, "stated": pl.Boolean()})
    tags = pl.DataFrame(closed, schema=schema, orient="row").sort("facet", "tag")
    # Numbers in the tags' order: rows are grouped and sorted by them faster than by the paths.
    tags = tags.with_columns(number=pl.struct("facet", "tag").rle_id())
    numbered = published.stated.drop("position").join(tags.drop("tag"), on=["facet", "path"])
    return (
        numbered.group_by("split", "row", "number")
        .agg(pl.col("stated").any())
        .sort("split", "row", "number")
        .join(tags.select("number", "facet", path="tag").unique("number"), on="number", maintain_order="left")
        .select("split", "row", "facet", "path", "stated")
    )


def vocabulary_of(tags: pl.DataFrame) -> pl.DataFrame:
    """One row per facet and full path of these tags: facet, path, label, depth, outside (a leading `*`), n_rows."""
    return (
        tags.group_by("facet", "path")
        .agg(n_rows=pl.len().cast(pl.Int64))
        .with_columns(label=pl.col("path").list.last(), depth=pl.col("path").list.len().cast(pl.Int64))
        .with_columns(outside=pl.col("label").str.starts_with(OUTSIDE))
        .select("facet", "path", "label", "depth", "outside", "n_rows")
        .sort("facet", "path")
    )


def as_published(
    splits: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    *,
    language: str = "ca",
    written: pl.DataFrame | None = None,
) -> Published:
    """Our tables in the published format, one row per image; images that were left out of the splits are not written.

    Tags are the stated ones, by label in the asked language; a label of another language gets a leading `*`, as in the
    published files. A flat facet has all closed tags; a facet without a published name is left out. `tag_map` says
    which id each path stands for. `written` (PUBLISHED_ROWS) tells how the published files write the rows: they and
    their tags are in that order then, and otherwise by id and by path.
    """
    paths = {(row["facet"], row["tag_id"]): row["path"].split(BETWEEN_LEVELS) for row in tag_map(tags, language)}
    rows = _written_rows(splits, records, PUBLISHED_ROWS.empty() if written is None else written)
    of_record: dict[str, dict[str, list[list[str]]]] = {}
    told = record_tags.filter(
        pl.col("facet").is_in(list(FACET_COLUMNS)) & (pl.col("stated") | pl.col("facet").is_in(list(FLAT)))
    )
    for record_id, facet, tag_id in told.select("record_id", "facet", "tag_id").sort(pl.all()).iter_rows():
        of_record.setdefault(record_id, {}).setdefault(facet, []).append(paths[facet, tag_id])
    stated = []
    for split, row, record_id, cells in rows.select("split", "row", "record_id", "cells").iter_rows():
        texts = {cell["facet"]: cell["text"] for cell in cells or []}
        for facet in (each.key for each in PUBLISHED_FACETS):
            cell = _cell(facet, of_record.get(record_id, {}).get(facet, []), texts.get(facet, ""))
            stated += [(split, row, facet, position, path) for position, path in enumerate(cell, 1)]
    return Published(rows.select(ROWS_SCHEMA.names()), pl.DataFrame(stated, schema=STATED_SCHEMA, orient="row"))


def _written_rows(splits: pl.DataFrame, records: pl.DataFrame, written: pl.DataFrame) -> pl.DataFrame:
    """The rows of ROWS_SCHEMA with `cells`, numbered in the order in which they are written, else by id."""
    known = written.select("record_id", "view", "image_url", "database", "cells", at="row")
    return (
        splits.filter(pl.col("split").is_in(list(SPLIT_FILES)))
        .join(records.select("record_id", "data_provider", "thumbnail_url"), on="record_id", how="left")
        .join(known, on=["record_id", "view"], how="left")
        .sort("split", "at", "record_id", "view", nulls_last=True)
        .with_columns(
            row=pl.int_range(1, pl.len() + 1).over("split"),
            image_url=pl.coalesce("image_url", "thumbnail_url", pl.lit("")),
            database=pl.col("database").fill_null(DATABASE),
            data_provider=pl.col("data_provider").fill_null(""),
        )
        .cast({name: dtype for name, dtype in ROWS_SCHEMA.items() if name != "split"})
    )


def tag_map(tags: pl.DataFrame, language: str = "ca") -> list[dict[str, str]]:
    """One row per tag: facet, path (as in the CSV), tag_id, language of the label; no path twice in a facet.

    Two ids whose paths read the same (homographs under one parent) get their ids in brackets behind the label.
    """
    labels: dict[str, tuple[str, str]] = {}
    for tag_id, texts in tags.select("tag_id", "labels").iter_rows():
        label = fallback_label({each["language"]: each["text"] for each in texts}, tag_id, language)
        text = label.text.replace(BETWEEN_LEVELS, " / ").replace(BETWEEN_TAGS, " / ")
        labels[tag_id] = (text if label.fallback is None else OUTSIDE + text, label.language or "")
    known = tags.filter(pl.col("facet").is_in(list(FACET_COLUMNS))).sort("facet", "depth", "tag_id")
    texts_of = {tag_id: text for tag_id, (text, _) in labels.items()}
    for repeated in _homographs(known, texts_of):
        texts_of[repeated] = f"{texts_of[repeated]} [{repeated}]"
    return [
        {
            "facet": facet,
            "path": texts_of[tag_id] if facet in FLAT else BETWEEN_LEVELS.join(texts_of[each] for each in path),
            "tag_id": tag_id,
            "language": labels[tag_id][1],
        }
        for facet, tag_id, path in known.select("facet", "tag_id", "path").iter_rows()
    ]


def write_tag_map(tags: pl.DataFrame, folder: Path, language: str = "ca") -> Path:
    """`tags.csv` beside the published CSVs: facet, path, tag_id, language."""
    file = folder / TAG_MAP_FILE
    with whole_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ("facet", "path", "tag_id", "language"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(tag_map(tags, language))
    return file


def _homographs(tags: pl.DataFrame, texts: Mapping[str, str]) -> list[str]:
    """The ids that share facet, parent (in a flat facet: nothing more) and label with another id."""
    same: dict[tuple[str, str | None, str], list[str]] = {}
    for facet, parent, tag_id in tags.select("facet", "parent", "tag_id").iter_rows():
        same.setdefault((facet, None if facet in FLAT else parent, texts[tag_id]), []).append(tag_id)
    return [tag_id for ids in same.values() if len(ids) > 1 for tag_id in ids]


def _cell(facet: str, paths: list[list[str]], text: str) -> list[list[str]]:
    """The tags of one cell, in the order of `text`, the cell as it is written; those that it does not have come last.

    The tags of a flat facet stand side by side as the levels of one.
    """
    written = [tag.split(BETWEEN_LEVELS) for tag in text.split(BETWEEN_TAGS)] if text else []
    if facet in FLAT:
        labels = {label for path in paths for label in path}
        kept = [[label for label in levels if label in labels] for levels in written]
        new = sorted(labels.difference(*written))
        return [levels for levels in (*kept[:-1], [*(kept[-1] if kept else []), *new]) if levels]
    kept = [path for path in written if path in paths]
    return kept + sorted(path for path in paths if path not in kept)


def _tags_of_path(facet: str, path: Sequence[str]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The tags that a written path stands for, and whether each is stated (not merely above a stated one)."""
    if facet in FLAT:
        yield from (((level,), True) for level in path)
        return
    for depth in range(1, len(path) + 1):
        yield tuple(path[:depth]), depth == len(path)


def _fields(file: Path) -> Iterator[dict[str, str]]:
    for line in read_rows(file, COLUMNS[:_WITHOUT_FACETS], PublishedError):
        if tuple(line.fields) != COLUMNS[: len(line.fields)]:
            raise PublishedError(f"{file.name}: line 1 has other columns; a published file has {', '.join(COLUMNS)}.")
        yield line.fields
