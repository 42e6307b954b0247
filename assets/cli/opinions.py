"""How first and second opinions agree, as tables for the terminal."""

from collections.abc import Mapping

import polars as pl

MOST_CONFLICTS = 50  # shown; --json lists all
FIGURES = ("agreement", "kappa", "alpha")


def opinion_tables(
    labels: Mapping[str, str], agreement: pl.DataFrame, conflicts: pl.DataFrame
) -> list[tuple[str, pl.DataFrame]]:
    """Titles and tables: the measures with their intervals, and the tags on which two people differ."""
    named = pl.col("tag_id").replace(dict(labels)).alias("tag")
    figures = [_with_interval(name) for name in FIGURES]
    verdicts = [_verdict(name) for name in ("first", "second", "settled")]
    measures = agreement.select("facet", named, "images", "tags", *figures)
    image = pl.col("image_id").str.head(12).alias("image")
    people = ["first_by", "second_by", "settled_by"]
    listed = conflicts.select(image, "facet", named, *verdicts, *(pl.col(name).fill_null("") for name in people))
    title = f"{len(conflicts)} differences" + (
        f", the first {MOST_CONFLICTS}" if len(conflicts) > MOST_CONFLICTS else ""
    )
    return [("first and second opinions (95 % intervals)", measures), (title, listed.head(MOST_CONFLICTS))]


def _with_interval(name: str) -> pl.Expr:
    """`.83 [.70, .91]`; a dash where nothing varies."""
    number = {each: pl.col(each).round(2).cast(pl.String) for each in (name, f"{name}_low", f"{name}_high")}
    text = pl.format("{} [{}, {}]", *number.values())
    return pl.coalesce(text, number[name], pl.lit("–")).alias(name)


def _verdict(name: str) -> pl.Expr:
    said = pl.when(pl.col(name)).then(pl.lit("applies")).when(~pl.col(name)).then(pl.lit("does not"))
    return said.otherwise(pl.lit("")).alias(name)
