"""What a person or the clock clears away: old runs, old sets of splits, and pages that no settings ask for any more."""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from assets.engine.instance import FINISHED
from assets.engine.keep_days import KEEP_DAYS, MOST_DAYS
from assets.engine.locks import hold
from assets.engine.project import Project, size_of
from assets.engine.run_config import fields_of
from pipeline.harvest.pages import only_one
from pipeline.harvest.store import other_collections
from pipeline.history import SplitSet, prune, split_sets

OTHERS = "not_in_the_settings"  # metadata of pages and records that names such collections
AS_OF = "as_of"  # folder of the storage with sets of splits that were made again


class TidyConfig(dg.Config):
    """Options of the job `tidy`, for the Launchpad."""

    keep_days: int = Field(
        KEEP_DAYS, ge=1, le=MOST_DAYS, description="Delete runs that ended more than this many days ago."
    )
    other_pages: bool = Field(
        False, description="Also delete the harvested pages of collections that are no longer in the settings."
    )


@dg.op(config_schema=fields_of(TidyConfig))
def delete_old_runs(context: dg.OpExecutionContext, project: dg.ResourceParam[Project]) -> None:
    """Deletes old runs with their events and logs, old sets of splits, and on request pages. Leaves the tables."""
    config = TidyConfig(**context.op_config)
    deleted = tidy(context.instance, timedelta(days=config.keep_days))
    context.log.info(f"{len(deleted)} runs were deleted, {len(delete_old_sets(project))} sets of splits.")
    if config.other_pages:
        context.log.info(f"Pages were deleted of: {', '.join(delete_other_pages(project)) or 'no collection'}.")


@dg.job(name="tidy", executor_def=dg.in_process_executor)
def TIDY_JOB() -> None:
    """Deletes runs that ended long ago from the event log, and on request pages of collections taken out."""
    delete_old_runs()


def tidy(instance: dg.DagsterInstance, age: timedelta) -> list[str]:
    """Delete the runs older than `age`, except the latest of every asset; returns the ids of the deleted runs."""
    latest = [instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()]
    last = {event.run_id for event in latest if event}
    old = instance.get_run_records(dg.RunsFilter(statuses=FINISHED, updated_before=datetime.now(UTC) - age))
    ids = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in last]
    for run_id in ids:
        instance.delete_run(run_id)
    return ids


def delete_other_pages(project: Project) -> list[str]:
    """Delete the pages of collections that the settings do not name; returns the names of these collections.

    Raises InUse or HarvestError while another process reads or harvests them.
    """
    folder, collections = project.here("pages"), project.settings.harvest.collections
    if not other_collections(folder, collections):
        return []
    with hold(project.storage / ".made", ["pages"], [], "eufcc tidy"):
        folder, made = project.here("pages"), project.made("pages")
        others = other_collections(folder, collections)
        project.forget("pages")
        for place, name in others.items():
            with only_one(place, name):
                shutil.rmtree(place)
        if made is not None:
            kept = {name: value for name, value in made.metadata.items() if name != OTHERS}
            project.remember_changed("pages", made, {**kept, "bytes": size_of(folder)})
    return sorted(others.values())


def delete_old_sets(project: Project) -> list[SplitSet]:
    """Delete all but the latest sets of splits from the history, as many as the settings keep; returns the deleted.

    What was made again of a deleted set goes with it. Raises InUse while a run adds a set.
    """
    if len(split_sets(project.here("history"))) <= project.settings.history.sets:
        return []
    with hold(project.storage / ".made", ["history"], [], "eufcc tidy"):
        folder, made = project.here("history"), project.made("history")
        if made is None:
            return []
        project.forget("history")
        gone = prune(folder, project.settings.history.sets)
        kept = {**made.metadata, "sets": len(split_sets(folder)), "bytes": size_of(folder)}
        project.remember_changed("history", made, kept)
    for one in gone:
        shutil.rmtree(project.storage / AS_OF / one.name, ignore_errors=True)
    return gone
