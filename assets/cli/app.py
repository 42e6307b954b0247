"""The command `eufcc`. Slow imports wait until a command needs them."""

import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.table import Table

from assets.cli import check_weights, commands, fetch_aat, index_weights, publish, status
from assets.cli.output import AsJson, answers, print_json
from assets.engine.console import LINES, QUIET, WAIT, complain, console
from assets.engine.project import ROOT, current_project, home
from pipeline.home import HOME, default_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import polars as pl
    from dagster import DagsterEvent

    from assets.engine.project import Project

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
app.add_typer(commands.app)
app.add_typer(index_weights.app)
app.add_typer(fetch_aat.app)
app.add_typer(check_weights.app)
app.add_typer(status.app)
app.add_typer(publish.app)

PORT = Annotated[int, typer.Option(help="Port of the local museum; 0: any free port.", min=0, max=65535)]


@app.callback()
def start(context: typer.Context, as_json: AsJson = False) -> None:
    """EUFCC: from Europeana to a benchmark. Without a command: where this profile stands, and what comes next."""
    if context.resilient_parsing:
        return
    if context.invoked_subcommand is not None:
        if as_json:
            example = f"`eufcc {context.invoked_subcommand} --json`"
            raise typer.BadParameter(f"--json stands behind the command, where it has this option: {example}.")
        return
    from assets.cli.standing import screen, standing

    found = standing(current_project())
    if as_json:
        print_json(found)
    else:
        answers.print(screen(found), soft_wrap=True)


