"""Sensors: they start the next job of a refresh when one has ended, and report failures to a webhook."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from assets.automation import CANDIDATE_CONFIG, DATASET_JOB, HARVEST_JOB, REFRESH, RELEASE_CANDIDATE_JOB, TAGS
from assets.engine.failure_messages import check_message, step_message
from assets.engine.webhook import WEBHOOK, message, tell

REPORTING = dg.DefaultSensorStatus.RUNNING if os.environ.get(WEBHOOK) else dg.DefaultSensorStatus.STOPPED


def _continue_refresh(
    name: str, after: Any, job: Any, description: str, tags: Mapping[str, str] = {}, config: Mapping[str, Any] = {}
) -> dg.SensorDefinition:
    """A sensor that starts the job when another job of a refresh succeeds; runs started by hand are not continued."""

    @dg.run_status_sensor(
        name=name,
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[after],
        request_job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def sensor(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        if refresh := run.tags.get(REFRESH):
            yield dg.RunRequest(run_key=run.run_id, tags={**tags, REFRESH: refresh}, run_config=config)
        else:
            yield dg.SkipReason("The run was started by hand.")

    return sensor


after_harvest = _continue_refresh(
    "refresh_goes_on_to_the_dataset",
    HARVEST_JOB,
    DATASET_JOB,
    "After the harvest of a refresh: updates vocabulary, curation, images and features.",
    tags=TAGS["dataset"],
)
after_dataset = _continue_refresh(
    "refresh_goes_on_to_a_release_candidate",
    DATASET_JOB,
    RELEASE_CANDIDATE_JOB,
    "After the dataset of a refresh: makes splits in which images of the last release keep theirs, and a release.",
    config=CANDIDATE_CONFIG,
)


@dg.run_failure_sensor(
    name="run_failure_to_webhook", default_status=REPORTING, description=f"Reports every failed run to {WEBHOOK}."
)
def run_failure(context: dg.RunFailureSensorContext) -> None:
    """Send the messages of the failed steps and of the failed checks."""
    run = context.dagster_run
    steps = [f"{event.step_key}: {step_message(event)}" for event in context.get_step_failure_events()]
    sentences = [*steps, *failed_checks(context.instance, run.run_id)] or [context.failure_event.message or ""]
    tell(message("run_failure", run.job_name, run.run_id, sentences, os.environ))


@dg.run_status_sensor(
    name="check_failure_to_webhook",
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=REPORTING,
    description=f"Reports the warnings of checks in successful runs to {WEBHOOK}.",
)
def check_failure(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
    """Send the warnings of a run that succeeded."""
    run = context.dagster_run
    sentences = failed_checks(context.instance, run.run_id)
    if not sentences:
        return dg.SkipReason("Every check of the run passed.")
    tell(message("check_failure", run.job_name, run.run_id, sentences, os.environ))
    return None


SENSORS = [after_harvest, after_dataset, run_failure, check_failure]


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The failed checks of a run, one sentence each."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return [message for log in logs if log.dagster_event and (message := check_message(log.dagster_event))]
