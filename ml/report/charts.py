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

from ml.report.results import FACET_TITLES, SPLIT_TITLES, ordered_baselines, title
from pipeline import FACETS
from pipeline.facets import FACET_OF

MOST_BARS = 40  # providers in one chart
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#B8A500", "#8C6BB1", "#7F7F7F")


@dataclass(frozen=True)
class Figure:
    """One chart of the page: what it shows in words, and Plotly's description of it."""

    name: str
    title: str
    caption: str
    json: Markup
    height: int


def rows_chart(results: pl.DataFrame) -> go.Figure:
    """Mean R-Precision of every row on both tests, with intervals."""
    figure = go.Figure()
    rows = [*ordered_baselines(results["baseline"].to_list()), "label_prior"]
    for split, colour in (("inner_test", LINES[0]), ("outer_test", LINES[4])):
        part = results.filter(split=split, facet="mean", metric="r_precision", policy="ignore_unseen")
        by_row = {r["baseline"]: r for r in part.iter_rows(named=True) if r["value"] is not None}
        shown = [row for row in rows if row in by_row]
        values = [by_row[row]["value"] for row in shown]
        figure.add_scatter(
            name=SPLIT_TITLES[split],
            mode="markers",
            x=values,
            y=[title(row) for row in shown],
            marker={"color": colour, "size": 10, "symbol": "circle" if split == "inner_test" else "diamond"},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [by_row[row]["high"] - by_row[row]["value"] for row in shown],
                "arrayminus": [by_row[row]["value"] - by_row[row]["low"] for row in shown],
            },
        )
    figure.update_yaxes(autorange="reversed")
    return figure.update_layout(
        xaxis={"title": "R-Precision, mean over facets", "rangemode": "tozero"},
        height=170 + 34 * len(rows),
        legend={"orientation": "h", "y": 1.12},
    )


def depth_chart(breakdowns: pl.DataFrame, facet: str) -> go.Figure:
    """R-Precision among the tags of each depth, one line a row, on the inner test."""
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
    """R-Precision of one row at every provider of both tests; outer providers marked."""
    part = breakdowns.filter(by="data_provider", facet=facet, metric="r_precision", baseline=baseline)
    part = part.filter(pl.col("split").is_in(["inner_test", "outer_test"]))
    part = part.sort("n", "level", descending=[True, False]).head(MOST_BARS).sort("value", "level")
    outer = (part["split"] == "outer_test").to_list()
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=part["value"].to_list(),
            y=[f"{name} (outer)" if o else name for name, o in zip(part["level"], outer, strict=True)],
            marker_color=[LINES[4] if o else LINES[0] for o in outer],
            customdata=part["n"].to_list(),
            hovertemplate="%{y}: %{x:.2f} (%{customdata} images)<extra></extra>",
        )
    )
    return figure.update_layout(xaxis_title="R-Precision", height=140 + 22 * part.height)


def tag_chart(breakdowns: pl.DataFrame, tags: dict[str, tuple[str, int]], baseline: str, facet: str) -> go.Figure:
    """How often each tag is found against its training images. `tags`: label and training images by tag id."""
    part = breakdowns.filter(by="tag", facet=facet, baseline=baseline, split="inner_test").sort("level")
    part = part.filter(pl.col("level").is_in(list(tags)))
    figure = go.Figure(
        go.Scatter(
            mode="markers",
            x=[tags[tag][1] for tag in part["level"]],
            y=part["value"].to_list(),
            text=[tags[tag][0] for tag in part["level"]],
            customdata=part["n"].to_list(),
            hovertemplate="%{text}: found in %{y:.0%} of %{customdata} images, %{x} in training<extra></extra>",
            marker={"color": FACET_OF[facet].colour, "opacity": 0.7, "size": 8},
        )
    )
    figure.update_xaxes(type="log", title="training images of the tag")
    return figure.update_yaxes(title="share of test images where it is found", tickformat=".0%", rangemode="tozero")


def balance_chart(split_tags: pl.DataFrame) -> go.Figure:
    """Training against inner test images of every tag, both on logarithmic axes."""
    figure = go.Figure()
    for facet in FACETS:
        part = split_tags.filter(facet=facet).filter(pl.col("train") + pl.col("inner_test") > 0).sort("tag_id")
        if part.is_empty():
            continue
        figure.add_scatter(
            name=FACET_TITLES[facet],
            mode="markers",
            x=part["train"].to_list(),
            y=part["inner_test"].to_list(),
            text=part["tag_id"].to_list(),
            hovertemplate="aat:%{text}: %{x} train, %{y} inner test",
            marker={"color": FACET_OF[facet].colour, "opacity": 0.7},
        )
    figure.update_xaxes(type="log", title="training images")
    return figure.update_yaxes(type="log", title="inner test images")


