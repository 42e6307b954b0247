"""The command `eufcc`: every import that costs time waits until its command is called."""

import os
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from assets.cli import commands
from assets.engine.console import LINES, complain, console
from assets.engine.project import home

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="EUFCC: from Europeana to a benchmark.",
)
app.add_typer(commands.app)

PORT = Annotated[int, typer.Option(help="Port of the local museum; 0 takes a free one.", min=0, max=65535)]


@app.command()
def demo(port: PORT = 0) -> None:
    """Everything from nothing: the local museum, the Dagster job `benchmark`, the table, the report."""
    from assets.cli.museum import museum_folder, served_museum

    started = time.monotonic()
    os.environ["EUFCC_PROFILE"] = "demo"
    folder = museum_folder()
    os.environ["MUSEUM"] = str(folder)
    with served_museum(folder, port) as address:
        os.environ["MUSEUM_ADDRESS"] = address
        console.print(f"  the museum {folder.name} is open at {address}")
        _run_job("benchmark")
    _show_benchmark()
    usage = [resource.getrusage(who).ru_maxrss / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    console.print(f"  {time.monotonic() - started:.0f} s, peak memory {max(usage):.1f} GB in the largest process")


@app.command()
def run(job: Annotated[str, typer.Argument(help="harvest, dataset, splits or benchmark")]) -> None:
    """Run one job of the profile that EUFCC_PROFILE names, in this process."""
    _run_job(job)


@app.command()
def dev(
    port: PORT = 8765,
    ui_port: Annotated[int, typer.Option(help="Port of Dagster's page.", min=1, max=65535)] = 3000,
) -> None:
    """Dagster's page and daemon on the same project, with the local museum open beside it."""
    import signal
    import subprocess
    from contextlib import ExitStack

    from assets.cli.museum import museum_folder, served_museum

    with ExitStack() as stack:
        if os.environ.get("EUFCC_PROFILE", "demo") == "demo":
            folder = museum_folder()
            os.environ["MUSEUM"] = str(folder)
            os.environ["MUSEUM_ADDRESS"] = stack.enter_context(served_museum(folder, port))
        console.print(f"  Dagster opens at http://127.0.0.1:{ui_port}")
        quiet = "ignore:Function `dev_command` is superseded"  # by another package's command, which we do not need
        command = [sys.executable, "-W", quiet, "-m", "dagster", "dev", "-w", "workspace.yaml"]
        dagster = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(ui_port)])  # noqa: S603
        # Ctrl-C reaches Dagster by the terminal; whoever ends this process alone means Dagster and the museum too.
        signal.signal(signal.SIGTERM, lambda *_: dagster.send_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, lambda *_: None)
        raise typer.Exit(dagster.wait())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def assistant(context: typer.Context) -> None:
    """The cataloguer's page on this profile's models; further options as in `python -m ml.assistant --help`."""
    from assets.resources import current_project
    from ml.assistant.__main__ import main as serve

    given = (
        context.args if "--storage" in context.args else ["--storage", str(current_project().storage), *context.args]
    )
    raise typer.Exit(serve(given))


@app.command()
def decisions(
    model: Annotated[str | None, typer.Option(help="Key of the model (default: the best on validation).")] = None,
) -> None:
    """How the model ranks now what cataloguers accepted and rejected, beside what they were shown."""
    from rich.table import Table

    from assets.resources import current_project
    from ml.assistant.decision_impact import decision_impact

    key, rows = decision_impact(current_project().storage, model)
    table = Table(*rows.columns, title=key)
    for row in rows.iter_rows():
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else f"{value}" for value in row))
    console.print(table)


@app.command()
def doctor() -> None:
    """What this profile would miss on this machine, and what to do about it. Changes nothing."""
    from assets.cli.doctor import MISSING, examine, screen
    from assets.resources import current_project

    findings = examine(current_project())
    console.print(screen(findings))
    raise typer.Exit(1 if any(finding.state == MISSING for finding in findings) else 0)


@app.command()
def dictionary() -> None:
    """Write docs/data-dictionary.md from the schemas."""
    from assets.engine.project import ROOT
    from pipeline.dictionary import data_dictionary

    (ROOT / "docs" / "data-dictionary.md").write_text(data_dictionary(), encoding="utf-8")


@app.command()
def plan() -> None:
    """What a harvest would cost: records, requests, hours and gigabytes per collection. Fetches nothing."""
    from rich.table import Table

    from assets.harvest import europeana
    from assets.resources import current_project
    from pipeline.harvest.plan import dry_run

    project = current_project()
    rows = dry_run(europeana(project), project.settings.harvest)
    table = Table(*rows.columns)
    for row in rows.iter_rows():
        table.add_row(*(f"{value:,.2f}" if isinstance(value, float) else f"{value}" for value in row))
    console.print(table)


def _run_job(name: str) -> None:
    """Run the job, and the jobs before it, with every partition; what fails is said in one sentence."""
    os.environ[LINES] = "1"
    from assets.automation import RUNS, TAGS
    from assets.definitions import defs
    from assets.engine.executors import execute
    from assets.engine.instance import opened

    if name not in RUNS:
        complain(f"There is no job {name}; there are {', '.join(RUNS)}.")
        raise typer.Exit(2)
    with opened(home()) as (instance, mine):
        for job in RUNS[name]:
            result = execute(
                job,
                defs,
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # our lines say it
                tags=TAGS.get(job, {}) | mine,
                raise_on_error=False,
            )
            if not result.success:
                break
    if not result.success:
        for event in result.all_events:
            if event.is_step_failure:
                failure = event.step_failure_data
                kinds = {error.cls_name for error in _causes(failure.error)}
                if "DagsterAssetCheckFailedError" in kinds:
                    continue  # the check itself has said what is wrong
                own = failure.user_failure_data
                said = own.description if own else failure.error.message.strip() if failure.error else "failed"
                if "DagsterExecutionInterruptedError" in kinds:
                    said = "interrupted; the same command goes on from here."
                complain(f"{(event.step_key or name).removeprefix('make_')}: {said}")
            elif event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
                check = event.asset_check_evaluation_data
                complain(f"check {check.check_name} on {check.asset_key.to_user_string()}: {check.description}")
        raise typer.Exit(1)


def _causes(error: Any) -> Iterator[Any]:
    """An error as Dagster keeps it, and what it came from."""
    while error is not None:
        yield error
        error = error.cause or error.context


def _show_benchmark() -> None:
    from assets.resources import current_project
    from ml.report.write import console_table
    from pipeline.tables import COMPARISONS, RESULTS

    project = current_project()
    results, comparisons = RESULTS.read(project.here("results")), COMPARISONS.read(project.here("comparisons"))
    console.print(console_table(results, comparisons, project.storage))
    console.print(f"  report: {project.here('report') / 'report.html'}")


def main() -> None:
    """Run a command; an error raised on purpose is one sentence and exit code 1, without a traceback."""
    os.environ.setdefault("DAGSTER_HOME", str(home()))
    # Threads that wait for others sleep: where they spin, a second program makes torch a hundred times slower. At the
    # desk they may spin: somebody waits for one picture, and has it in two thirds of the time.
    if sys.argv[1:2] != ["assistant"]:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Dagster's own stability labels; the versions are pinned, and a cataloguer can do nothing about them.
    warnings.filterwarnings("ignore", message=r".* is currently in (beta|preview)")
    try:
        app(standalone_mode=True)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"pipeline", "ml", "assets"}:
            raise
        complain(str(error))
        sys.exit(1)
