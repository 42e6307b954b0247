"""Sensors: a refresh goes on from harvest to a release candidate, and a person hears of what failed."""

import os
from collections.abc import Iterator

import dagster as dg

from assets.automation import DATASET_JOB, HARVEST_JOB, REFRESH, RELEASE_CANDIDATE_JOB, TAGS, candidate_config
from assets.engine.webhook import WEBHOOK, message, tell

TELLING = dg.DefaultSensorStatus.RUNNING if os.environ.get(WEBHOOK) else dg.DefaultSensorStatus.STOPPED


@dg.run_status_sensor(
    name="refresh_goes_on_to_the_dataset",
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[HARVEST_JOB],
    request_job=DATASET_JOB,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="After the harvest of a refresh: vocabulary, curation, images and features of what has changed.",
)
def after_harvest(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Only runs that a refresh has started go on by themselves."""
    yield _next(context, TAGS["dataset"], {})


@dg.run_status_sensor(
    name="refresh_goes_on_to_a_release_candidate",
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[DATASET_JOB],
    request_job=RELEASE_CANDIDATE_JOB,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="After the dataset of a refresh: splits in which old images stay where they are, and a release folder.",
)
def after_dataset(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Only runs that a refresh has started go on by themselves."""
    yield _next(context, {}, candidate_config())


@dg.run_failure_sensor(
    name="run_failure_to_webhook",
    default_status=TELLING,
    description=f"Sends the sentences of every failed run to {WEBHOOK}.",
)
def run_failure(context: dg.RunFailureSensorContext) -> None:
    """What failed, and which blocking checks did."""
    run = context.dagster_run
    sentences = [*_failed_steps(context), *failed_checks(context.instance, run.run_id)]
    tell(
        message("run_failure", run.job_name, run.run_id, sentences or [context.failure_event.message or ""], os.environ)
    )


@dg.run_status_sensor(
    name="check_failure_to_webhook",
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=TELLING,
    description=f"Sends the checks that warn, in runs that ended well, to {WEBHOOK}.",
)
def check_failure(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
    """Warnings of a run that nothing blocked."""
    run = context.dagster_run
    sentences = failed_checks(context.instance, run.run_id)
    if not sentences:
        return dg.SkipReason("Every check of the run held.")
    tell(message("check_failure", run.job_name, run.run_id, sentences, os.environ))
    return None


SENSORS = [after_harvest, after_dataset, run_failure, check_failure]


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The checks of a run that did not hold, in sentences."""
    sentences = []
    for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        if not check.passed:
            sentences.append(f"{check.check_name} on {check.asset_key.to_user_string()}: {check.description}")
    return sentences


def _failed_steps(context: dg.RunFailureSensorContext) -> list[str]:
    sentences = []
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        own = failure.user_failure_data
        said = own.description if own else failure.error.message.strip() if failure.error else "failed"
        sentences.append(f"{event.step_key}: {said}")
    return sentences


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    """A run's events of one kind, page by page."""
    cursor: str | None = None
    while True:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=kind, limit=1_000)
        for record in page.records:
            if record.event_log_entry.dagster_event is not None:
                yield record.event_log_entry.dagster_event
        if not page.has_more:
            return
        cursor = page.cursor


def _next(
    context: dg.RunStatusSensorContext, tags: dict[str, str], config: dict[str, object]
) -> dg.RunRequest | dg.SkipReason:
    run = context.dagster_run
    if REFRESH not in run.tags:
        return dg.SkipReason("The run was started by hand.")
    return dg.RunRequest(run_key=run.run_id, tags={**tags, REFRESH: run.tags[REFRESH]}, run_config=config)
