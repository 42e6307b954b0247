"""Stage images: fetched politely, verified in a worker that may die, stored in shards."""

from pathlib import Path

import polars as pl

from assets.harvest import NETWORK_RETRY, source_version
from assets.project import Project
from assets.stage import stage_asset
from pipeline.images.fetch import fetch_images

CODE = ("pipeline/http.py", "pipeline/images")


@stage_asset(
    "images",
    writes=("fetches", "images"),
    code=CODE,
    settings=("images",),
    kinds=frozenset({"httpx", "pillow", "parquet"}),
    outside=source_version,
    pool="providers",
    retry=NETWORK_RETRY,
)
def fetched_images(selected_records: pl.DataFrame, project: Project, storage: Path) -> dict[str, dict[str, object]]:
    """Resumable: only what failed is asked for again. Placeholders, bombs and broken files get a typed reason."""
    original = project.settings.harvest.image_source == "original"
    wanted = selected_records.select(
        "record_id",
        view=pl.lit(0, pl.Int16),
        url=pl.col("image_url") if original else pl.col("thumbnail_url"),
    )
    summary = fetch_images(wanted, storage, project.settings.images, project.settings.http)
    return {"fetches": summary.fetches_metadata(), "images": summary.images_metadata()}