def distance_chart(distances: pl.DataFrame) -> go.Figure:
    """Distance of every provider to the whole against its share of the images; the chosen two named."""
    figure = go.Figure()
    extractor = distances["extractor"].sort()[0]
    known = distances.filter(pl.col("frechet_to_whole").is_not_null(), extractor=extractor).sort("data_provider")
    groups = [
        ("chosen as outer test", known.filter(pl.col("chosen").is_not_null()), LINES[4], "diamond"),
        ("eligible", known.filter(pl.col("eligible") & pl.col("chosen").is_null()), LINES[0], "circle"),
        ("not eligible", known.filter(~pl.col("eligible") & pl.col("chosen").is_null()), LINES[8], "circle-open"),
    ]
    for name, part, colour, symbol in groups:
        figure.add_scatter(
            name=name,
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
    """Providers by their distance to the whole, the farthest on top, with intervals; the chosen two marked."""
    extractor = distances["extractor"].sort()[0]
    known = distances.filter(pl.col("frechet_to_whole").is_not_null(), extractor=extractor)
    known = known.sort("frechet_to_whole", "data_provider", descending=[True, False]).head(MOST_BARS).reverse()
    chosen, eligible = known["chosen"].is_not_null(), known["eligible"]
    kinds = [
        ("chosen as outer test", chosen, LINES[4]),
        ("eligible", eligible & ~chosen, LINES[0]),
        ("not eligible", ~eligible & ~chosen, LINES[8]),
    ]
    figure = go.Figure()
    for name, which, colour in kinds:
        part = known.filter(which)
        value = part["frechet_to_whole"]
        spread = [((part["high"] - value), "array"), ((value - part["low"]), "arrayminus")]
        figure.add_bar(
            name=name,
            orientation="h",
            x=value.to_list(),
            y=part["data_provider"].to_list(),
            error_x={"type": "data", "symmetric": False, **{key: s.fill_null(0).to_list() for s, key in spread}},
            customdata=part.select("n", "reason").rows(),
            hovertemplate="%{y}: %{x:.0f}<br>%{customdata[0]} images<br>%{customdata[1]}<extra></extra>",
            marker_color=colour,
        )
    order = {"categoryorder": "array", "categoryarray": known["data_provider"].to_list()}
    return figure.update_layout(
        xaxis_title="Fréchet distance to the whole", yaxis=order, height=170 + 22 * known.height
    )


SIZES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


def images_per_tag(tags: pl.DataFrame) -> go.Figure:
    """How many tags have how many images, in steps of 1, 2, 5, stacked by facet."""
    names = [f"under {SIZES[0]:,}", *(f"{low:,}–{high - 1:,}" for low, high in pairwise(SIZES)), f"from {SIZES[-1]:,}"]
    counts = {
        facet: np.bincount(
            np.searchsorted(SIZES, tags.filter(facet=facet)["n_images"].to_numpy(), side="right"), minlength=len(names)
        )
        for facet in FACETS
    }
    used = np.flatnonzero(sum(counts.values()))
    figure = go.Figure()
    for facet in FACETS:
        if counts[facet].any():
            shown = slice(used[0], used[-1] + 1)
            figure.add_bar(
                name=FACET_TITLES[facet],
                x=names[shown],
                y=counts[facet][shown].tolist(),
                marker_color=FACET_OF[facet].colour,
            )
    return figure.update_layout(
        barmode="stack", xaxis={"title": "images of the tag", "type": "category"}, yaxis_title="tags"
    )


def line_of(number: int) -> dict[str, str]:
    """The look of one line among many: nine colours, then the same ones dashed."""
    return {"color": LINES[number % len(LINES)], "dash": ("solid", "dash", "dot")[number // len(LINES) % 3]}


def learning_curves(storage: Path, baselines: list[str]) -> go.Figure | None:
    """Validation R-Precision by epoch of every row that kept its log; None where no row did."""
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
    """The epochs of a training's log; none without the file."""
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line for line in lines if line.get("event") == "epoch"]


def figure(name: str, heading: str, caption: str, chart: go.Figure | None) -> Figure | None:
    """A chart for the page, without its title and template, which the page gives in its own colours."""
    if chart is None or not any(len(_points(trace)) for trace in chart.data):
        return None
    chart.layout.template = None
    for axes in (chart.update_xaxes, chart.update_yaxes):
        axes(dtick="D2", selector={"type": "log"})  # 1, 2, 5, 10: nine figures a decade would overlap
    text = chart.to_json().replace("</", "<\\/")
    return Figure(name, heading, caption, Markup(text), int(chart.layout.height or 450))  # noqa: S704


def _points(trace: Any) -> Sequence[Any]:
    for name in ("ids", "x", "y"):
        if name in trace and trace[name] is not None:
            return trace[name]
    return ()
