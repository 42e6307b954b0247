"""Retention of the event log: old runs are deleted, except each asset's latest."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from assets.engine.run_config import fields_of


class TidyConfig(dg.Config):
    """Options of the job `tidy`, for the Launchpad."""

    keep_days: int = Field(180, ge=1, le=3_650, description="Delete runs that ended more than this many days ago.")


@dg.op(config_schema=fields_of(TidyConfig))
def delete_old_runs(context: dg.OpExecutionContext) -> None:
    """Deletes old runs with their events and logs. Leaves the tables in the storage as they are."""
    config = TidyConfig(**context.op_config)
    deleted = tidy(context.instance, timedelta(days=config.keep_days))
    context.log.info(f"{len(deleted)} runs were deleted.")


@dg.job(name="tidy", executor_def=dg.in_process_executor)
def TIDY_JOB() -> None:
    """Deletes runs that ended long ago from the event log."""
    delete_old_runs()


def tidy(instance: dg.DagsterInstance, age: timedelta) -> list[str]:
    """Delete the runs older than `age`, except the latest of every asset; returns the ids of the deleted runs."""
    latest = [instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()]
    last = {event.run_id for event in latest if event}
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    old = instance.get_run_records(dg.RunsFilter(statuses=ended, updated_before=datetime.now(UTC) - age))
    ids = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in last]
    for run_id in ids:
        instance.delete_run(run_id)
    return ids
