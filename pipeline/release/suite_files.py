"""The splits of the suites as a release carries them: one Parquet file for each suite, one row for each image."""

from pathlib import Path

import numpy as np
import polars as pl

from pipeline import DATASET_SPLITS
from pipeline.files import write_json
from pipeline.settings import Suite, SuiteSettings
from pipeline.splits.suites import Annotated, annotated_images, splits_of

FOLDER = "suites"
ASKED = "asked.json"  # the tags that each split of each suite asks for; null where it asks for all


def write_suites(
    splits: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    settings: SuiteSettings,
    folder: Path,
) -> list[str]:
    """Write `<suite>.parquet` and `asked.json`; the suites' names.

    Columns: record_id, view, `test` (names of the suite's splits whose test has the image) and `left_out` (those that
    have it neither in test nor in training); in all others it is training. The splits are drawn from all tagged
    images, as in the suites' results, and told for the released ones.
    """
    rows = (
        splits.select("record_id", "view", "group_id", "split")
        .join(record_tags.select("record_id").unique(), on="record_id", how="semi")
        .join(records.select("record_id", pl.col("data_provider").fill_null("")), on="record_id")
        .sort("record_id", "view")
    )
    images = annotated_images(rows, record_tags, tags)
    folder.mkdir()
    asked = {}
    for name, suite in settings.suites.items():
        told, asked[name] = _told(rows, images, suite, settings.seed)
        told.write_parquet(folder / f"{name}.parquet", compression="zstd")
    write_json(asked, folder / ASKED, sort_keys=True)
    return list(settings.suites)


def _told(
    rows: pl.DataFrame, images: Annotated, suite: Suite, seed: int
) -> tuple[pl.DataFrame, dict[str, list[str] | None]]:
    """Each released image's place in the suite's splits, and the tags that each split asks for."""
    test: list[list[str]] = [[] for _ in range(rows.height)]
    left_out: list[list[str]] = [[] for _ in range(rows.height)]
    asked: dict[str, list[str] | None] = {}
    for split in splits_of(suite, images, seed):
        everything = len(split.asked) == len(images.tag_ids)
        asked[split.name] = None if everything else images.tag_ids[split.asked].tolist()
        for at in split.test.tolist():
            test[at].append(split.name)
        unused = np.ones(rows.height, bool)
        unused[split.train] = unused[split.test] = False
        for at in np.flatnonzero(unused).tolist():
            left_out[at].append(split.name)
    placed = rows.with_columns(
        pl.Series("test", test, dtype=pl.List(pl.String)), pl.Series("left_out", left_out, dtype=pl.List(pl.String))
    )
    released = placed.filter(pl.col("split").is_in(DATASET_SPLITS))
    return released.select("record_id", "view", "test", "left_out"), asked