@app.command(epilog="Example: eufcc demo")
def demo(
    port: PORT = 0,
    published: Annotated[
        Path | None,
        typer.Option(help="Folder of published CSV files; the museums behind them are drawn."),
    ] = None,
) -> None:
    """Run everything from nothing: start the local museum, run the job `benchmark`, show the results."""
    from assets.cli.museum import play_published, served_museum

    started = time.monotonic()
    os.environ |= {"EUFCC_PROFILE": "demo", LINES: "1"}
    if published is not None:
        play_published(published)
    _say_where()
    index_weights.fetch_where_asked_for()
    with served_museum(port) as (folder, address):
        console.print_line(f"  the museum {folder.name} is open at {address}")
        project = current_project()
        _run("benchmark", project, status.jobs_run_by("benchmark", project))

    from ml.report.write import console_table
    from pipeline.tables import COMPARISONS, RESULTS

    results, comparisons = RESULTS.read(project.here("results")), COMPARISONS.read(project.here("comparisons"))
    console.print(console_table(results, comparisons, project.storage))
    console.print_line(f"  report: {project.here('report') / 'report.html'}")
    usage = [resource.getrusage(who).ru_maxrss / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    console.print(f"  {time.monotonic() - started:.0f} s, peak memory {max(usage):.1f} GB in the largest process")
    from assets.cli.standing import after_demo, steps_screen

    console.print(steps_screen(after_demo(project.settings)), soft_wrap=True)


@app.command(epilog="Example: eufcc run benchmark")
def run(
    job: Annotated[str, typer.Argument(help="harvest, dataset, splits, benchmark, suites or controls")],
    as_of: Annotated[
        str | None, typer.Option(help="Make the splits of this day, or with this hash, again (see `eufcc history`).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before hours of work that other code causes.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Keep trying where a server does not answer at all; by default for a minute.")
    ] = False,
) -> None:
    """Run a job, and the jobs before it, with the profile in EUFCC_PROFILE."""
    os.environ[LINES] = "1"
    if wait:
        os.environ[WAIT] = "1"
    if as_of is not None:
        _run_as_of(job, as_of)
        return
    project = current_project()
    jobs = status.jobs_run_by(job, project)
    _say_where()
    _run(job, project, jobs, yes=yes)


def _say_where() -> None:
    console.print_line(f"  all is kept in {home()}")


def _run(job: str, project: "Project", jobs: "Sequence[str]", *, yes: bool = False) -> None:
    """Run these jobs, which `job` needs today."""
    from assets.automation import RUNS, TAGS
    from assets.cli.upgrade import confirm
    from assets.definitions import defs
    from assets.engine.executors import execute
    from assets.engine.instance import opened
    from assets.engine.status import due
    from assets.steps import steps_of

    confirm(due(steps_of(jobs), project), project.settings.profile, yes=yes)
    if jobs != RUNS[job]:
        console.print("  the take-down list has changed: the job dataset removes what it names")
    with opened(home()) as (instance, mine):
        for name in jobs:
            tags = TAGS.get(name, {}) | mine
            result = execute(name, defs, instance=instance, run_config=QUIET, tags=tags, raise_on_error=False)
            if not result.success:
                break
    if not result.success:
        _complain(result.all_events)
    if older := sorted({name.partition("/")[0] for name in project.older_than_takedowns()}):
        console.print(f"  made before the take-down list changed, and may hold what it names: {', '.join(older)}")


def _run_as_of(job: str, asked: str) -> None:
    """Make earlier splits again, and say whether they are the same to the byte."""
    from assets.history import make_again

    if job != "splits":
        complain(f"Only splits can be made again: `eufcc run splits --as-of {asked}`.")
        raise typer.Exit(2)
    again = make_again(current_project(), asked)
    if not again.result.success:
        _complain(again.result.all_events)
    console.print_line(f"  the splits of {again.of.made_at[:16]} are in {again.storage / 'splits.parquet'}")
    if again.left_out:
        console.print(f"  {again.left_out} images are left out: today's take-down list names them")
    if not again.is_same:
        complain(
            f"They are not the same: sha256 {again.sha256[:12]}, that day {again.of.splits[:12]}. The code has changed"
            " since; use the version of that day."
        )
        raise typer.Exit(1)
    console.print(f"  the same to the byte as on that day: sha256 {again.of.splits}", soft_wrap=True)


def _complain(events: "Iterable[DagsterEvent]") -> NoReturn:
    """Print why a run failed, and end."""
    for sentence in filter(None, map(_failure, events)):
        complain(sentence)
    raise typer.Exit(1)


@app.command(epilog="Example: eufcc dev --ui-port 3001")
def dev(
    port: PORT = 8765,
    ui_port: Annotated[int, typer.Option(help="Port of Dagster's web interface.", min=1, max=65535)] = 3000,
) -> None:
    """Start Dagster's web interface and daemon, and the local museum."""
    from contextlib import ExitStack

    from assets.cli.dev import serve_dagster
    from assets.cli.museum import served_museum

    with ExitStack() as stack:
        if current_project().settings.museum is not None:
            index_weights.fetch_where_asked_for()
            stack.enter_context(served_museum(port))
        console.print(f"  Dagster opens at http://127.0.0.1:{ui_port}")
        raise typer.Exit(serve_dagster(ui_port))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: eufcc assistant --port 8000",
)
def assistant(context: typer.Context) -> None:
    """Start the cataloguer's assistant on this profile's models. Options: see `python -m ml.assistant --help`.

    `eufcc assistant user add|list|revoke` makes, lists and revokes the named tokens of the people who use it.
    """
    from ml.assistant.__main__ import main as serve

    is_told = "--storage" in context.args or context.args == ["user"]  # the latter lacks its command, and is told so
    storage = [] if is_told else ["--storage", str(current_project().storage)]
    raise typer.Exit(serve([*context.args, *storage]))


