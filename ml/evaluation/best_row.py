"""The best row of the benchmark: one rule, for the report's sentences and for the choice of a champion."""

import polars as pl

from ml.baselines import BASELINES, REFERENCES, place_in_paper
from pipeline.tables import IGNORE_UNSEEN

READ_TITLES = tuple(key for key, row in BASELINES.items() if row.reads_title)


def best_row(results: pl.DataFrame, split: str) -> str | None:
    """The trained row with the best R-Precision on a split; None without one.

    R-Precision is the mean of `results`, over the facets that can tell, with unseen tags ignored.
    On ties the first in the paper's order, then by name. The reference rows never count: the oracle would always win,
    and a prior that wins is no model to use. Rows without a mean (a single head) do not count either, nor rows that
    read the title: a picture alone has none.
    """
    rows = results.filter(
        ~pl.col("baseline").is_in([*REFERENCES, *READ_TITLES]),
        pl.col("value").is_not_null(),
        split=split,
        metric="r_precision",
        facet="mean",
        policy=IGNORE_UNSEEN,
    )
    values = rows.select("baseline", "value").iter_rows()
    return min(values, key=lambda row: (-row[1], place_in_paper(row[0])), default=(None, 0))[0]
