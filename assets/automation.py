"""Jobs and schedules: what a person starts by name, and what starts by the clock."""

import dagster as dg

from assets.harvest import PARTITIONS
from assets.images import SLICES
from assets.partitions import every_partition

HARVEST = dg.AssetSelection.groups("harvest")
DATASET = dg.AssetSelection.groups("vocabulary", "curation", "images", "features")
SPLITS = dg.AssetSelection.groups("splits")
BENCHMARK = dg.AssetSelection.groups("splits", "training", "evaluation", "release")

JOBS = [
    dg.define_asset_job("harvest", HARVEST, description="Ask Europeana for records, and note withdrawn ones."),
    dg.define_asset_job("dataset", DATASET, description="From the records to usable images with tags and features."),
    dg.define_asset_job(
        "splits", SPLITS, description="Outer, inner and validation split of the dataset that is there."
    ),
    dg.define_asset_job("benchmark", BENCHMARK, description="From the splits to trained models, tables and release."),
]
# A run has partitions of one kind: collections for the harvest, slices for the dataset, none for the rest.
RUNS = {
    "harvest": ("harvest",),
    "dataset": ("harvest", "dataset"),
    "splits": ("splits",),
    "benchmark": ("harvest", "dataset", "benchmark"),
}
TAGS = {"harvest": every_partition(PARTITIONS), "dataset": every_partition(SLICES)}


def weekly_refresh() -> dg.ScheduleDefinition:
    """Monday at four: ask Europeana for what has changed, and rebuild what depends on it."""

    @dg.schedule(
        name="weekly_refresh",
        job_name="harvest",
        cron_schedule="0 4 * * 1",
        execution_timezone="UTC",
        description="Asks Europeana every Monday for what has changed; training starts by hand.",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        retries = {"dagster/max_retries": "2", "dagster/retry_strategy": "FROM_ASSET_FAILURE"}
        return dg.RunRequest(
            run_config={"ops": {"pages": {"config": {"mode": "refresh"}}}},
            tags={**TAGS["harvest"], **retries},
        )

    return refresh
