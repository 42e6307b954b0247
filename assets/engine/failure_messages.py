"""What failed in a run, in one sentence per event: for the terminal and for the webhook."""

from collections.abc import Iterator
from typing import Any

import dagster as dg


def step_message(event: dg.DagsterEvent) -> str:
    """Why a step failed: the description that it raised, or the message of the error."""
    failure = event.step_failure_data
    if failure.user_failure_data:
        return failure.user_failure_data.description or ""
    return failure.error.message.strip() if failure.error else "failed"


def check_message(event: dg.DagsterEvent) -> str | None:
    """What a failed check says; None for a check that passed."""
    check = event.asset_check_evaluation_data
    return None if check.passed else f"{check.check_name} on {check.asset_key.to_user_string()}: {check.description}"


def error_names(event: dg.DagsterEvent) -> set[str]:
    """The class names of a step's error and of its causes."""
    return {error.cls_name for error in _causes(event.step_failure_data.error)}


def _causes(error: Any) -> Iterator[Any]:
    while error is not None:
        yield error
        error = error.cause or error.context
