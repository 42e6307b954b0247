"""Jobs, which a person starts, with their run configuration, and schedules, which the clock starts."""

import os
from typing import Any

import dagster as dg

from assets.engine.project import Project
from assets.engine.retention import TIDY_JOB
from assets.harvest import PARTITIONS, SETTINGS
from assets.images import SLICES
from assets.partitions import every_partition

REFRESH_CRON = "EUFCC_REFRESH_CRON"  # a cron expression for the weekly refresh
REFRESH = "eufcc/refresh"  # tag of every run of a refresh: the schedule that started it
JOB = "eufcc/job"  # tag of every run of a job: deploy/dagster.yaml allows one run of each at a time
# A run whose process or machine died is continued; one that failed by a mistake in data or code is not (dagster.yaml).
RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}


# The stages of each job.
STAGES_OF = {
    "harvest": ("harvest",),
    "dataset": ("vocabulary", "curation", "images", "features"),
    "splits": ("splits",),
    "benchmark": ("splits", "release", "training", "evaluation"),
    "release_candidate": ("splits", "release"),
    "suites": ("suites",),
    "controls": ("controls",),
    "promote": ("promotion",),
}


def _job(name: str, description: str) -> Any:
    selection = dg.AssetSelection.groups(*STAGES_OF[name])
    return dg.define_asset_job(name, selection, description=description, tags={**RETRY, JOB: name})


HARVEST_JOB = _job("harvest", "Harvests records from Europeana, and notes withdrawn ones.")
DATASET_JOB = _job("dataset", "Makes usable images with tags and features from the records.")
SPLITS_JOB = _job("splits", "Splits the dataset: outer test, inner test, validation and training.")
BENCHMARK_JOB = _job("benchmark", "From the splits to trained models, result tables and release.")
RELEASE_CANDIDATE_JOB = _job("release_candidate", "Makes the splits and the release folder, without training.")
SUITES_JOB = _job("suites", "Heads on stored features, on many splits: a provider left out, few labels, new tags.")
CONTROLS_JOB = _job("controls", "Rows that learned nothing, as a test of the tests. Needs no trained model.")
PROMOTE_JOB = _job("promote", "Puts the best model to use, unless the one in use is better.")
JOBS = [
    *(HARVEST_JOB, DATASET_JOB, SPLITS_JOB, BENCHMARK_JOB, RELEASE_CANDIDATE_JOB),
    *(SUITES_JOB, CONTROLS_JOB, PROMOTE_JOB, TIDY_JOB),
]

# The jobs that a command runs. A run has partitions of one kind: collections, slices or none.
RUNS = {
    "harvest": ("harvest",),
    "dataset": ("harvest", "dataset"),
    "splits": ("splits",),
    "benchmark": ("harvest", "dataset", "benchmark"),
    "suites": ("suites",),
    "controls": ("controls",),
    "promote": ("promote",),
}
# The published files are read whole; a harvest has a partition for each collection.
TAGS = {"harvest": {} if SETTINGS.published else every_partition(PARTITIONS), "dataset": every_partition(SLICES)}
# The configuration of a release candidate: every image of the last release keeps its split.
CANDIDATE_CONFIG: dict[str, Any] = {"ops": {"make_benchmark_splits": {"config": {"keep": True}}}}
REFRESH_PAGES = {"pages": {"config": {"mode": "refresh"}}}


def jobs_of(command: str, project: Project) -> tuple[str, ...]:
    """The jobs that a command runs; `dataset` too when the take-down list has changed since the images were made."""
    jobs = RUNS[command]
    if "dataset" in jobs or not any(name.startswith("images/") for name in project.older_than_takedowns()):
        return jobs
    return ("harvest", "dataset") if jobs == ("harvest",) else ("dataset", *jobs)


def _schedule(name: str, job: Any, cron: str, description: str, **asked: Any) -> dg.ScheduleDefinition:
    """A schedule, off until a person turns it on, that asks for a run of the job with this configuration and tags."""
    request = dg.RunRequest(**asked)
    return dg.ScheduleDefinition(
        name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=description,
        execution_fn=lambda context: request,
    )


SCHEDULES = [
    _schedule(
        "weekly_refresh",
        HARVEST_JOB,
        os.environ.get(REFRESH_CRON, "0 4 * * 1"),
        "Every Monday: harvests what Europeana has changed, then makes a release candidate. Training starts by hand.",
        run_config={"ops": REFRESH_PAGES},
        tags={**TAGS["harvest"], REFRESH: "weekly"},
    ),
    _schedule(
        "monthly_comparison",
        HARVEST_JOB,
        "0 4 2 * *",
        "On the second of every month: lists all ids again, to find the records that Europeana has withdrawn.",
        run_config={"ops": {**REFRESH_PAGES, "make_tombstones": {"config": {"compare": True}}}},
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
