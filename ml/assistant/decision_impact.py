"""The impact of decisions: how a model ranks the accepted and the rejected tags on the images they were made on."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from ml.assistant.decisions import database_of, read_decisions
from ml.assistant.groups import Groups
from ml.assistant.limits import AssistantLimits
from ml.assistant.pictures import Pictures, for_model
from ml.assistant.suggest import Suggester
from ml.assistant.trained import ModelError, find_models
from ml.assistant.vocabulary import read_tag_list

TOP = 10  # paper: suggestions shown per facet


def rank_again(decisions: pl.DataFrame, suggester: Suggester, jpeg_of: Callable[[str], bytes]) -> pl.DataFrame:
    """The decisions with this model's score and rank of the tag: `score_now`, `rank_now`; null for an unknown tag."""
    short_side = AssistantLimits().model_short_side
    now: list[tuple[float | None, int | None]] = []
    for image_id, tag_id in decisions.select("image_id", "tag_id").iter_rows():
        with for_model(jpeg_of(image_id), short_side) as picture:
            now.append(suggester.score_and_rank(image_id, picture, tag_id) or (None, None))
    return decisions.hstack(pl.DataFrame(now, {"score_now": pl.Float64, "rank_now": pl.Int64}, orient="row"))


def summary(ranked: pl.DataFrame) -> pl.DataFrame:
    """One row each for accepted and rejected tags: mean score and rank, and share in the top 10, when shown and now."""

    means = {"n": pl.len()}
    for moment, suffix in (("shown", ""), ("now", "_now")):
        rank = pl.col(f"rank{suffix}")
        means |= {f"score_{moment}": pl.mean(f"score{suffix}"), f"rank_{moment}": rank.mean()}
        means[f"top_{TOP}_{moment}"] = (rank.fill_null(TOP + 1) <= TOP).mean()
    decided = pl.when("accepted").then(pl.lit("accepted")).otherwise(pl.lit("rejected"))
    return ranked.group_by(decided=decided).agg(**means).sort("decided")


def decision_impact(storage: Path, model: str | None = None) -> tuple[str, pl.DataFrame]:
    """A model's key, and the summary of all decisions in a storage folder. Raises ModelError, StoreError."""
    order, _ = read_tag_list(storage / "dataset" / "tag_list.json")
    models = find_models(storage / "models", storage / "predictions", storage / "dataset", order)
    key = model or models.default
    if key not in models.infos:
        raise ModelError(f"There is no trained model `{key}`. The trained models are: {', '.join(models.infos)}.")
    models.group_of = Groups(None, storage / "dataset").of
    pictures = Pictures(storage / "assistant" / "pictures", AssistantLimits())
    decisions = read_decisions(database_of(storage))
    return key, summary(rank_again(decisions, models.get(key), pictures.read))
