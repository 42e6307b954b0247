"""Furniture and clocks."""

from pipeline.sandbox.drawing.sketch import Shape, Sketch, arc, around


def chair(s: Sketch) -> None:
    """Four legs, a seat, a back with slats; no arms."""
    _legs(s, -0.5, 0.5, 0.05, 0.95)
    _legs(s, -0.34, 0.34, 0.0, 0.75)
    s.polygon([(-0.44, -0.02), (0.44, -0.02), (0.56, 0.14), (-0.56, 0.14)], "second")
    _back(s, -0.42)


def armchair(s: Sketch) -> None:
    """A chair with arms and upholstery."""
    _legs(s, -0.6, 0.6, 0.1, 0.9)
    s.polygon([(-0.5, -0.9), (-0.36, -1.0), (0.36, -1.0), (0.5, -0.9), (0.46, 0.0), (-0.46, 0.0)], "second")
    s.box(-0.62, 0.0, 0.62, 0.26, "second")
    for side in (-1, 1):
        s.line([(side * 0.5, -0.35), (side * 0.74, -0.3), (side * 0.72, 0.15)], 0.13)
    s.line([(-0.45, -0.95), (0.45, -0.95)], 0.08)


def stool(s: Sketch) -> None:
    """A round seat on three splayed legs."""
    for foot in (-0.6, 0.05, 0.6):
        s.line([(foot * 0.5, -0.2), (foot, 0.85)], 0.11)
    s.line([(-0.42, 0.35), (0.42, 0.35)], 0.06)
    s.ellipse(0, -0.25, 0.66, 0.2)
    s.ring(0, -0.27, 0.58, 0.15, 0.02, "lines")


def table(s: Sketch) -> None:
    """A wide top, a frieze, legs far apart."""
    _legs(s, -0.8, 0.8, -0.2, 0.8)
    _legs(s, -0.62, 0.62, -0.2, 0.6)
    s.box(-0.84, -0.24, 0.84, -0.02)
    s.polygon([(-0.78, -0.5), (0.78, -0.5), (0.98, -0.24), (-0.98, -0.24)])
    s.line([(-0.98, -0.22), (0.98, -0.22)], 0.04, "lines")


def chest(s: Sketch) -> None:
    """A long low box with a lid, iron bands and a lock."""
    s.box(-0.9, -0.1, 0.9, 0.6)
    s.polygon([(-0.9, -0.1), (-0.84, -0.42), (0.84, -0.42), (0.9, -0.1)])
    s.line([(-0.9, -0.09), (0.9, -0.09)], 0.035, "lines")
    for x in (-0.55, 0.55):
        s.box(x - 0.05, -0.42, x + 0.05, 0.6, "second")
    s.box(-0.1, -0.14, 0.1, 0.12, "second")


def cabinet(s: Sketch) -> None:
    """A tall case with two doors and a cornice."""
    s.box(-0.58, -0.82, 0.58, 0.86)
    s.box(-0.68, -0.95, 0.68, -0.8)
    for x in (-0.5, 0.4):
        s.box(x, 0.86, x + 0.1, 0.98)
    s.line([(0, -0.78), (0, 0.84)], 0.03, "lines")
    for left in (-0.5, 0.08):
        for upper, lower in ((-0.7, -0.05), (0.08, 0.74)):
            corners = [(left, upper), (left + 0.42, upper), (left + 0.42, lower), (left, lower), (left, upper)]
            s.line(corners, 0.025, "lines")
    s.ellipse(-0.06, 0.02, 0.03, 0.03, "second")
    s.ellipse(0.06, 0.02, 0.03, 0.03, "second")


def clock(s: Sketch) -> None:
    """A round dial with twelve marks and two hands in a case."""
    s.polygon([(-0.62, 0.9), (-0.62, -0.5), (0, -0.98), (0.62, -0.5), (0.62, 0.9)])
    s.box(-0.72, 0.82, 0.72, 0.96)
    s.ellipse(0, -0.05, 0.5, 0.5, "candle")
    s.ring(0, -0.05, 0.5, 0.5, 0.05, "second")
    for x, y in around(0, -0.05, 0.4, 0.4, corners=12):
        s.ellipse(x, y, 0.035, 0.035, "ink")
    hour, minute = s.about(0, 360), s.about(0, 360)
    s.line([(0, -0.05), arc(0, -0.05, 0.24, 0.24, hour, hour)[0]], 0.05, "ink")
    s.line([(0, -0.05), arc(0, -0.05, 0.36, 0.36, minute, minute)[0]], 0.035, "ink")


def _legs(s: Sketch, left: float, right: float, top: float, bottom: float) -> None:
    for x in (left, right):
        s.line([(x, top), (x * 1.03, bottom)], 0.085)


def _back(s: Sketch, top: float) -> None:
    height = s.about(-0.95, -0.8)
    for x in (-0.4, 0.4):
        s.line([(x * 1.05, height), (x, 0.0)], 0.085)
    s.line([(-0.42, height), (0.42, height)], 0.12)
    s.line([(-0.4, top), (0.4, top)], 0.07)
    for x in (-0.2, 0.0, 0.2):
        s.line([(x, height), (x, top)], 0.05)


SHAPES: dict[str, Shape] = {
    "chair": chair, "armchair": armchair, "stool": stool, "table": table, "chest": chest, "cabinet": cabinet,
    "clock": clock,
}  # fmt: skip
