"""Jobs, which a person starts, and schedules, which the clock starts."""

import os
from collections.abc import Mapping
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

REFRESH_CRON = "EUFCC_REFRESH_CRON"  # a cron expression for the weekly refresh
REFRESH = "eufcc/refresh"  # tag of every run of a refresh: the schedule that started it
JOB = "eufcc/job"  # tag of every run of a job: deploy/dagster.yaml allows one run of each at a time
# A run whose process or machine died is continued; one that failed by a mistake in data or code is not (dagster.yaml).
RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}


def _job(name: str, selection: dg.AssetSelection, description: str) -> Any:
    return dg.define_asset_job(name, selection, description=description, tags={**RETRY, JOB: name})


HARVEST_JOB = _job("harvest", HARVEST, "Harvests records from Europeana, and notes withdrawn ones.")
DATASET_JOB = _job("dataset", DATASET, "Makes usable images with tags and features from the records.")
SPLITS_JOB = _job("splits", SPLITS, "Splits the dataset: outer test, inner test, validation and training.")
BENCHMARK_JOB = _job("benchmark", BENCHMARK, "From the splits to trained models, result tables and release.")
RELEASE_CANDIDATE_JOB = _job(
    "release_candidate", SPLITS | RELEASE, "Makes the splits and the release folder, without training."
)
PROMOTE_JOB = _job("promote", PROMOTION, "Puts the best model to use, unless the one in use is better.")
JOBS = [HARVEST_JOB, DATASET_JOB, SPLITS_JOB, BENCHMARK_JOB, RELEASE_CANDIDATE_JOB, PROMOTE_JOB, TIDY_JOB]

# The jobs that a command runs. A run has partitions of one kind: collections, slices or none.
RUNS = {
    "harvest": ("harvest",),
    "dataset": ("harvest", "dataset"),
    "splits": ("splits",),
    "benchmark": ("harvest", "dataset", "benchmark"),
    "promote": ("promote",),
}
TAGS = {"harvest": every_partition(PARTITIONS), "dataset": every_partition(SLICES)}


def candidate_config() -> dict[str, Any]:
    """The configuration of a release candidate: every image of the last release keeps its split."""
    return {"ops": {"make_benchmark_splits": {"config": {"keep": True}}}}


def _schedule(
    name: str,
    job: Any,
    cron: str,
    description: str,
    configs: Mapping[str, Mapping[str, object]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.ScheduleDefinition:
    """A schedule, off until a person turns it on, that starts the job with these configurations of its steps."""

    @dg.schedule(name=name, job=job, cron_schedule=cron, execution_timezone="UTC", description=description)
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        ops = {step: {"config": config} for step, config in (configs or {}).items()}
        return dg.RunRequest(run_config={"ops": ops} if ops else {}, tags=tags)

    return schedule


SCHEDULES = [
    _schedule(
        "weekly_refresh",
        HARVEST_JOB,
        os.environ.get(REFRESH_CRON, "0 4 * * 1"),
        "Every Monday: harvests what Europeana has changed, then makes a release candidate. Training starts by hand.",
        configs={"pages": {"mode": "refresh"}},
        tags={**TAGS["harvest"], REFRESH: "weekly"},
    ),
    _schedule(
        "monthly_comparison",
        HARVEST_JOB,
        "0 4 2 * *",
        "On the second of every month: lists all ids again, to find the records that Europeana has withdrawn.",
        configs={"pages": {"mode": "refresh"}, "make_tombstones": {"compare": True}},
        tags={**TAGS["harvest"], REFRESH: "monthly"},
    ),
    _schedule(
        "monthly_tidying",
        TIDY_JOB,
        "0 3 1 * *",
        "On the first of every month: deletes runs that ended long ago from the event log.",
    ),
]
PAGES_SENSOR = dg.AutomationConditionSensorDefinition(
    "pages_for_people",
    target=dg.AssetSelection.assets("near_duplicates_page", "report"),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Redraws the near-duplicates page and the report when their tables have changed.",
)
