"""The report's section on the outer test's losses: one picture and its table."""

from typing import NamedTuple

import plotly.graph_objects as go
import polars as pl

from ml.baselines import PRIOR
from ml.evaluation.losses import BY, PARTS
from ml.report.charts import BLUE, GREY, LINES, ORANGE, Chart, page_chart
from ml.report.results import ordered_baselines, show, title
from ml.report.tables import HeadCell, ShownCell, ShownRow, ShownTable
from pipeline.facets import MEAN_FACETS

NAMES = {"support": "tags without training images", "frequencies": "other tag frequencies", "pictures": "the pictures"}
COLOURS = {"support": GREY, "frequencies": ORANGE, "pictures": LINES[5]}


class Losses(NamedTuple):
    """What the section shows."""

    chart: Chart
    table: ShownTable


def losses_section(breakdowns: pl.DataFrame) -> Losses | None:
    """The picture and the table of a run's losses on the outer test; None where no row has all facets."""
    shares = loss_shares(breakdowns)
    chart = None if shares.is_empty() else page_chart("losses", losses_chart(shares))
    return None if chart is None else Losses(chart, losses_table(shares))


def loss_shares(breakdowns: pl.DataFrame) -> pl.DataFrame:
    """A line per row: baseline, reached, support, frequencies, pictures; unweighted means over the facets.

    All facets count that have figures, also those that the means of `results` leave out because they cannot tell. A row
    that lacks one of the facets is left out.
    """
    part = breakdowns.filter(pl.col("facet").is_in(MEAN_FACETS), by=BY, split="outer_test")
    facets = part["facet"].n_unique()
    means = (
        part.group_by("baseline", "level")
        .agg(pl.col("value").mean(), facets=pl.len())
        .filter(pl.col("facets") == facets)
        .pivot(on="level", on_columns=list(PARTS), index="baseline", values="value")
        .with_columns(reached=1 - pl.sum_horizontal(PARTS))
    )
    order = [row for row in [*ordered_baselines(part["baseline"].to_list()), PRIOR] if row in set(means["baseline"])]
    return pl.DataFrame({"baseline": order}, schema={"baseline": pl.String}).join(
        means, on="baseline", maintain_order="left"
    )


def losses_chart(shares: pl.DataFrame) -> go.Figure:
    """One bar of length 1 per row: what it reaches, then what it loses to each part."""
    figure = go.Figure()
    names = [title(row) for row in shares["baseline"]]
    for column, name, colour in [
        ("reached", "reached", BLUE),
        *((p, f"lost to {NAMES[p]}", COLOURS[p]) for p in PARTS),
    ]:
        figure.add_bar(
            name=name,
            orientation="h",
            x=shares[column].to_list(),
            y=names,
            marker_color=colour,
            hovertemplate="%{y}: %{x:.2f} " + name + "<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed")
    return figure.update_layout(
        barmode="stack",
        xaxis={"title": "R-Precision, mean over facets", "range": [0, 1]},
        height=170 + 30 * shares.height,
        legend={"orientation": "h", "y": 1.12, "traceorder": "normal"},
    )


def losses_table(shares: pl.DataFrame) -> ShownTable:
    """The same figures in words."""
    head = (HeadCell("Row"), HeadCell("Reached"), *(HeadCell(f"Lost to {NAMES[part]}") for part in PARTS))
    rows = []
    for line in shares.iter_rows(named=True):
        cells = tuple(ShownCell(show("r_precision", line[column])) for column in ("reached", *PARTS))
        rows.append(ShownRow(title(line["baseline"]), cells, kind="ref" if line["baseline"] == PRIOR else "run"))
    return ShownTable(
        "losses", "Where each row loses on the outer test (R-Precision, unseen tags missed)", (head,), tuple(rows)
    )
