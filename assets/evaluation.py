"""Stage evaluation: every row scored with intervals, and the report that people read."""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan
from assets.training import ROWS
from pipeline.settings import Settings

CODE = ("ml/evaluation", "ml/baselines.py")
PREDICTIONS = tuple(f"predictions/{row.key}" for row in ROWS)
MODELS = tuple(f"models/{row.key}" for row in ROWS)
SHOWN = ("tags", "record_tags", "records", "splits", "split_tags", "provider_distances", "cataloguer_decisions")


@stage_asset(
    AssetPlan(
        "evaluation",
        writes=("results", "breakdowns", "comparisons"),
        code=CODE,
        settings=("evaluation",),
        after=("dataset", *PREDICTIONS),
    ),
    kinds={"numba", "parquet"},
)
def scores(storage: Path, settings: Settings) -> dict[str, pl.DataFrame]:
    """The label prior and the oracle stand beside every row; intervals are bootstrapped over near-duplicate groups.

    Only rows of this graph are scored: predictions of rows that were trained earlier and left it stay where they are.
    """
    from ml.evaluation.score_run import evaluate_benchmark

    found = evaluate_benchmark(storage, settings.evaluation, [row.key for row in ROWS])
    return {"results": found.results, "breakdowns": found.breakdowns, "comparisons": found.comparisons}


@stage_asset(
    AssetPlan(
        "evaluation",
        code=(*CODE, "ml/report"),
        settings=("evaluation",),
        after=("dataset", *PREDICTIONS, *MODELS, *SHOWN),
    ),
    kinds={"plotly", "html"},
    automation_condition=dg.AutomationCondition.eager(),  # cheap: drawn from stored tables
)
def report(
    results: pl.DataFrame, breakdowns: pl.DataFrame, comparisons: pl.DataFrame, storage: Path, settings: Settings
) -> dict[str, object]:
    """Tables with the published rows beside, findings, charts and pictures; report.html stands by itself."""
    from ml.evaluation.score_run import Benchmark
    from ml.report.write import write_report

    scored = Benchmark(results, breakdowns, comparisons)
    written = write_report(storage, storage / "report", settings.evaluation, scored)
    tables = (storage / "report" / "tables.md").read_text(encoding="utf-8")
    return {"report": {"page": str(written.page), "best_inner": written.best_inner, "tables": tables}}
