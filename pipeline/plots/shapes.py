"""Shapes of SVG as text. Coordinates are in pixels, rounded to tenths; ink is the colour of the page's text."""

import math

from markupsafe import escape

FONT_PX = 12
LETTER_PX = 6.3  # of a letter on average, in the fonts of pages (12 px)
INK, LINE = "currentColor", "var(--line, #d7dbe0)"
DASHES = {"dash": ' stroke-dasharray="7 4"', "dot": ' stroke-dasharray="2 3"'}


def text(
    x: float, y: float, words: str, anchor: str = "start", turned: float = 0.0, fill: str = INK, size: str = ""
) -> str:
    """A line of text; y is its middle. `turned` in degrees."""
    turn = f' transform="rotate({turned:.1f} {x:.1f} {y:.1f})"' if turned else ""
    size = f' font-size="{size}"' if size else ""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central" fill="{fill}"{size}'
    return f"<text {where}{turn}>{escape(words)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, colour: str = LINE, width: float = 1) -> str:
    """A straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'


def error_bar(low: float, high: float, middle: float, colour: str) -> str:
    """A horizontal error bar with its ends; nothing where both are the same."""
    if abs(high - low) < 0.1:
        return ""
    ends = "".join(line(x, middle - 4, x, middle + 4, colour, 1.5) for x in (low, high))
    return line(low, middle, high, middle, colour, 1.5) + ends


def polyline(points: list[tuple[float, float]], colour: str, dash: str | None) -> str:
    """A line through points."""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="2"{DASHES.get(dash or "", "")}/>'


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A bar."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def marker(x: float, y: float, colour: str, size: float, symbol: str, opacity: float = 1) -> str:
    """A circle or a diamond, filled or open."""
    kind, _, is_open = symbol.partition("-")
    r = size / 2
    paint = f'fill="none" stroke="{colour}" stroke-width="1.6"' if is_open else f'fill="{colour}"'
    if opacity != 1:
        paint += f' opacity="{opacity:g}"'
    if kind == "diamond":
        r *= 1.25
        return f'<path d="M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f} {-r:.1f} {r:.1f} {-r:.1f} {-r:.1f}z" {paint}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {paint}/>'


def sector(centre: float, inner: float, outer: float, begin: float, end: float, colour: str) -> str:
    """A piece of a ring between two angles, clockwise from above in radians."""
    end = min(end, begin + 2 * math.pi - 1e-4)  # an arc from a point to itself is not drawn
    large = int(end - begin > math.pi)

    def at(radius: float, angle: float) -> str:
        return f"{centre + radius * math.sin(angle):.1f} {centre - radius * math.cos(angle):.1f}"

    path = (
        f"M{at(inner, begin)}L{at(outer, begin)}A{outer:.1f} {outer:.1f} 0 {large} 1 {at(outer, end)}"
        f"L{at(inner, end)}A{inner:.1f} {inner:.1f} 0 {large} 0 {at(inner, begin)}z"
    )
    return f'<path d="{path}" fill="{colour}" stroke="#fff" stroke-width="0.7"/>'


def cut(words: str, width: float) -> str:
    """The words, cut to about so many pixels."""
    most = max(1, int(width / LETTER_PX))
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def width_of(words: str) -> float:
    """About how many pixels the words take."""
    return LETTER_PX * len(words)
