"""`eufcc status`: what a run would make anew, and why."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from assets.cli.output import AsJson, answers, print_json
from assets.engine.console import complain
from assets.engine.project import Project, current_project
from assets.engine.status import Due

app = typer.Typer()
SHOWN_REASONS = 4


@app.command(epilog="Example: eufcc status benchmark --json")
def status(
    job: Annotated[str | None, typer.Argument(help="A job, as `run` takes it; by default everything.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would make anew, why, and how long it took last time. Changes nothing, and asks no server."""
    from assets.engine.status import due
    from assets.steps import steps_in_order, steps_of

    project = current_project()
    found = due(steps_in_order() if job is None else steps_of(jobs_run_by(job, project)), project)
    if as_json:
        print_json(found)
        return
    answers.print(_table(found) if found else "Everything is current.")


def jobs_run_by(job: str, project: Project) -> tuple[str, ...]:
    """The jobs that `eufcc run JOB` runs today, in order; ends the command where there is no such job."""
    from assets.automation import RUNS, jobs_of

    if job not in RUNS:
        complain(f"There is no job {job}; there are {', '.join(RUNS)}.")
        raise typer.Exit(2)
    return jobs_of(job, project)


def _table(found: Sequence[Due]) -> Table:
    table = Table("would be made anew", "why", "last time")
    for one in found:
        shown = [*one.reasons[:SHOWN_REASONS]]
        if len(one.reasons) > SHOWN_REASONS:
            shown.append(f"and {len(one.reasons) - SHOWN_REASONS} more reasons (--json)")
        names = ", ".join(one.names)
        table.add_row(names, "\n".join(shown), "–" if one.seconds is None else lasted(one.seconds))
    return table


def lasted(seconds: float) -> str:
    """A duration for people."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
