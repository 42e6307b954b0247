"""Locks on tables: two runs never write the same table at once, nor read it while it is written."""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class InUse(RuntimeError):
    """Another run is using the same table; the message says which."""


@contextmanager
def hold(notes: Path, writes: Collection[str], reads: Collection[str], who: str) -> Iterator[None]:
    """Lock the tables that a step writes and reads. Raises InUse at once when another run has locked one of them.

    The locks are the operating system's: they apply to all processes that see the folder, and end with the process.
    Machines that share only a bucket are kept apart by Dagster's queue instead.
    """
    with ExitStack() as stack:
        for name in sorted({*writes, *reads}):
            place = notes / f"{name}.lock"
            place.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(place.open("a+", encoding="utf-8"))
            written = name in writes
            try:
                fcntl.lockf(lock, (fcntl.LOCK_EX if written else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                lock.seek(0)
                other = lock.read().strip()
                doing = "in use by" if written else "being written by"
                last = f" (the last to write it was {other})" if other else ""
                todo = "wait until it has ended, then start this one again."
                raise InUse(f"{name} is {doing} another run{last}: {todo}") from None
            if written:
                lock.truncate(0)
                lock.write(f"{who}, process {os.getpid()}")
                lock.flush()
        yield
