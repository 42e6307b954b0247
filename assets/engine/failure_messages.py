"""What failed, in one sentence: steps and checks of a run, the disk when it is full or damaged, and the memory."""

import errno
import os
import sqlite3
from collections.abc import Sequence

import dagster as dg

from assets.engine.code_units import OURS
from pipeline.files import DISK_FULL

READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
# What libraries say in a RuntimeError where memory, or the limit on it, has been used up.
NO_MEMORY = ("can't allocate memory", "can't start new thread")
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


def killed_message(steps: Sequence[str]) -> str:
    """What to say of a run whose process is gone; `steps` are those that it had begun and not ended."""
    where = f" in {', '.join(steps)}" if steps else ""
    return (
        f"The last run was killed{where}; if nobody did so, the machine was out of memory. What was made before is"
        " intact, and this run goes on from there."
    )


def machine_trouble(error: BaseException) -> str | None:
    """A message when the error, or one of its causes, comes from the disk or the memory; else None."""
    said = str(error).lower()
    if _is_out_of_memory(error, said):
        return f"The memory is used up ({error}): give this step more, or end what else runs, {AGAIN}"
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
    return machine_trouble(cause) if cause is not None else None


def _is_out_of_memory(error: BaseException, said: str) -> bool:
    """Whether memory was refused: numpy's and Arrow's errors are MemoryErrors, torch's is a RuntimeError."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(one in said for one in NO_MEMORY))


def _is_unreadable(filename: object) -> bool:
    """Whether there is such a file, of another user, which this one may not read."""
    return isinstance(filename, str | os.PathLike) and os.path.exists(filename) and not os.access(filename, os.R_OK)
