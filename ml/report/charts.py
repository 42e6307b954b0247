"""The report's charts: where rows are good, how splits are balanced, how distances chose the outer providers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
from markupsafe import Markup

from ml.baselines import PRIOR, PROVIDER
from ml.dataset.tag_list import FacetTags
from ml.evaluation.tells import CANNOT_TELL, TELLS
from ml.report.results import SPLIT_TITLES, ordered_baselines, title
from pipeline import TEST_SPLITS
from pipeline.facets import ALL_FACETS, FACET_OF
from pipeline.plots import svg
from pipeline.tables import IGNORE_UNSEEN

MOST_BARS = 40  # providers in one chart
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#B8A500", "#8C6BB1", "#7F7F7F")
BLUE, ORANGE, GREY = LINES[0], LINES[4], LINES[8]
SIZES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


@dataclass(frozen=True)
class Chart:
    """One chart of the page: its title, Plotly's description of it, and the same figure for paper."""

    name: str
    title: str
    json: Markup
    svg: Markup
    height: int


def page_chart(name: str, figure: go.Figure | None) -> Chart | None:
    """A chart for the page, which draws it in its own colours; None for one without a point."""
    if figure is None or not any(len(_points(trace)) for trace in figure.data):
        return None
    figure.layout.template = None
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(dtick="D2", selector={"type": "log"})  # 1, 2, 5, 10: nine labels a decade would overlap
    text = figure.to_json().replace("</", "<\\/")
    drawn = Markup(svg(figure))  # noqa: S704
    return Chart(name, figure.layout.title.text or "", Markup(text), drawn, int(figure.layout.height or 450))  # noqa: S704


def _points(trace: Any) -> Sequence[Any]:
    for name in ("ids", "x", "y"):
        if name in trace and trace[name] is not None:
            return trace[name]
    return ()


def line_of(number: int) -> dict[str, str]:
    """The look of one line among many: nine colours, then the same ones dashed, then dotted."""
    return {"color": LINES[number % len(LINES)], "dash": ("solid", "dash", "dot")[number // len(LINES) % 3]}


def _error_bars(value: pl.Series, low: pl.Series, high: pl.Series) -> dict[str, Any]:
    """Error bars from the values to the ends of their intervals; null ends draw none."""
    above, below = (high - value).fill_null(0).to_list(), (value - low).fill_null(0).to_list()
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}


def rows_chart(results: pl.DataFrame) -> go.Figure:
    """Mean R-Precision of every row on both tests, with intervals."""
    figure = go.Figure()
    rows = [*ordered_baselines(results["baseline"].to_list()), PROVIDER, PRIOR]
    for split, colour, symbol in zip(TEST_SPLITS, (BLUE, ORANGE), ("circle", "diamond"), strict=True):
        part = results.filter(split=split, facet="mean", metric="r_precision", policy=IGNORE_UNSEEN)
        shown = pl.DataFrame({"baseline": rows}).join(part, on="baseline", maintain_order="left").drop_nulls("value")
        words = shown["tells"].drop_nulls().unique().to_list()
        figure.add_scatter(
            name=f"{SPLIT_TITLES[split]}{f' ({words[0]})' if words and words[0] != TELLS else ''}",
            mode="markers",
            x=shown["value"].to_list(),
            y=[title(row) for row in shown["baseline"]],
            marker={
                "color": GREY if words == [CANNOT_TELL] else colour,
                "size": 10,
                "symbol": f"{symbol}-open" if words and words[0] != TELLS else symbol,
            },
            error_x=_error_bars(shown["value"], shown["low"], shown["high"]),
        )
    figure.update_yaxes(autorange="reversed")
    return figure.update_layout(
        xaxis={"title": "R-Precision, mean over facets", "rangemode": "tozero"},
        height=170 + 34 * len(rows),
        legend={"orientation": "h", "y": 1.12},
    )


def depth_chart(breakdowns: pl.DataFrame, facet: str) -> go.Figure:
    """R-Precision among the tags of each depth on the inner test, one line per row."""
    part = breakdowns.filter(by="depth", facet=facet, metric="r_precision", split="inner_test")
    figure = go.Figure()
    for number, baseline in enumerate(ordered_baselines(part["baseline"].to_list())):
        line = part.filter(baseline=baseline).sort(pl.col("level").cast(pl.Int64))
        figure.add_scatter(
            name=title(baseline),
            x=line["level"].cast(pl.Int64).to_list(),
            y=line["value"].to_list(),
            customdata=line["n"].to_list(),
            hovertemplate="depth %{x}: %{y:.2f} (%{customdata} images)",
            mode="lines+markers",
            line=line_of(number),
        )
    return figure.update_layout(
        xaxis={"title": "depth in the hierarchy (1 is the most general)", "dtick": 1},
        yaxis={"title": "R-Precision among tags of that depth", "rangemode": "tozero"},
    )


def provider_chart(breakdowns: pl.DataFrame, baseline: str, facet: str) -> go.Figure:
    """R-Precision of one row for the providers of both tests; outer providers are marked."""
    part = breakdowns.filter(by="data_provider", facet=facet, metric="r_precision", baseline=baseline)
    part = part.filter(pl.col("split").is_in(TEST_SPLITS))
    part = part.sort("n", "level", descending=[True, False]).head(MOST_BARS).sort("value", "level")
    outer = (part["split"] == "outer_test").to_list()
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=part["value"].to_list(),
            y=[f"{name} (outer)" if o else name for name, o in zip(part["level"], outer, strict=True)],
            marker_color=[ORANGE if o else BLUE for o in outer],
            customdata=part["n"].to_list(),
            hovertemplate="%{y}: %{x:.2f} (%{customdata} images)<extra></extra>",
        )
    )
    return figure.update_layout(xaxis_title="R-Precision", height=140 + 22 * part.height)


