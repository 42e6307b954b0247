"""`eufcc` without a command: the profile, its storage, the last run, and what comes next."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from rich.console import Group
from rich.table import Table
from rich.text import Text

from assets.automation import RUNS
from assets.cli.status import lasted
from assets.engine.instance import NoHome, opened
from assets.engine.project import Project, home
from assets.engine.status import due
from assets.steps import steps_of
from assets.training import rows_of
from pipeline.settings import RENDERED_MUSEUM, Settings

JOB = "benchmark"  # what `eufcc demo` makes, and what next steps lead to
STATES = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "was stopped",
    dg.DagsterRunStatus.STARTED: "is running",
}


@dataclass(frozen=True)
class NextStep:
    """A command, and what it is good for."""

    command: str
    what: str


@dataclass(frozen=True)
class LastRun:
    """The latest run in this DAGSTER_HOME, of any profile; `seconds` is None while it runs."""

    job: str
    state: str
    started: str | None  # UTC, to the second
    seconds: float | None


@dataclass(frozen=True)
class Standing:
    """Where a profile stands: `due` counts the steps of the job that a run would make anew, of `steps` in all.

    `last_run_known` is False where the home cannot be opened (`eufcc doctor` says why).
    """

    profile: str
    source: str
    storage: Path
    last_run: LastRun | None
    last_run_known: bool
    due: int
    steps: int
    next: tuple[NextStep, ...]


def standing(project: Project) -> Standing:
    """Compare what is stored with what the profile asks for today. Changes nothing, and asks no server."""
    steps = steps_of(RUNS[JOB])
    n_due = len(due(steps, project))
    try:
        latest, known = last_run(home()), True
    except NoHome:
        latest, known = None, False
    return Standing(
        profile=profile_of(project.settings),
        source=project.settings.source,
        storage=project.storage,
        last_run=latest,
        last_run_known=known,
        due=n_due,
        steps=len(steps),
        next=tuple(next_steps(project.settings, n_due, len(steps))),
    )


def profile_of(settings: Settings) -> str:
    """The profile as EUFCC_PROFILE names it; `official` has the settings of another one."""
    return settings.profile if settings.published is None else "official"


def last_run(place: Path) -> LastRun | None:
    """The latest run; None before the first one. Raises NoHome where the home cannot be opened."""
    if not any((place / name).is_dir() for name in ("commands", "history")):
        return None  # opening it would create its databases
    with opened(place) as (instance, _):
        records = instance.get_run_records(limit=1)
    if not records:
        return None
    run, begin, end = records[0].dagster_run, records[0].start_time, records[0].end_time
    return LastRun(
        job=run.job_name,
        state=STATES.get(run.status, run.status.value.lower()),
        started=None if begin is None else datetime.fromtimestamp(begin, UTC).isoformat(timespec="seconds"),
        seconds=None if begin is None or end is None else round(end - begin, 1),
    )


def next_steps(settings: Settings, n_due: int, n_steps: int) -> list[NextStep]:
    """What to do when so many of the job's steps are due."""
    demo = settings.profile == "demo"
    make = "demo" if demo else f"run {JOB}"
    if n_due == 0:
        return after_demo(settings)
    if n_due < n_steps:
        return [
            step(settings, make, f"makes what is due: {n_due} of {n_steps} steps"),
            step(settings, f"status {JOB}", "says which, and why"),
        ]
    first = [step(settings, "doctor", "checks this machine before the first run")]
    if not demo:
        first.append(step(settings, "plan", "estimates requests, hours and gigabytes"))
    return [*first, step(settings, make, "makes dataset, models, table and report")]


def after_demo(settings: Settings) -> list[NextStep]:
    """Three things to do with a finished benchmark."""
    rows = [row.key for row in rows_of(settings)]
    own = NextStep(
        f"MUSEUM=path/to/museum {program()} demo", "does the same on your own images (docs/museum-folder.md)"
    )
    return [
        step(settings, "assistant", "opens the page for cataloguers, with the trained models"),
        step(settings, f"compare {rows[0]} {rows[1]}", "says whether one row is surely better than another")
        if len(rows) > 1
        else step(settings, f"export {rows[0]}", "writes the trained model for use elsewhere"),
        own if settings.profile == "demo" else step(settings, "dev", "opens Dagster's page, with the weekly refresh"),
    ]


def step(settings: Settings, arguments: str, what: str) -> NextStep:
    """A command of this program, with the environment that means this profile and museum."""
    if arguments == "demo" and settings.published is not None:
        return NextStep(f"{program()} demo --published {shlex.quote(str(settings.published))}", what)
    variables = [] if settings.profile == "demo" else [f"EUFCC_PROFILE={settings.profile}"]
    if settings.published is not None:
        variables = ["EUFCC_PROFILE=official", f"PUBLISHED={shlex.quote(str(settings.published))}"]
    if settings.museum not in (None, RENDERED_MUSEUM):
        variables.append(f"MUSEUM={shlex.quote(str(settings.museum))}")
    return NextStep(" ".join([*variables, program(), arguments]), what)


def program() -> str:
    """What a person types for this program in this folder: `eufcc`, or its path where the shell does not find it."""
    called = Path(sys.argv[0])
    if called.name != "eufcc" or shutil.which("eufcc") == str(called.absolute()):
        return "eufcc"
    path = called.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def screen(found: Standing) -> Group:
    """The standing for the terminal."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_row("profile", Text(f"{found.profile}, from {found.source}"))
    table.add_row("storage", Text(str(found.storage)))
    table.add_row("last run", Text(_told(found)))
    made = "everything is current" if found.due == 0 else f"{found.due} of {found.steps} steps are due"
    table.add_row("state", made)
    return Group(table, "", steps_screen(found.next))


def _told(found: Standing) -> str:
    run = found.last_run
    if run is None:
        return "none yet" if found.last_run_known else "none known"
    took = "" if run.seconds is None else f", after {lasted(run.seconds)}"
    began = "" if run.started is None else f" (begun {run.started[:16].replace('T', ' ')} UTC)"
    return f"{run.job} {run.state}{took}{began}"


def steps_screen(steps: Sequence[NextStep]) -> Group:
    """Next steps for the terminal, to be printed with `soft_wrap`: a command must be whole, however long it is."""
    lines = [part for one in steps for part in (Text(f"  {one.command}"), Text(f"      {one.what}"))]
    return Group(Text(" next", "bold"), *lines)
