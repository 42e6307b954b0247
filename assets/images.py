"""Stage images: downloads images at a polite rate, verifies them in worker processes, and stores them in shards."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from assets.engine.asset_factory import stage_asset
from assets.engine.console import bar, patience
from assets.engine.notes import SLICED
from assets.engine.plan import AssetPlan, Metadata
from assets.engine.project import Project, current_project
from assets.harvest import NETWORK_RETRY, SETTINGS, source_version
from assets.partitions import slices_backfill
from assets.sources import PROVIDERS, source
from pipeline.images.fetch import fetch_images
from pipeline.images.slices import slice_names, wanted_in_slice
from pipeline.images.takedowns import idle_takedowns
from pipeline.tables import FETCHES

# What decides which pictures are stored, and how; not how many are fetched at once, or how long we wait.
STORED = tuple(
    f"images.{name}"
    for name in (
        "short_side", "min_short_side", "jpeg_quality", "slices", "rows_per_shard", "max_shard_mb", "rows_per_group",
        "redirects", "max_bytes", "max_pixels", "decode_timeout_s", "decode_memory_mb", "placeholder_sha256",
        "allowed_addresses", "takedown_file",
    )
)  # fmt: skip


class FetchConfig(dg.Config):
    """Options of one round of fetching, for the Launchpad."""

    refresh: bool = Field(False, description="Ask for stored images again, with conditional requests.")
    retry_now: bool = Field(False, description="Ask for failed images now, before their next attempt is due.")


# Dagster's "Materialize all" follows partitioned assets only: without this edge it would leave the images out.
OF_PAGES = [] if SETTINGS.published else [dg.AssetDep("pages", partition_mapping=dg.AllPartitionMapping())]
SLICES = dg.StaticPartitionsDefinition(slice_names(current_project().settings.images.slices))


@stage_asset(
    AssetPlan(
        "images",
        writes=("fetches", "images"),
        settings=(*STORED, "harvest.image_source"),
        outside=source_version,
        takes_down=True,
        again=lambda config, before: config.refresh or config.retry_now or before.metadata["states"].get("failed", 0),
    ),
    kinds={"httpx", "pillow", "parquet"},
    pool="providers",
    retry_policy=NETWORK_RETRY,
    slices=SLICES,
    backfill_policy=slices_backfill(),
    deps=[source(PROVIDERS), *OF_PAGES],
)
def fetched_images(
    selected_records: pl.DataFrame, project: Project, storage: Path, config: FetchConfig, slice_name: str
) -> Metadata:
    """Resumable: failed images are asked for again when they are due. Placeholders, decompression bombs and broken
    files are rejected with a reason.

    Each slice has its own ledger and shards, so that several machines can work at once.
    """
    settings, started = project.settings, datetime.now(UTC)
    for name in SLICED:  # slices of another count hold the same rows
        for other in sorted((storage / name).glob("*-of-*")):
            if not other.name.endswith(slice_name[3:]):
                shutil.rmtree(other)
    ledger = storage / "cache" / "images" / slice_name
    everything, wanted = wanted_in_slice(selected_records, settings.harvest.image_source, slice_name)
    options: dict[str, Any] = {"refresh": config.refresh, "retry_now": config.retry_now}
    options |= {"shards": storage / "images" / slice_name, "patience": patience()}
    with bar(f"images {slice_name}", "URLs") as progress:
        summary = fetch_images(wanted, ledger, settings.images, settings.http, **options, progress=progress)
    table = storage / "fetches" / slice_name / "fetches.parquet"
    table.parent.mkdir(parents=True, exist_ok=True)
    (ledger / "fetches.parquet").replace(table)
    fetched = FETCHES.read(table, ["fetched_at"])["fetched_at"]
    new: dict[str, object] = {"recomputed": int((fetched >= started).sum()), "requests": summary.requests}
    images = {"rows": summary.usable, **new, "wanted": summary.wanted, "shards": summary.shards}
    images["taken_down"] = wanted.height - summary.wanted
    if idle := idle_takedowns(everything, settings.images.takedown_file):  # of all slices: a line is for one of them
        images["takedowns_that_name_nothing"] = list(idle)
    return {
        "fetches": {"rows": sum(summary.states.values()), **new, "states": summary.states, "reasons": summary.reasons},
        "images": images,
    }