def tag_chart(breakdowns: pl.DataFrame, listed: FacetTags, baseline: str) -> go.Figure:
    """How often each tag of a facet is found, by the number of its training images."""
    tags = pl.DataFrame({"level": listed.tag_ids, "label": listed.labels, "n_train": listed.n_train})
    part = breakdowns.filter(by="tag", facet=listed.facet, baseline=baseline, split="inner_test").sort("level")
    part = part.join(tags, on="level", maintain_order="left")
    figure = go.Figure(
        go.Scatter(
            mode="markers",
            x=part["n_train"].to_list(),
            y=part["value"].to_list(),
            text=part["label"].to_list(),
            customdata=part["n"].to_list(),
            hovertemplate="%{text}: found in %{y:.0%} of %{customdata} images, %{x} in training<extra></extra>",
            marker={"color": FACET_OF[listed.facet].colour, "opacity": 0.7, "size": 8},
        )
    )
    figure.update_xaxes(type="log", title="training images of the tag")
    return figure.update_yaxes(title="share of test images where it is found", tickformat=".0%", rangemode="tozero")


def balance_chart(split_tags: pl.DataFrame) -> go.Figure:
    """Training and inner test images of every tag, on logarithmic axes."""
    figure = go.Figure()
    for facet in ALL_FACETS:
        part = split_tags.filter(facet=facet.key).filter(pl.col("train") + pl.col("inner_test") > 0).sort("tag_id")
        if part.is_empty():
            continue
        figure.add_scatter(
            name=facet.title,
            mode="markers",
            x=part["train"].to_list(),
            y=part["inner_test"].to_list(),
            text=part["tag_id"].to_list(),
            hovertemplate="aat:%{text}: %{x} train, %{y} inner test",
            marker={"color": facet.colour, "opacity": 0.7},
        )
    figure.update_xaxes(type="log", title="training images")
    return figure.update_yaxes(type="log", title="inner test images")


def _distances(distances: pl.DataFrame) -> pl.DataFrame:
    """The distances of the first extractor, with the `kind` of every provider."""
    known = distances.filter(pl.col("frechet_to_whole").is_not_null(), extractor=distances["extractor"].sort()[0])
    chosen = pl.when(pl.col("chosen").is_not_null()).then(pl.lit("chosen as outer test"))
    return known.with_columns(kind=chosen.when("eligible").then(pl.lit("eligible")).otherwise(pl.lit("not eligible")))


KINDS = (  # of providers
    ("chosen as outer test", ORANGE, "diamond"),
    ("eligible", BLUE, "circle"),
    ("not eligible", GREY, "circle-open"),
)


