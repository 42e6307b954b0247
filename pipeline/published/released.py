"""A release of the published dataset: what may be passed on of its mended splits, and how much had to stay behind."""

import shutil
from pathlib import Path

import polars as pl

from pipeline.published.official import count_tags, usable_tags
from pipeline.published.tables import PublishedTables
from pipeline.release.card import Facts
from pipeline.release.folder import write_dataset
from pipeline.release.pack import ReleaseTables, write_release
from pipeline.settings import Settings
from pipeline.tables import IMAGES, TOMBSTONES

RIGHTS_UNKNOWN = "left out: its rights are not known"
RIGHTS_CLOSED = "left out: its rights are not open"
TOLD = ("europeana_id", "rights_uri", "attribution", "landing_page")


def release_published(
    images: Path,
    tables: PublishedTables,
    written: pl.DataFrame,
    known: pl.DataFrame,
    open_: pl.DataFrame,
    folder: Path,
    settings: Settings,
) -> Facts:
    """Write the release folder of the mended splits, `tables.splits`; returns the facts that its card states.

    `written` is PUBLISHED_ROWS, for the files in the published format.
    `known` has the views whose rights are known (record_id, view), `open_` those that may be passed on, with what must
    be said of them (record_id, view, europeana_id, rights_uri, attribution, landing_page); those of a view without a
    picture do not count. Other records are in no file of the release but `splits.parquet`, which says why. Tags are
    counted again, and those without an image are left out.
    """
    known, open_ = (each.join(tables.splits, on=["record_id", "view"], how="semi") for each in (known, open_))
    splits = released_splits(tables.splits, known, open_)
    told = open_.select("record_id", *TOLD).unique("record_id", keep="first", maintain_order=True)
    records = tables.records.drop(TOLD, strict=False).join(told, on="record_id", how="left", maintain_order="left")
    pictures = IMAGES.read(images, ["record_id", "image_id"])
    released = splits.filter(pl.col("split") != "left_out")
    tags, record_tags = usable_tags(tables, pictures.join(released, on="record_id", how="semi"))
    counted = count_tags(splits, record_tags, tags, settings.splits)
    dataset = folder.with_name("released_dataset")
    try:
        write_dataset(images, records, record_tags, tags, splits, counted, dataset, settings.release)
        packed = ReleaseTables(records, record_tags, tags, counted, TOMBSTONES.empty(), written=written)
        return write_release(dataset, packed, folder, settings)
    finally:
        shutil.rmtree(dataset, ignore_errors=True)


def released_splits(splits: pl.DataFrame, known: pl.DataFrame, open_: pl.DataFrame) -> pl.DataFrame:
    """The splits without the images that may not be passed on: these are left out, with the reason."""
    is_open, is_known = (pl.col("record_id").is_in(each["record_id"].implode()) for each in (open_, known))
    stays = is_open | (pl.col("split") == "left_out")
    reason = pl.when(is_known).then(pl.lit(RIGHTS_CLOSED)).otherwise(pl.lit(RIGHTS_UNKNOWN))
    left_out = pl.lit("left_out")
    return splits.with_columns(
        split=pl.when(stays).then("split").otherwise(left_out),
        suite=pl.when(stays).then("suite").otherwise(left_out),
        reason=pl.when(stays).then("reason").otherwise(reason),
    )
