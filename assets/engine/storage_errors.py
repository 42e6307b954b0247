"""Messages for errors of the disk: full, read-only or damaged."""

import errno
import sqlite3
from collections.abc import Iterator

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
AGAIN = "then start the same run again: what was made before is intact."


def storage_trouble(error: BaseException) -> str | None:
    """A message when the error, or one of its causes, comes from the disk; else None."""
    for cause in _chain(error):
        said = str(cause).lower()
        if isinstance(cause, OSError):
            where = f" ({cause.filename})" if cause.filename else ""
            if cause.errno in FULL:
                return f"The disk is full or a file has reached its size limit{where}: make room, {AGAIN}"
            if cause.errno in READ_ONLY:
                return f"The storage cannot be written{where}: {cause.strerror}. Correct its rights or mount, {AGAIN}"
            if cause.errno == errno.EIO:
                return f"The disk gives errors{where}: look at the machine's log, {AGAIN}"
        elif isinstance(cause, sqlite3.OperationalError):
            if "full" in said or "disk i/o error" in said:
                return f"The disk is full or gives errors ({cause}): make room, {AGAIN}"
            if "readonly" in said or "unable to open" in said:
                return f"The storage cannot be written ({cause}): correct its rights or mount, {AGAIN}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
