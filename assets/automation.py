"""Jobs and schedules: what a person starts by name, and what starts by the clock."""

import os
from typing import Any

import dagster as dg

from assets.engine.retention import TIDY_JOB
from assets.harvest import PARTITIONS
from assets.images import SLICES
from assets.partitions import every_partition

HARVEST = dg.AssetSelection.groups("harvest")
DATASET = dg.AssetSelection.groups("vocabulary", "curation", "images", "features")
SPLITS = dg.AssetSelection.groups("splits")
RELEASE = dg.AssetSelection.groups("release")
BENCHMARK = SPLITS | RELEASE | dg.AssetSelection.groups("training", "evaluation")
PROMOTION = dg.AssetSelection.groups("promotion")

REFRESH_CRON = "EUFCC_REFRESH_CRON"  # another time than Monday at four, as cron writes it
REFRESH = "eufcc/refresh"  # on every run of a refresh: which schedule began it
JOB = "eufcc/job"  # on every run of a job: deploy/dagster.yaml lets one run of each go on at a time
# What a dead process or machine leaves is taken up again; a mistake in data or code is not (dagster.yaml).
RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}


def _job(name: str, selection: dg.AssetSelection, description: str) -> Any:
    return dg.define_asset_job(name, selection, description=description, tags={**RETRY, JOB: name})


HARVEST_JOB = _job("harvest", HARVEST, "Ask Europeana for records, and note withdrawn ones.")
DATASET_JOB = _job("dataset", DATASET, "From the records to usable images with tags and features.")
SPLITS_JOB = _job("splits", SPLITS, "Outer, inner and validation split of the dataset that is there.")
BENCHMARK_JOB = _job("benchmark", BENCHMARK, "From the splits to trained models, tables and release.")
RELEASE_CANDIDATE_JOB = _job("release_candidate", SPLITS | RELEASE, "Splits and the release folder, without training.")
PROMOTE_JOB = _job("promote", PROMOTION, "Put the best model to use, unless the one in use is better.")
JOBS = [HARVEST_JOB, DATASET_JOB, SPLITS_JOB, BENCHMARK_JOB, RELEASE_CANDIDATE_JOB, PROMOTE_JOB, TIDY_JOB]

# A run has partitions of one kind: collections for the harvest, slices for the dataset, none for the rest.
RUNS = {
    "harvest": ("harvest",),
    "dataset": ("harvest", "dataset"),
    "splits": ("splits",),
    "benchmark": ("harvest", "dataset", "benchmark"),
    "promote": ("promote",),
}
TAGS = {"harvest": every_partition(PARTITIONS), "dataset": every_partition(SLICES)}


def candidate_config() -> dict[str, Any]:
    """A release candidate keeps every image of the last release in its split."""
    return {"ops": {"make_benchmark_splits": {"config": {"keep": True}}}}


@dg.schedule(
    name="weekly_refresh",
    job=HARVEST_JOB,
    cron_schedule=os.environ.get(REFRESH_CRON, "0 4 * * 1"),
    execution_timezone="UTC",
    description="Every Monday: what Europeana has changed, then on to a release candidate. Training starts by hand.",
)
def weekly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for what was updated since the last harvest."""
    return dg.RunRequest(
        run_config={"ops": {"pages": {"config": {"mode": "refresh"}}}},
        tags={**TAGS["harvest"], REFRESH: "weekly"},
    )


@dg.schedule(
    name="monthly_comparison",
    job=HARVEST_JOB,
    cron_schedule="0 4 2 * *",
    execution_timezone="UTC",
    description="Every second of a month: all ids are listed anew, to find the records that Europeana has withdrawn.",
)
def monthly_comparison(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for what was updated, and compare the full lists of ids."""
    return dg.RunRequest(
        run_config={
            "ops": {
                "pages": {"config": {"mode": "refresh"}},
                "make_tombstones": {"config": {"compare": True}},
            }
        },
        tags={**TAGS["harvest"], REFRESH: "monthly"},
    )


@dg.schedule(
    name="monthly_tidying",
    job=TIDY_JOB,
    cron_schedule="0 3 1 * *",
    execution_timezone="UTC",
    description="Every first of a month: runs that ended long ago leave the event log.",
)
def monthly_tidying(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """With the defaults of the job."""
    return dg.RunRequest()


SCHEDULES = [weekly_refresh, monthly_comparison, monthly_tidying]
CHEAP = dg.AutomationConditionSensorDefinition(
    "pages_for_people",
    target=dg.AssetSelection.assets("near_duplicates_page", "report"),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Draws the pages that people look at anew when their tables have changed. Nothing costly starts so.",
)