@app.command(epilog="Example: eufcc decisions --model softmax")
def decisions(
    model: Annotated[str | None, typer.Option(help="Key of the model; by default the best on validation.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a model ranks the tags that cataloguers accepted and rejected, then and now.

    Where images have two opinions, also how far they agree: percent agreement, Cohen's kappa and Krippendorff's alpha,
    over all tags, per facet and per tag, each with its 95 % interval; and the tags on which they differ.
    """
    from assets.cli.opinions import opinion_tables
    from ml.assistant.decision_impact import decision_impact
    from ml.assistant.decisions import database_of, read_agreement
    from ml.assistant.vocabulary import read_tag_list

    storage = current_project().storage
    agreement, conflicts = read_agreement(database_of(storage))
    if not as_json and len(agreement):
        labels = {
            term.tag_id: term.label("en").text for term in read_tag_list(storage / "dataset" / "tag_list.json")[1]
        }
        for title, table in opinion_tables(labels, agreement, conflicts):
            answers.print(_table(table, "{}", title=title))
    key, rows = decision_impact(storage, model)
    if as_json:
        of_two = {"agreement": agreement.to_dicts(), "conflicts": conflicts.to_dicts()}
        print_json({"model": key, "decisions": rows.to_dicts(), **of_two})
        return
    answers.print(_table(rows, "{:.3g}", title=key))


@app.command(epilog="Example: EUFCC_PROFILE=full eufcc doctor")
def doctor(as_json: AsJson = False) -> None:
    """Check what this profile needs on this machine, and say what to do. Changes nothing."""
    from assets.cli.doctor import MISSING, examine, screen

    findings = examine(current_project())
    if as_json:
        print_json(findings)
    else:
        answers.print(screen(findings))
    raise typer.Exit(1 if any(finding.state == MISSING for finding in findings) else 0)


@app.command(epilog="Example: eufcc dictionary")
def dictionary() -> None:
    """Write docs/data-dictionary.md from the schemas."""
    from pipeline.dictionary import data_dictionary

    (ROOT / "docs" / "data-dictionary.md").write_text(data_dictionary(), encoding="utf-8")


@app.command(epilog="Example: eufcc models")
def models() -> None:
    """Write docs/models.md from the networks' cards."""
    from assets.cli.models_page import models_page

    (ROOT / "docs" / "models.md").write_text(models_page(), encoding="utf-8")


@app.command(epilog="Example: EUFCC_PROFILE=full eufcc plan")
def plan(as_json: AsJson = False) -> None:
    """Estimate a harvest: records, requests, hours and gigabytes per collection. Downloads nothing."""
    from assets.harvest import dumps, europeana
    from pipeline.harvest.plan import dry_run, dumps_to_read, told_limit

    os.environ[LINES] = "1"
    project = current_project()
    if project.settings.harvest.dumps:
        estimate, told = dumps_to_read(dumps(project)), "The dumps need no key."
    else:
        with europeana(project) as client:
            estimate = dry_run(client, project.settings.harvest)
            told = told_limit(client.allowed, client.http.clock.now())
    if as_json:
        print_json(estimate.to_dicts())
    else:
        answers.print(_table(estimate, "{:,.2f}"))
        answers.print(told)


def _table(rows: "pl.DataFrame", number: str, title: str | None = None) -> Table:
    """Rows for the terminal, floats in this format."""
    table = Table(*rows.columns, title=title)
    for row in rows.iter_rows():
        table.add_row(*(number.format(value) if isinstance(value, float) else f"{value}" for value in row))
    return table


def _failure(event: "DagsterEvent") -> str | None:
    """What a failed step or check says; None for other events, and for steps whose check has said it."""
    from assets.engine.failure_messages import check_message, error_names, step_message

    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        message = check_message(event)
        return message and f"check {message}"
    if not event.is_step_failure or "DagsterAssetCheckFailedError" in error_names(event):
        return None
    interrupted = "DagsterExecutionInterruptedError" in error_names(event)
    message = "interrupted; run the same command again to continue." if interrupted else step_message(event)
    return f"{(event.step_key or 'run').removeprefix('make_')}: {message}"


def main() -> None:
    """Run a command. Errors of our own modules and of the disk are printed as one sentence, with exit code 1."""
    os.environ.setdefault(HOME, str(default_home()))  # a step's process has another working folder
    os.environ.setdefault("DAGSTER_HOME", str(home()))
    # Waiting threads sleep: when they spin, a second program makes torch a hundred times slower. In the assistant they
    # may spin: a person waits for a single picture, which then takes a third less time.
    if sys.argv[1:2] != ["assistant"]:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Dagster's stability labels: the versions are pinned.
    warnings.filterwarnings("ignore", message=r".* is currently in (beta|preview)")
    try:
        app(standalone_mode=True)
    except Exception as error:
        from assets.engine.failure_messages import is_ours, machine_trouble

        sentence = str(error) if is_ours(error) else machine_trouble(error)
        if sentence is None:
            raise
        complain(sentence)
        sys.exit(1)
