"""Dagster's instance for a command: opened by one command at a time, without the runs of killed commands."""

import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage

from assets.engine.console import remark
from assets.engine.failure_messages import killed_message
from pipeline.files import write_text
from pipeline.home import default_home

CONFIGURATION = Path(__file__).with_name("dagster.yaml")
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
NOT_FINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED]
COMMAND = "eufcc/command"  # tag of a command's runs: the file that its process has locked


class NoHome(RuntimeError):
    """Dagster's home does not exist or cannot be written; the message says what to do."""


def _is_there(home: Path) -> bool:
    """Whether the folder exists, or lies in one that this user cannot enter."""
    try:
        return home.is_dir()
    except PermissionError:
        return True


def _furnish(home: Path) -> None:
    """Make the default home, with Dagster's settings, unless it is there."""
    if not (home / CONFIGURATION.name).exists() and os.access(_nearest(home), os.W_OK | os.X_OK):
        home.mkdir(parents=True, exist_ok=True)
        write_text(CONFIGURATION.read_text(encoding="utf-8"), home / CONFIGURATION.name)


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    return folder if folder.exists() else _nearest(folder.parent)


@contextmanager
def opened(home: Path) -> Iterator[tuple[dg.DagsterInstance, dict[str, str]]]:
    """The instance of that home, and the tag for this command's runs. A second command waits for the first to open it.

    Dagster creates its databases without a lock: of two commands in a new home, the second would fail (`table …
    already exists`). Dagster does not notice either when a command is killed: its run would keep its slot in a pool
    (`gpu`, `providers` …), and the next command would wait forever. Raises NoHome.
    """
    _share_engines()
    if home == default_home():
        _furnish(home)
    if not _is_there(home):
        todo = "create it, with a copy of dagster_home/dagster.yaml."
        raise NoHome(f"DAGSTER_HOME is {home}, and there is no such folder: {todo}")
    if not os.access(home, os.W_OK | os.X_OK):
        todo = "correct its rights or mount, or set DAGSTER_HOME to a folder of yours, with a copy of dagster.yaml."
        raise NoHome(f"DAGSTER_HOME is {home}, where this user cannot write: {todo}")
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


@cache
def _share_engines() -> None:
    """Give each SQLite database of Dagster one engine for the whole process.

    Dagster makes a new one for each event that it stores and for each question, and a new engine compiles every
    statement again. Its engines keep no connection, so they may be shared by threads and forked processes.
    """
    for module in (sqlite_event_log, sqlite_run_storage):
        module.create_engine = _once_each(module.create_engine)  # type: ignore[attr-defined]


def _once_each(create_engine: Callable[..., sqlalchemy.Engine]) -> Callable[..., sqlalchemy.Engine]:
    engines: dict[str, sqlalchemy.Engine] = {}

    def engine(address: str, **options: Any) -> sqlalchemy.Engine:
        if address not in engines:
            engines[address] = create_engine(address, **options)
        return engines[address]

    return engine


def _end_lost_runs(instance: dg.DagsterInstance, commands: Path) -> None:
    """Cancel the runs of commands that no longer exist, and free the slots of ended runs in pools."""
    alive = set()
    for file in commands.iterdir():
        if _is_held(file):
            alive.add(_name(file))
        else:
            file.unlink(missing_ok=True)
    for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED)):
        command = run.tags.get(COMMAND, "")
        if command.startswith(_name(commands)) and command not in alive:
            message = killed_message(_unfinished_steps(instance, run.run_id))
            instance.report_run_canceled(run, message=message)
            remark(message)
    holders = instance.event_log_storage.get_concurrency_run_ids()
    ended = instance.get_runs(dg.RunsFilter(run_ids=list(holders), statuses=FINISHED)) if holders else []
    for run in ended:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _unfinished_steps(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The steps that a run began and did not end, without `make_` before their names."""
    ends = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
    began = dict.fromkeys(
        event.step_key or "" for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
    )
    ended = {event.step_key for event in instance.all_logs(run_id, of_type=ends)}
    return [step.removeprefix("make_") for step in began if step not in ended]


def _name(place: Path) -> str:
    """The path with the machine's name: several machines may share one database."""
    return f"{socket.gethostname()}:{place}"


def _is_held(file: Path) -> bool:
    """Whether a process holds the lock on the file. The operating system releases it when the process ends."""
    try:
        with suppress(FileNotFoundError), file.open() as lock:  # its command may just have ended
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
