"""Stage evaluation: every row scored with intervals, and the report that people read."""

from pathlib import Path

import polars as pl

from assets.stage import stage_asset
from assets.training import ROWS
from pipeline.settings import Settings
from pipeline.tables import RESULTS

CODE = ("ml/evaluation",)
PREDICTIONS = tuple(f"predictions/{row.key}" for row in ROWS)


@stage_asset(
    "evaluation",
    code=CODE,
    settings=("evaluation",),
    kinds=frozenset({"numba", "parquet"}),
    after=PREDICTIONS,
)
def results(dataset: Path, storage: Path, settings: Settings) -> pl.DataFrame:
    """The label prior and the oracle stand beside every row; intervals are bootstrapped over near-duplicate groups."""
    from ml.evaluation.evaluate import evaluate
    from ml.evaluation.reference import reference_rows

    rows = reference_rows(dataset, settings=settings.evaluation)
    for name in PREDICTIONS:
        rows += evaluate(storage / name, dataset, settings=settings.evaluation)
    return RESULTS.frame(rows)
