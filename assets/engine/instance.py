"""Dagster's instance for a command: made by one at a time, and free of what killed commands have left in it."""

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES

COMMAND = "eufcc/command"  # on every run of a command: the file that its process holds a lock on


class NoHome(RuntimeError):
    """Dagster's home is not there; the message says what to do."""


@contextmanager
def opened(home: Path) -> Iterator[tuple[dg.DagsterInstance, dict[str, str]]]:
    """The instance of that home, and the tag for this command's runs; who comes second waits for the first.

    Dagster makes its databases without a lock: of two commands in a new home, the second would fail (`table … already
    exists`). And it never asks whether the process of a run in a command is alive: one that was killed would keep its
    place in a pool (`gpu`, `providers` …), and the next command would wait for it for ever. Raises NoHome.
    """
    if not home.is_dir():
        raise NoHome(
            f"DAGSTER_HOME is {home}, and there is no such folder: make it, with a copy of dagster_home/dagster.yaml."
        )
    commands = home.absolute() / "commands"
    commands.mkdir(exist_ok=True)
    mine = commands / f"{os.getpid()}-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        with (home / "opening.lock").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            held = stack.enter_context(mine.open("w"))
            fcntl.flock(held, fcntl.LOCK_EX)
            stack.callback(mine.unlink)
            instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
            _end_lost_runs(instance, commands)
        yield instance, {COMMAND: _name(mine)}


def _end_lost_runs(instance: dg.DagsterInstance, commands: Path) -> None:
    """Runs of this home whose command is gone are ended, and ended runs give back their places in pools."""
    alive = set()
    for file in commands.iterdir():
        if _is_held(file):
            alive.add(_name(file))
        else:
            file.unlink(missing_ok=True)
    for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        command = run.tags.get(COMMAND, "")
        if command.startswith(_name(commands)) and command not in alive:
            instance.report_run_canceled(run, message="The command that this run belonged to was killed.")
    places = instance.event_log_storage.get_concurrency_run_ids()
    ended = instance.get_runs(dg.RunsFilter(run_ids=list(places), statuses=FINISHED_STATUSES)) if places else []
    for run in ended:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _name(place: Path) -> str:
    """A file or folder of this machine: several machines may keep their runs in one database."""
    return f"{socket.gethostname()}:{place}"


def _is_held(file: Path) -> bool:
    """Whether a process has the lock on it: the system takes a lock away with its process, however that ends."""
    try:
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # its command has ended just now
        return False
    return False
