"""What changed between two releases: records added, changed, withdrawn, relabelled, and moved between splits."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline import FACETS
from pipeline.foreign_parquet import TableError, checked_batches, read_schema
from pipeline.limits import LIMITS, LimitSettings
from pipeline.release.folder import DatasetError

METADATA = ("rights_uri", "attribution", "landing_page", "title")
KINDS = ("added", "withdrawn", "changed", "relabelled", "moved")


@dataclass(frozen=True)
class ReleaseDiff:
    """`changes`: record_id, view, kind, before, after; one row per image and kind of change, sorted."""

    changes: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """Images by kind of change."""
        return {kind: self.changes.filter(kind=kind).height for kind in KINDS}

    def sentence(self) -> str:
        """The counts for people."""
        return ", ".join(f"{n:,} {kind}" for kind, n in self.counts.items())


def release_diff(first: Path, second: Path, limits: LimitSettings = LIMITS) -> ReleaseDiff:
    """Compare two release folders image by image.

    changed: another image or other rights, credit, title or page; relabelled: other tags; moved: another split.
    Facets that only one of them has are not compared. Raises DatasetError for a folder that is no release,
    and for one with more images or longer texts than the limits allow.
    """
    before, after = _read(first, limits), _read(second, limits)
    facets = [facet for facet in FACETS if facet in before.columns and facet in after.columns]
    keys = ["record_id", "view"]
    both = before.join(after, on=keys, how="inner", suffix="_after")
    parts = [
        _rows(after.join(before, on=keys, how="anti"), "added", pl.lit(None, pl.String), pl.col("split")),
        _rows(before.join(after, on=keys, how="anti"), "withdrawn", pl.col("split"), pl.lit(None, pl.String)),
        _rows(_differing(both, ["image_id", *METADATA]), "changed", *_values(["image_id", *METADATA])),
        _rows(_differing(both, _tag_columns(facets)), "relabelled", *_values(facets)),
        _rows(_differing(both, ["split"]), "moved", pl.col("split"), pl.col("split_after")),
    ]
    return ReleaseDiff(pl.concat(parts).sort("record_id", "view", "kind"))


def _read(folder: Path, limits: LimitSettings) -> pl.DataFrame:
    """The images of a release without their pixels, tags as text."""
    files = sorted((folder / "data").glob("*.parquet"))
    if not files:
        raise DatasetError(f"{folder} is no release: it has no data/*.parquet.")
    names = _schema(files[0]).names
    tag_columns = _tag_columns([facet for facet in FACETS if facet in names])
    columns = ["record_id", "view", "image_id", *METADATA, *tag_columns]
    parts = []
    left = limits.release_images
    for file in files:
        frame = _columns_of(file, columns, left, limits)
        left -= len(frame)
        split = file.name.rsplit("-", 3)[0]
        parts.append(
            frame.with_columns(pl.col(name).list.join(" ") for name in tag_columns).with_columns(split=pl.lit(split))
        )
    return pl.concat(parts)


def _schema(file: Path) -> pa.Schema:
    """The columns of one file. Raises DatasetError for what is no Parquet file."""
    try:
        return read_schema(file)
    except TableError as error:
        raise DatasetError(f"{file} cannot be compared: {error}.") from error


def _columns_of(file: Path, columns: list[str], most_rows: int, limits: LimitSettings) -> pl.DataFrame:
    """These columns of one file. Raises DatasetError for more than the limits allow."""
    sizes = {"bytes_per_row": limits.text_bytes * len(columns), "values_per_row": limits.values_per_row}
    try:
        batches = list(checked_batches(file, columns, most_rows=most_rows, longest_text=limits.text_bytes, **sizes))
    except TableError as error:
        raise DatasetError(f"{file} cannot be compared: {error}.") from error
    schema = _schema(file)
    for name in columns:
        _check_type(file, name, schema.field(name).type)
    empty = pa.schema([schema.field(name) for name in columns]).empty_table()
    return pl.DataFrame(pa.Table.from_batches(batches) if batches else empty)


def _check_type(file: Path, name: str, kind: pa.DataType) -> None:
    """Raises DatasetError for a column of another type than a release has."""
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_number, is_text = pa.types.is_integer(kind), _is_text(kind)
    if name == "view":
        wanted, right = "whole numbers", is_number
    elif name in _tag_columns(list(FACETS)):
        wanted, right = "lists of texts", listed and _is_text(kind.value_type)
    else:
        wanted, right = "texts", is_text
    if not right:
        raise DatasetError(f"{file} cannot be compared: its column {name} holds {kind}; a release has {wanted} there.")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _tag_columns(facets: list[str]) -> list[str]:
    return [name for facet in facets for name in (facet, f"{facet}_stated")]


def _differing(both: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    return both.filter(pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"{c}_after")) for c in columns))


def _values(columns: list[str]) -> tuple[pl.Expr, pl.Expr]:
    """The differing values of the columns as text, before and after."""

    def text(suffix: str) -> pl.Expr:
        shown = [
            pl.when(pl.col(c).ne_missing(pl.col(f"{c}_after"))).then(
                pl.format("{}={}", pl.lit(c), pl.col(f"{c}{suffix}").fill_null(""))
            )
            for c in columns
        ]
        return pl.concat_str(shown, separator="; ", ignore_nulls=True)

    return text(""), text("_after")


def _rows(frame: pl.DataFrame, kind: str, before: pl.Expr, after: pl.Expr) -> pl.DataFrame:
    return frame.select(
        "record_id", "view", kind=pl.lit(kind), before=before.cast(pl.String), after=after.cast(pl.String)
    )
