"""Stage promotion: compares the best model with the model in use before it replaces it."""

from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan, Metadata
from assets.evaluation import MODELS
from assets.freshness import HALF_YEARLY
from ml.registry.champion import best_contender, promote, read_contender, write_contender

CHALLENGER = "challenger.json"


class PromotionConfig(dg.Config):
    """Options of one promotion, for the Launchpad."""

    baseline: str | None = Field(
        None,
        pattern="^[a-z0-9_]+$",
        description="Key of the row to promote, as in the benchmark table; by default the best one.",
    )


@stage_asset(AssetPlan("promotion"), kinds={"json"})
def challenger(results: pl.DataFrame, storage: Path, config: PromotionConfig) -> Metadata:
    """The best row of the stored benchmark. A check blocks it when the champion is better."""
    rows = results if config.baseline is None else results.filter(pl.col("baseline") == config.baseline)
    best = best_contender(rows)
    write_contender(best, storage / "challenger" / CHALLENGER)
    return {"challenger": {"row": best.baseline, "r_precision": best.score, "low": best.low, "high": best.high}}


@stage_asset(AssetPlan("promotion", after=MODELS), kinds={"safetensors", "json"}, freshness_policy=HALF_YEARLY)
def champion(challenger: Path, storage: Path) -> Metadata:
    """A copy of the model in use, with the scores that it was promoted for."""
    best = read_contender(challenger / CHALLENGER)
    if best is None:
        raise dg.Failure("There is no challenger: materialize `challenger` first.", allow_retries=False)
    promote(best, storage / "models", storage / "champion")
    return {"champion": {"row": best.baseline, "r_precision": best.score}}
