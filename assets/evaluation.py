"""Stage evaluation: scores of every row, with intervals, and the report."""

from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan
from assets.training import ROWS, SETTINGS
from pipeline.settings import Settings

plan = partial(AssetPlan, "evaluation", settings=("evaluation",))
PREDICTIONS = tuple(f"predictions/{row.key}" for row in ROWS)
MODELS = tuple(f"models/{row.key}" for row in ROWS)
# What the report of a run on the published files shows more (assets/official.py).
OF_FILES = ("paper_figures", "split_sizes", "leaks", "fetches") if SETTINGS.published else ()
SHOWN = ("tags", "record_tags", "records", "splits", "split_tags", "provider_distances", "cataloguer_decisions")


@stage_asset(
    plan(
        writes=("results", "breakdowns", "comparisons"),
        after=("dataset", "informativeness", *PREDICTIONS),
        of_images=False,
    ),
    kinds={"numba", "parquet"},
)
def scores(storage: Path, settings: Settings) -> dict[str, pl.DataFrame]:
    """Every row beside the reference rows, with intervals over groups inside and over providers outside.

    Only rows of this graph are scored, not the stored predictions of rows that were removed from it.
    """
    from ml.evaluation.score_run import evaluate_benchmark

    scored = evaluate_benchmark(storage, settings.evaluation, [row.key for row in ROWS])
    return {"results": scored.results, "breakdowns": scored.breakdowns, "comparisons": scored.comparisons}


@stage_asset(
    AssetPlan(
        "controls", settings=("evaluation", "splits.outer_extractor"), after=("informativeness",), of_images=False
    ),
    kinds={"numba", "parquet"},
)
def controls(dataset: Path, features: Path, settings: Settings) -> pl.DataFrame:
    """Rows that learned nothing, as a test of the tests: none of them may get a verdict in its favour."""
    from ml.evaluation.controls import control_rows

    return control_rows(dataset, features, settings.evaluation, extractor=settings.splits.outer_extractor)


@stage_asset(
    plan(after=("dataset", *PREDICTIONS, *MODELS, *SHOWN, *OF_FILES)),
    kinds={"plotly", "html"},
    automation_condition=dg.AutomationCondition.eager(),  # cheap: drawn from stored tables
)
def report(
    results: pl.DataFrame,
    breakdowns: pl.DataFrame,
    comparisons: pl.DataFrame,
    informativeness: pl.DataFrame,
    storage: Path,
    settings: Settings,
) -> dict[str, object]:
    """Tables beside the published rows, findings, charts and pictures; report.html is self-contained."""
    from ml.evaluation.score_run import Benchmark
    from ml.report.write import write_report

    scored = Benchmark(results, breakdowns, comparisons, informativeness)
    written = write_report(storage, storage / "report", settings.evaluation, scored)
    tables = (storage / "report" / "tables.md").read_text(encoding="utf-8")
    return {"report": {"page": str(written.page), "best_inner": written.best_inner, "tables": tables}}
