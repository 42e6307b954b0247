"""The axes of a figure: where a value is, and which values are written."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

STEPS = (1, 2, 2.5, 5, 10)
MOST_TICKS = 7  # of a linear axis
MOST_LOG_TICKS = 9  # of a logarithmic one with 1, 2 and 5 in each decade
PADDING = 0.05  # of the axis's length, beside the outermost points

Tick = tuple[float, str]


@dataclass(frozen=True)
class Axis:
    """An axis between two positions in pixels; values are numbers, their logarithms, or places of categories."""

    title: str
    low: float
    high: float
    is_log: bool = False
    categories: tuple[str, ...] = ()
    number_format: str = ""
    step: float | None = None
    start: float = 0.0
    end: float = 1.0

    def at(self, value: Any) -> float:
        """The position of a value in pixels."""
        return self.at_number(self.number(value))

    def at_number(self, number: float) -> float:
        """The position of a number as the axis counts."""
        return self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start)

    def number(self, value: Any) -> float:
        """The value as the axis counts: the place of a category, the logarithm of a number."""
        if self.categories and isinstance(value, str):
            return float(self.categories.index(value))
        return math.log10(value) if self.is_log else float(value)

    def has(self, value: Any) -> bool:
        """Whether the value has a place: nothing has none, nor 0 on a logarithmic axis."""
        return value is not None and (not self.is_log or value > 0)

    def between(self, start: float, end: float) -> "Axis":
        """The same axis at these positions."""
        return replace(self, start=start, end=end)

    def ticks(self) -> list[Tick]:
        """The positions and texts of what is written along the axis."""
        values: Iterable[Any] = self.categories or (self._log_values() if self.is_log else self._values())
        return [(self.at(value), value if isinstance(value, str) else self._text(value)) for value in values]

    def _values(self) -> list[float]:
        step = self.step or _step((self.high - self.low) / MOST_TICKS)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _log_values(self) -> list[float]:
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        inside = [value for value in values if self.low <= math.log10(value) <= self.high]
        if len(inside) <= MOST_LOG_TICKS:
            return inside
        return [value for value in inside if math.log10(value) % 1 < 1e-9]

    def _text(self, value: float) -> str:
        if "%" in self.number_format:
            return f"{100 * value:.6g} %"
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.6g}"


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-9))


def axis_of(layout: Mapping[str, Any], values: list[Any], *, from_zero: bool, bars: bool) -> Axis:
    """The axis that Plotly's description gives for these values; `from_zero` where bars stand on it."""
    is_log = layout.get("type") == "log"
    words = [value for value in values if isinstance(value, str)]
    title = _title(layout)
    if words or layout.get("type") == "category":
        names = tuple(dict.fromkeys([*layout.get("categoryarray", ()), *map(str, values)]))
        ends = (-0.5, max(len(names), 1) - 0.5)
        low, high = ends[::-1] if layout.get("autorange") == "reversed" else ends
        return Axis(title, low, high, categories=names)
    numbers = [math.log10(value) if is_log else float(value) for value in values if not is_log or value > 0]
    low, high = _ends(numbers, from_zero or layout.get("rangemode") == "tozero", half=0.5 if bars else 0.0)
    if layout.get("range"):
        low, high = layout["range"]
    step = layout["dtick"] if isinstance(layout.get("dtick"), int | float) else None
    return Axis(title, low, high, is_log, number_format=layout.get("tickformat") or "", step=step)


def _ends(numbers: list[float], from_zero: bool, half: float) -> tuple[float, float]:
    low, high = min(numbers, default=0.0) - half, max(numbers, default=1.0) + half
    pad = PADDING * (high - low) or 0.5
    if from_zero and low >= 0:
        return 0.0, high + PADDING * high or 1.0
    return low - pad, high + pad


def _title(layout: Mapping[str, Any]) -> str:
    title = layout.get("title") or ""
    return title if isinstance(title, str) else title.get("text") or ""
