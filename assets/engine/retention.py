"""How long the event log remembers: runs that ended long ago are deleted, the last word on every asset is kept."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field


class TidyConfig(dg.Config):
    """What may be changed in the Launchpad for one tidying."""

    keep_days: int = Field(
        180, ge=1, le=3_650, description="Runs that ended so many days ago are deleted from the event log."
    )


@dg.op(description="Deletes old runs with their events and logs; tables in the storage are not touched.")
def delete_old_runs(context: dg.OpExecutionContext, config: TidyConfig) -> None:
    """A run that last made an asset stays, however old, so that every asset keeps its history's last entry."""
    deleted = tidy(context.instance, timedelta(days=config.keep_days))
    context.log.info(f"{len(deleted)} runs were deleted.")


@dg.job(name="tidy", description="Forget runs that ended long ago.", executor_def=dg.in_process_executor)
def TIDY_JOB() -> None:
    delete_old_runs()


def tidy(instance: dg.DagsterInstance, age: timedelta) -> list[str]:
    """Delete the runs that ended longer ago than that, but none that last made an asset; returns their ids."""
    last = {
        event.run_id for key in instance.all_asset_keys() if (event := instance.get_latest_materialization_event(key))
    }
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    before = datetime.now(UTC) - age
    old = instance.get_run_records(dg.RunsFilter(statuses=ended, updated_before=before))
    ids = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in last]
    for run_id in ids:
        instance.delete_run(run_id)
    return ids
