"""Stage training: one model per row that the settings name, each trained in its own process."""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from assets.engine.asset_factory import stage_asset
from assets.engine.curves import curves
from assets.engine.plan import AssetPlan, Metadata
from assets.engine.project import ROOT, Project, current_project
from assets.engine.training_process import WARM
from ml.baselines import ALL_ROWS, FURTHER_ROWS, PAPER_ROWS, Baseline, baseline
from pipeline.settings import Settings

TRAINER = ("ml/experiments/run.py",)  # a process of its own
KINDS = ("models", "predictions")
MENDED = "mended/"  # before the names of what is made from the mended splits of the published files
RECIPE = ("profile", "features.weights", "benchmark.seed", "benchmark.recipes", "benchmark.overrides")


def training_asset(row: Baseline, place: str = "") -> dg.AssetsDefinition:
    """The model and the predictions of one row; an ensemble waits for its members.

    `place` is before the names of the dataset, models and predictions: MENDED, or nothing.
    """
    model, predictions = f"{place}models/{row.key}", f"{place}predictions/{row.key}"

    def trained(context: dg.AssetExecutionContext, project: Project) -> Metadata:
        events = _train(context, project, row.key, place)
        return {model: _cost(events), predictions: {}}

    trained.__name__ = place.replace("/", "_") + row.key
    on = " It is trained on the mended splits." if place else ""
    trained.__doc__ = f"The row `{row.key}` ({row.kind}): its model, and its scores for every image of every split.{on}"
    members = tuple(f"{place}{kind}/{member}" for member in row.needs for kind in KINDS)
    after = (f"{place}dataset", *members)
    plan = AssetPlan(
        "training", writes=(model, predictions), code=TRAINER, after=after, settings=RECIPE, of_images=False
    )
    return stage_asset(plan, kinds={"pytorch", "safetensors"}, pool="gpu")(trained)


def rows_of(settings: Settings) -> tuple[Baseline, ...]:
    """The rows that the settings name, with those they are made of; else the paper's, and the further if asked for."""
    if settings.benchmark.rows:
        named = [baseline(key) for key in settings.benchmark.rows]
        wanted = {row.key for row in named} | {member for row in named for member in row.needs}
        return tuple(row for row in ALL_ROWS if row.key in wanted)
    return PAPER_ROWS + (FURTHER_ROWS if settings.benchmark.further_rows else ())


def _overrides(project: Project) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(project.settings.benchmark.overrides.items())]


def _train(context: dg.AssetExecutionContext, project: Project, key: str, place: str) -> list[dict[str, Any]]:
    """Run the trainer as a subprocess with Dagster Pipes; returns the events that it reports."""
    settings, models, predictions = project.settings, *(project.path(f"{place}{kind}") for kind in KINDS)
    command = [sys.executable, "-m", "assets.engine.training_process", "--baseline", key]
    command += ["--dataset", f"{project.path(f'{place}dataset')}", "--models", f"{models}"]
    command += ["--predictions", f"{predictions}", "--profile", settings.profile]
    command += ["--weights", f"{settings.features.weights}"] if settings.features.weights else []
    command += ["--recipes", settings.benchmark.recipes] if settings.benchmark.recipes else []
    command += ["--seed", f"{settings.benchmark.seed}", "--override", *_overrides(project)]
    environment = os.environ | {WARM: str(warm_trainer()[0])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # dagster-pipes warns of its own calls; it is pinned
        done = dg.PipesSubprocessClient(cwd=str(ROOT)).run(context=context, command=command, env=environment)
    events = [event for event in done.get_custom_messages() if isinstance(event, dict)]
    errors = [event["message"] for event in events if event.get("event") == "error"]
    if errors:
        raise dg.Failure(errors[0], allow_retries=False)
    return events


@cache
def warm_trainer() -> tuple[Path, subprocess.Popen[bytes]]:
    """Start a fork server that imports torch once for all rows; returns its socket, and the process.

    It accepts requests while it is still importing, and ends with this process.
    """
    file = Path(tempfile.mkdtemp(prefix="eufcc-")) / "trainer"
    command = [sys.executable, "-m", "ml.experiments.fork_server", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)  # noqa: S603
    while not file.exists() and process.poll() is None:
        time.sleep(0.01)
    return file, process


def _cost(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Dagster's metadata of a training: the values of the last event, and the loss by epoch."""
    done: dict[str, Any] = next((event for event in reversed(events) if event["event"] == "done"), {})
    epochs = [event for event in events if event["event"] == "epoch"]
    lines = ["| epoch | loss | validation | images/s |", "|---|---|---|---|"]
    lines += [
        f"| {e['epoch']} | {e['loss']:.4f} | {json.dumps(e.get('validation'))} | {e.get('images_per_s', 0):.0f} |"
        for e in epochs
    ]
    metadata = {name: value for name, value in done.items() if name != "event" and isinstance(value, int | float | str)}
    return metadata | ({"curves": curves(epochs), "epochs": "\n".join(lines)} if epochs else {})


SETTINGS = current_project().settings
ROWS = rows_of(SETTINGS)
MENDED_ROWS = ROWS if SETTINGS.published and SETTINGS.benchmark.mended else ()
TRAINING = [*(training_asset(row) for row in ROWS), *(training_asset(row, MENDED) for row in MENDED_ROWS)]
