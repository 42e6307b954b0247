"""What failed, in one sentence: steps and checks of a run, and the disk when it is full, read-only or damaged."""

import errno
import os
import sqlite3

import dagster as dg

from assets.engine.code_units import OURS
from pipeline.files import DISK_FULL

READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
AGAIN = "then start the same run again: what was made before is intact."


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
    names, error = set[str](), event.step_failure_data.error
    while error is not None:
        names.add(error.cls_name or "")
        error = error.cause or error.context
    return names


def is_ours(error: BaseException) -> bool:
    """Whether an error is of a class of our own modules, whose messages are sentences for people."""
    return type(error).__module__.partition(".")[0] in OURS


def storage_trouble(error: BaseException) -> str | None:
    """A message when the error, or one of its causes, comes from the disk; else None."""
    said = str(error).lower()
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in DISK_FULL:
            return f"The disk is full or a file has reached its size limit{where}: make room, {AGAIN}"
        if error.errno in READ_ONLY:
            done = "read" if _is_unreadable(error.filename) else "written"
            return f"The storage cannot be {done}{where}: {error.strerror}. Correct its rights or mount, {AGAIN}"
        if error.errno == errno.EIO:
            return f"The disk gives errors{where}: look at the machine's log, {AGAIN}"
    elif isinstance(error, sqlite3.OperationalError):
        if "full" in said or "disk i/o error" in said:
            return f"The disk is full or gives errors ({error}): make room, {AGAIN}"
        if "readonly" in said or "unable to open" in said:
            return f"The storage cannot be written ({error}): correct its rights or mount, {AGAIN}"
    cause = error.__cause__ or error.__context__
    return storage_trouble(cause) if cause is not None else None


def _is_unreadable(filename: object) -> bool:
    """Whether there is such a file, of another user, which this one may not read."""
    return isinstance(filename, str | os.PathLike) and os.path.exists(filename) and not os.access(filename, os.R_OK)
