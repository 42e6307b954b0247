"""A figure as SVG: its frame, axes and legend, and in them points, lines and bars."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go

from pipeline.plots.axes import Axis, axis_of
from pipeline.plots.bars import bars, error_ends
from pipeline.plots.rings import rings
from pipeline.plots.shapes import FONT_PX, INK, cut, error_bar, line, marker, polyline, rectangle, text, width_of

WIDTH = 720
LONGEST_NAME_PX = 230  # of a category at the left; a longer one is cut
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
LEGEND_ROW_PX, SAMPLE_PX = 20, 28

Traces = list[dict[str, Any]]


def svg(figure: go.Figure) -> str:
    """The figure as an SVG element, in the page's ink. What is around it has to say in words what it shows."""
    described = figure.to_dict()
    traces, layout = described["data"], described["layout"]
    height = float(layout.get("height") or 450)
    if traces[0]["type"] == "sunburst":
        return _element(rings(traces[0], height), height, height)
    traces = [_with_colour(trace, COLOURS[number % len(COLOURS)]) for number, trace in enumerate(traces)]
    legend, top = _legend(traces)
    x, y = _axes(traces, layout)
    left = 62.0 if not y.categories else 14 + min(LONGEST_NAME_PX, max(map(width_of, y.categories)))
    x, y = x.between(left, WIDTH - 20), y.between(height - 52, top + 8)
    parts = [legend, _grid(x, y), bars(traces, layout.get("barmode") or "group", x, y)]
    parts += [_points(trace, x, y) for trace in traces if trace["type"] == "scatter"]
    return _element("".join(parts), WIDTH, height)


def _element(content: str, width: float, height: float) -> str:
    head = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" font-size="{FONT_PX}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head} aria-hidden="true">{content}</svg>'


def _with_colour(trace: dict[str, Any], colour: str) -> dict[str, Any]:
    """The trace with `colour` (one, or a list of one for each bar) and `symbol` beside what Plotly has."""
    look = trace.get("marker") or {}
    own = look.get("color") or (trace.get("line") or {}).get("color") or colour
    return {**trace, "colour": own, "symbol": look.get("symbol") or "circle", "size": look.get("size") or 7}


def _axes(traces: Traces, layout: Mapping[str, Any]) -> tuple[Axis, Axis]:
    """The two axes, over all values with their error bars, and over the heights of stacks."""
    standing = [trace for trace in traces if trace["type"] == "bar"]
    horizontal = any(trace.get("orientation") == "h" for trace in standing)
    values = {name: [value for trace in traces for value in _extent(trace, name)] for name in "xy"}
    lengths = "x" if horizontal else "y"
    if layout.get("barmode") == "stack":
        ends: dict[Any, float] = defaultdict(float)
        for trace in standing:
            for place, length in zip(trace["y" if horizontal else "x"], trace[lengths], strict=True):
                ends[place] += length or 0
        values[lengths] = list(ends.values())
    x, y = (
        axis_of(
            layout.get(f"{name}axis") or {},
            values[name],
            from_zero=bool(standing) and name == lengths,
            bars=bool(standing) and name != lengths,
        )
        for name in "xy"
    )
    return x, y


def _extent(trace: Mapping[str, Any], name: str) -> Iterable[Any]:
    """The values of a trace along an axis, with the ends of their error bars."""
    values = [value for value in trace[name] if value is not None]
    yield from values
    if name == "x" and trace.get("error_x"):
        yield from (high for _, high in error_ends(trace))
        yield from (low for low, _ in error_ends(trace))


def _legend(traces: Traces) -> tuple[str, float]:
    """The names of several traces in rows above the plot, and where these end."""
    if len(traces) < 2:
        return "", 6
    shapes, x, y = [], 8.0, 14.0
    for trace in traces:
        name = trace.get("name") or ""
        if x > 8 and x + SAMPLE_PX + width_of(name) > WIDTH - 8:
            x, y = 8.0, y + LEGEND_ROW_PX
        if "lines" in (trace.get("mode") or ""):
            shapes.append(
                polyline([(x, y), (x + SAMPLE_PX - 8, y)], trace["colour"], trace.get("line", {}).get("dash"))
            )
        elif trace["type"] == "bar":
            shapes.append(rectangle(x + 4, y - 5, 12, 10, trace["colour"]))
        else:
            shapes.append(marker(x + 10, y, trace["colour"], min(trace["size"], 10), trace["symbol"]))
        shapes.append(text(x + SAMPLE_PX, y, name))
        x += SAMPLE_PX + width_of(name) + 16
    return "".join(shapes), y + LEGEND_ROW_PX


def _grid(x: Axis, y: Axis) -> str:
    """Lines at the ticks with their texts, and the titles of the axes."""
    shapes = []
    for at, words in x.ticks():
        if not x.categories:
            shapes.append(line(at, y.start, at, y.end))
        shapes.append(text(at, y.start + 14, words, "middle"))
    for at, words in y.ticks():
        if not y.categories:
            shapes.append(line(x.start, at, x.end, at))
        shapes.append(text(x.start - 7, at, cut(words, LONGEST_NAME_PX) if y.categories else words, "end"))
    shapes.append(line(x.start, y.start, x.end, y.start, INK))
    shapes.append(text((x.start + x.end) / 2, y.start + 38, x.title, "middle"))
    if y.title and not y.categories:
        shapes.append(text(12, (y.start + y.end) / 2, y.title, "middle", turned=-90))
    return "".join(shapes)


def _points(trace: Mapping[str, Any], x: Axis, y: Axis) -> str:
    """The line, the error bars and the points of a trace."""
    mode = trace.get("mode") or "lines+markers"
    pairs = zip(trace["x"], trace["y"], strict=True)
    at = [(x.at(one), y.at(other)) for one, other in pairs if x.has(one) and y.has(other)]
    shapes = []
    if "lines" in mode:
        shapes.append(polyline(at, trace["colour"], (trace.get("line") or {}).get("dash")))
    if trace.get("error_x"):
        for (low, high), (_, middle) in zip(error_ends(trace), at, strict=True):
            shapes.append(error_bar(x.at(low), x.at(high), middle, trace["colour"]))
    if "markers" in mode:
        opacity = (trace.get("marker") or {}).get("opacity") or 1
        shapes += [marker(*point, trace["colour"], trace["size"], trace["symbol"], opacity) for point in at]
    return "".join(shapes)
