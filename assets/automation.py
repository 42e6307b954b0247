"""Jobs and schedules: what a person starts by name, and what starts by the clock."""

import dagster as dg

HARVEST = dg.AssetSelection.groups("harvest")
DATASET = HARVEST | dg.AssetSelection.groups("vocabulary", "curation", "images", "features")
SPLITS = dg.AssetSelection.groups("splits")
EVERYTHING = dg.AssetSelection.all()

JOBS = [
    dg.define_asset_job("harvest", HARVEST, description="Ask Europeana for records, and note withdrawn ones."),
    dg.define_asset_job("dataset", DATASET, description="From the records to usable images with tags and features."),
    dg.define_asset_job(
        "splits", SPLITS, description="Outer, inner and validation split of the dataset that is there."
    ),
    dg.define_asset_job("benchmark", EVERYTHING, description="Everything: harvest, splits, training, tables, release."),
]


def every_partition(partitions: dg.StaticPartitionsDefinition) -> dict[str, str]:
    """Tags of a run that takes all keyword collections at once."""
    keys = partitions.get_partition_keys()
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}


def weekly_refresh(partitions: dg.StaticPartitionsDefinition) -> dg.ScheduleDefinition:
    """Monday at four: ask Europeana for what has changed, and rebuild what depends on it."""

    @dg.schedule(
        name="weekly_refresh",
        job_name="dataset",
        cron_schedule="0 4 * * 1",
        execution_timezone="UTC",
        description="Asks Europeana every Monday for what has changed; training starts by hand.",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        retries = {"dagster/max_retries": "2", "dagster/retry_strategy": "FROM_ASSET_FAILURE"}
        return dg.RunRequest(
            run_config={"ops": {"pages": {"config": {"mode": "refresh"}}}},
            tags={**every_partition(partitions), **retries},
        )

    return refresh