def distance_chart(distances: pl.DataFrame) -> go.Figure:
    """Distance of every provider to the whole dataset, by its share of the images; the chosen ones marked."""
    figure = go.Figure()
    known = _distances(distances).sort("data_provider")
    for kind, colour, symbol in KINDS:
        part = known.filter(kind=kind)
        figure.add_scatter(
            name=kind,
            mode="markers",
            x=part["share"].to_list(),
            y=part["frechet_to_whole"].to_list(),
            text=part["data_provider"].to_list(),
            customdata=part.select("n", "reason").rows(),
            hovertemplate="%{text}<br>%{customdata[0]} images<br>%{customdata[1]}<extra></extra>",
            marker={"color": colour, "size": 11, "symbol": symbol},
        )
    figure.update_xaxes(type="log", title="share of all images", tickformat=".1%")
    return figure.update_yaxes(title="Fréchet distance to the whole").update_layout(
        legend={"orientation": "h", "y": 1.12}
    )


def ranking_chart(distances: pl.DataFrame) -> go.Figure:
    """Providers by their distance to the whole dataset, the farthest on top, with intervals; the chosen ones marked."""
    known = _distances(distances).sort("frechet_to_whole", "data_provider", descending=[True, False])
    known = known.head(MOST_BARS).reverse()
    figure = go.Figure()
    for kind, colour, _ in KINDS:
        part = known.filter(kind=kind)
        figure.add_bar(
            name=kind,
            orientation="h",
            x=part["frechet_to_whole"].to_list(),
            y=part["data_provider"].to_list(),
            error_x=_error_bars(part["frechet_to_whole"], part["low"], part["high"]),
            customdata=part.select("n", "reason").rows(),
            hovertemplate="%{y}: %{x:.0f}<br>%{customdata[0]} images<br>%{customdata[1]}<extra></extra>",
            marker_color=colour,
        )
    order = {"categoryorder": "array", "categoryarray": known["data_provider"].to_list()}
    return figure.update_layout(
        xaxis_title="Fréchet distance to the whole", yaxis=order, height=170 + 22 * known.height, barmode="overlay"
    )


def images_per_tag(tags: pl.DataFrame) -> go.Figure:
    """How many tags have how many images, in steps of 1, 2, 5, stacked by facet."""
    names = [f"under {SIZES[0]:,}", *(f"{low:,}–{high - 1:,}" for low, high in pairwise(SIZES)), f"from {SIZES[-1]:,}"]
    step = np.searchsorted(SIZES, tags["n_images"].to_numpy(), side="right")
    used = slice(step.min(), step.max() + 1) if len(step) else slice(0)
    figure = go.Figure()
    for facet in ALL_FACETS:
        count = np.bincount(step[(tags["facet"] == facet.key).to_numpy()], minlength=len(names))
        if count.any():
            figure.add_bar(name=facet.title, x=names[used], y=count[used].tolist(), marker_color=facet.colour)
    return figure.update_layout(
        barmode="stack", xaxis={"title": "images of the tag", "type": "category"}, yaxis_title="tags"
    )


def learning_curves(storage: Path, baselines: list[str]) -> go.Figure | None:
    """Validation R-Precision by epoch of every row that has a log; None if no row has one."""
    figure = go.Figure()
    for number, baseline in enumerate(baselines):
        epochs = read_log(storage / "models" / baseline / "log.jsonl")
        points = [(e["epoch"], e["validation"]["mean"], e["loss"]) for e in epochs if e.get("validation")]
        if points:
            figure.add_scatter(
                name=title(baseline),
                mode="lines+markers",
                x=[p[0] for p in points],
                y=[p[1] for p in points],
                customdata=[p[2] for p in points],
                hovertemplate="epoch %{x}: %{y:.3f}, loss %{customdata:.3f}",
                line=line_of(number),
            )
    if not figure.data:
        return None
    figure.update_xaxes(title="epoch")
    return figure.update_yaxes(title="R-Precision on validation", rangemode="tozero")


def read_log(file: Path) -> list[dict]:
    """The epochs of a training log; none if the file is missing."""
    if not file.exists():
        return []
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [event for event in events if event.get("event") == "epoch"]
