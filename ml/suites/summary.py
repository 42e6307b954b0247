"""The suites in short: which splits tell, and what every row reaches on those that do."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import stats

from ml.evaluation.tells import CANNOT_TELL, Figures, word_of
from pipeline.facets import MEAN_FACETS
from pipeline.settings import EvaluationSettings

LEAST_IMAGES = 20  # of a facet on one split: with fewer, its ceiling is chance


class Estimate(NamedTuple):
    """A row's mean over the splits of a suite that tell, and the worst of them.

    The interval is a t interval over the splits; there is none with fewer than `least_providers` of the settings.
    """

    mean: float
    low: float | None
    high: float | None
    worst: float
    worst_split: str
    splits: int


def tells(line: Mapping[str, Any], settings: EvaluationSettings) -> bool:
    """Whether a facet of a split can tell, by the rule of ml/evaluation/tells.py, which asks what pictures add.

    Here a split needs few images, LEAST_IMAGES, as figures are means over many splits; tags that are new on purpose
    need no training images; and a facet without a probe cannot tell.
    """
    figures = Figures(
        line["split"],
        line["facet"],
        images=line["n"],
        groups=line["n"],
        providers=1,
        support=1.0 if line["new"] else line["support"],
        **{name: line[name] for name in ("constant", "prior", "probe", "ceiling")},
    )
    enough = figures.images >= LEAST_IMAGES and figures.pictures is not None
    return enough and word_of(figures, settings) != CANNOT_TELL


def telling(results: pl.DataFrame, settings: EvaluationSettings) -> pl.DataFrame:
    """A line per suite, split and facet that means count: n, support, new, constant, prior, probe, ceiling, tells."""
    part = results.filter(pl.col("facet").is_in(MEAN_FACETS), metric="r_precision")
    references = {"constant": "constant", "prior": "label_prior", "probe": "ridge", "ceiling": "ceiling"}
    of_row = {name: pl.col("value").filter(pl.col("baseline") == row).first() for name, row in references.items()}
    figures = part.group_by("suite", "split", "facet").agg(
        n=pl.col("n").max(), support=pl.col("support").max(), new=pl.col("note").is_not_null().any(), **of_row
    )
    figures = figures.sort("suite", "split", "facet")
    return figures.with_columns(
        tells=pl.Series([tells(line, settings) for line in figures.to_dicts()], dtype=pl.Boolean)
    )


def means_by_split(results: pl.DataFrame, settings: EvaluationSettings) -> pl.DataFrame:
    """A line per suite, split and row: the mean R-Precision over the facets that tell; null where it ranks nothing.

    Splits on which no facet tells are left out.
    """
    kept = telling(results, settings).filter("tells").select("suite", "split", "facet")
    part = results.filter(metric="r_precision").join(kept, on=["suite", "split", "facet"])
    return (
        part.group_by("suite", "split", "baseline")
        .agg(pl.col("value").mean(), facets=pl.len())
        .sort("suite", "split", "baseline")
    )


def estimates(means: pl.DataFrame, suite: str, settings: EvaluationSettings) -> dict[str, Estimate | None]:
    """Every row's estimate over the splits of a suite; None for a row that does not rank there."""
    found: dict[str, Estimate | None] = {}
    for (row,), part in means.filter(suite=suite).group_by("baseline", maintain_order=True):
        known = part.drop_nulls("value").sort("value", "split")
        found[str(row)] = None if known.is_empty() else _estimate(known, settings)
    return found


def _estimate(known: pl.DataFrame, settings: EvaluationSettings) -> Estimate:
    values = known["value"].to_numpy()
    mean, n = float(values.mean()), len(values)
    half = None
    if n >= settings.least_providers:
        half = float(stats.t.ppf((1 + settings.confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return Estimate(mean, low, high, float(values[0]), str(known["split"][0]), n)


class Within(NamedTuple):
    """What a row tells apart within providers: means over pairs of provider and tag."""

    auroc: float
    average_precision: float
    prevalence: float  # the average precision of a ranking that is the same for all images
    pairs: int


def within_providers(results: pl.DataFrame, suite: str) -> dict[str, Within]:
    """Every row's means within providers.

    Folds are joined first: an AUROC weighs by its pairs of images with and without the tag, an average precision and
    the prevalence by the images that have it.
    """
    part = results.filter(pl.col("provider") != "", suite=suite)
    weight = pl.when(pl.col("metric") == "auroc").then(pl.col("n") * pl.col("without")).otherwise(pl.col("n"))
    share = pl.col("n") / (pl.col("n") + pl.col("without"))
    cells = part.group_by("baseline", "metric", "facet", "provider", "tag_id").agg(
        value=(pl.col("value") * weight).sum() / weight.sum(), share=(share * pl.col("n")).sum() / pl.col("n").sum()
    )
    means = cells.group_by("baseline", "metric").agg(pl.col("value", "share").mean(), pairs=pl.len())
    by_row: dict[str, dict[str, dict[str, Any]]] = {}
    for line in means.sort("baseline", "metric").to_dicts():
        by_row.setdefault(line["baseline"], {})[line["metric"]] = line
    return {
        row: Within(of["auroc"]["value"], of["average_precision"]["value"], of["auroc"]["share"], of["auroc"]["pairs"])
        for row, of in by_row.items()
    }
