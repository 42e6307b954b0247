"""Bars: stacked, one over another, or side by side."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.plots.axes import Axis
from pipeline.plots.shapes import INK, error_bar, rectangle, text

SHARE = 0.8  # of a category's place that its bars take


def bars(traces: Sequence[Mapping[str, Any]], mode: str, x: Axis, y: Axis) -> str:
    """The bars of the traces that have some, in the mode `group`, `stack` or `overlay`."""
    drawn = [trace for trace in traces if trace["type"] == "bar"]
    share = SHARE / max(1, len(drawn) if mode == "group" else 1)
    ends: dict[Any, float] = defaultdict(float)
    shapes = []
    for number, trace in enumerate(drawn):
        offset = (number * share if mode == "group" else 0) - SHARE / 2
        for bar in _bars_of(trace, x, y):
            begin = ends[bar.place] if mode == "stack" else 0.0
            ends[bar.place] = begin + bar.length
            shapes.append(bar.drawn(begin, offset, share))
    return "".join(shapes)


class _Bar:
    """One bar: its place on one axis, its length on the other, and what is written or marked at its end."""

    def __init__(self, trace: Mapping[str, Any], index: int, x: Axis, y: Axis) -> None:
        self._horizontal = trace.get("orientation") == "h"
        self._places, self._lengths = (y, x) if self._horizontal else (x, y)
        place, length = ("y", "x") if self._horizontal else ("x", "y")
        self.place, self.length = trace[place][index], float(trace[length][index] or 0)
        self._colour = trace["colour"] if isinstance(trace["colour"], str) else trace["colour"][index]
        self._words = str(trace["text"][index]) if trace.get("text") else ""
        self._ends = error_ends(trace)[index] if trace.get("error_x") else None

    def drawn(self, begin: float, offset: float, share: float) -> str:
        """The bar from a value on, so far beside the middle of its place, and so wide."""
        place = self._places.number(str(self.place) if self._places.categories else self.place) + offset
        near, far = sorted((self._places.at_number(place), self._places.at_number(place + share)))
        first, last = sorted((self._lengths.at(begin), self._lengths.at(begin + self.length)))
        middle = (near + far) / 2
        if not self._horizontal:
            shape = rectangle(near, first, far - near, last - first, self._colour)
            return shape + (text(middle, first - 8, self._words, "middle") if self._words else "")
        shape = rectangle(first, near, last - first, far - near, self._colour)
        if self._ends:
            low, high = self._ends
            shape += error_bar(self._lengths.at(low), self._lengths.at(high), middle, INK)
        return shape


def _bars_of(trace: Mapping[str, Any], x: Axis, y: Axis) -> Iterator[_Bar]:
    for index in range(len(trace["x"])):
        yield _Bar(trace, index, x, y)


def error_ends(trace: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The ends of the error bars along x."""
    error = trace["error_x"]
    ends = zip(trace["x"], error["arrayminus"], error["array"], strict=True)
    return [(value - below, value + above) for value, below, above in ends]
