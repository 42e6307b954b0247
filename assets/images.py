"""Stage images: fetched politely, verified in a worker that may die, stored in shards."""

from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from assets.console import bar
from assets.harvest import NETWORK_RETRY, source_version
from assets.project import Project
from assets.stage import stage_asset
from pipeline.images.fetch import fetch_images
from pipeline.images.wanted import wanted_images

CODE = ("pipeline/http.py", "pipeline/images")


class FetchConfig(dg.Config):
    """What may be changed in the Launchpad for one round of fetching."""

    refresh: bool = Field(False, description="Ask again for images that are there, by conditional requests.")
    retry_now: bool = Field(False, description="Ask for failed images at once, before their next try is due.")


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
def fetched_images(
    selected_records: pl.DataFrame, project: Project, storage: Path, config: FetchConfig
) -> dict[str, dict[str, object]]:
    """Resumable: only what failed is asked for again. Placeholders, bombs and broken files get a typed reason."""
    wanted = wanted_images(selected_records, project.settings.harvest.image_source)
    summary = fetch_images(
        wanted,
        storage,
        project.settings.images,
        project.settings.http,
        refresh=config.refresh,
        retry_now=config.retry_now,
        progress=bar("images", "URLs"),
    )
    fetched = {"rows": sum(summary.states.values()), "states": summary.states, "reasons": summary.reasons}
    return {"fetches": fetched, "images": {"rows": summary.usable, "wanted": summary.wanted, "shards": summary.shards}}
