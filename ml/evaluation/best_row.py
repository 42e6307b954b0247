"""The best row of the benchmark: one rule, for the report's sentences and for the choice of a champion."""

import polars as pl

from ml.baselines import BASELINES
from pipeline.tables import IGNORE_UNSEEN

NO_MODELS = ("label_prior", "oracle")  # ml/evaluation/reference.py: what every table needs, and nobody can use


def best_row(results: pl.DataFrame, split: str) -> str | None:
    """The trained row with the best R-Precision on a split (mean over facets, unseen tags ignored); None without one.

    On ties the first in the paper's order, then by name. The reference rows never count: the oracle would always win,
    and a prior that wins is no model to use. Rows without a mean (a single head) do not count either.
    """
    rows = results.filter(
        ~pl.col("baseline").is_in(NO_MODELS),
        pl.col("value").is_not_null(),
        split=split,
        metric="r_precision",
        facet="mean",
        policy=IGNORE_UNSEEN,
    )
    order = {key: number for number, key in enumerate(BASELINES)}
    ranked = rows.sort("baseline").sort(
        "value",
        pl.col("baseline").replace_strict(order, default=len(order), return_dtype=pl.Int64),
        descending=[True, False],
        maintain_order=True,
    )
    return None if ranked.is_empty() else ranked["baseline"][0]
