"""Tools, arms, musical instruments, money, sculpture and toys."""

import math

from pipeline.sandbox.drawing.sketch import Shape, Sketch, arc, around


def hammer(s: Sketch) -> None:
    """A head across the end of a handle."""
    s.line([(0, -0.55), (0, 0.95)], 0.13, "second")
    s.polygon([(-0.5, -0.85), (0.3, -0.85), (0.62, -0.62), (0.3, -0.45), (-0.5, -0.45)])


def axe(s: Sketch) -> None:
    """A broad blade on one side of a long handle."""
    s.line([(0.1, -0.9), (0.0, 0.0), (0.08, 0.95)], 0.12, "second")
    edge = s.about(0.4, 0.52)
    s.polygon([(0.2, -0.75), (-0.3, -0.78), *arc(-0.3, -0.5, 0.42, edge, 250, 110), (-0.3, -0.24), (0.2, -0.36)])


def saw(s: Sketch) -> None:
    """A long toothed blade with a grip."""
    teeth = [(-0.9 + 0.1 * i, 0.2 if i % 2 else 0.32) for i in range(15)]
    s.polygon([(-0.95, -0.02), (0.5, -0.26), (0.5, 0.2), *reversed(teeth)])
    s.ring(0.68, 0.02, 0.2, 0.28, 0.13, "second")


def knife(s: Sketch) -> None:
    """A blade with one edge and a straight grip."""
    s.polygon([(-0.12, -0.98), (0.1, -0.6), (0.12, 0.2), (-0.12, 0.2)])
    s.box(-0.13, 0.2, 0.13, 0.95, "second")
    for y in (0.38, 0.58, 0.78):
        s.ellipse(0, y, 0.035, 0.035, "lines")


def scissors(s: Sketch) -> None:
    """Two crossed blades with finger rings."""
    for side in (-1, 1):
        s.polygon(
            [(side * -0.3, -0.95), (side * -0.04, -0.1), (side * 0.16, 0.35), (side * 0.06, 0.42), (side * -0.18, -0.1)]
        )
        s.ring(side * 0.3, 0.62, 0.2, 0.27, 0.09)
    s.ellipse(0, 0.02, 0.06, 0.06, "lines")


def key(s: Sketch) -> None:
    """A bow, a shank, a bit."""
    s.ring(0, -0.65, 0.3, 0.28, 0.12)
    s.line([(0, -0.4), (0, 0.9)], 0.12)
    s.box(0.0, 0.5, 0.4, 0.85)
    s.box(0.2, 0.62, 0.42, 0.7, fill=0)
    s.box(-0.13, -0.34, 0.13, -0.26)


def sword(s: Sketch) -> None:
    """A long blade, a cross guard, a pommel."""
    s.polygon([(0, -1.05), (0.08, -0.9), (0.09, 0.5), (-0.09, 0.5), (-0.08, -0.9)])
    s.line([(0, -0.9), (0, 0.4)], 0.02, "lines")
    s.line([(-0.42, 0.5), (0.42, 0.5)], 0.09, "second")
    s.line([(0, 0.52), (0, 0.88)], 0.09, "second")
    s.ellipse(0, 0.95, 0.1, 0.1, "second")


def helmet(s: Sketch) -> None:
    """A skull with a comb, a visor slit, cheek pieces."""
    s.polygon([*arc(0, -0.05, 0.62, 0.75, 180, 360), (0.66, 0.5), (0.3, 0.85), (-0.3, 0.85), (-0.66, 0.5)])
    s.line(arc(0, -0.05, 0.5, 0.86, 215, 325), 0.12)
    s.line([(-0.55, 0.05), (0.55, 0.05)], 0.07, "lines")
    s.line([(0, 0.1), (0, 0.8)], 0.03, "lines")
    for x, y in around(0, 0.45, 0.35, 0.18, corners=8):
        s.ellipse(x, y, 0.03, 0.03, "lines")


def shield(s: Sketch) -> None:
    """A heater shield with a rim."""
    outline = [(-0.68, -0.85), (0.68, -0.85), (0.66, 0.0), (0.42, 0.55), (0, 0.97), (-0.42, 0.55), (-0.66, 0.0)]
    s.polygon(outline)
    s.line([*((x * 0.9, y * 0.92) for x, y in outline), (-0.61, -0.78)], 0.045, "lines")
    for x, y in outline:
        s.ellipse(x * 0.94, y * 0.95, 0.04, 0.04, "second")


def violin(s: Sketch) -> None:
    """A waisted body with a short neck, f-holes and a scroll."""
    s.ellipse(0, 0.58, 0.42, 0.38)
    s.ellipse(0, 0.02, 0.33, 0.3)
    s.box(-0.24, 0.1, 0.24, 0.5)
    s.line([(0, -0.2), (0, -0.92)], 0.11, "second")
    s.ellipse(0, -0.95, 0.09, 0.09, "second")
    for side in (-1, 1):
        s.line([(side * 0.17, 0.2), (side * 0.14, 0.48)], 0.03, "ink")
    s.line([(0, -0.9), (0, 0.78)], 0.035, "ink")


def guitar(s: Sketch) -> None:
    """A wide body with a round hole and a long neck with frets."""
    s.ellipse(0, 0.56, 0.52, 0.42)
    s.ellipse(0, 0.02, 0.4, 0.32)
    s.line([(0, 0.0), (0, -0.85)], 0.14, "second")
    s.box(-0.12, -1.05, 0.12, -0.82, "second")
    s.ellipse(0, 0.2, 0.15, 0.15, "ink")
    s.box(-0.2, 0.66, 0.2, 0.72, "ink")
    for y in (-0.7, -0.55, -0.42, -0.3, -0.2):
        s.line([(-0.07, y), (0.07, y)], 0.02, "lines")


def flute(s: Sketch) -> None:
    """A straight pipe with finger holes and rings."""
    s.line([(-0.97, 0.0), (0.97, 0.0)], 0.17)
    for x in (-0.2, -0.02, 0.16, 0.34, 0.52, 0.7):
        s.ellipse(x, 0, 0.045, 0.045, "ink")
    s.ellipse(-0.72, 0, 0.07, 0.05, "ink")
    for x in (-0.5, 0.86):
        s.line([(x, -0.1), (x, 0.1)], 0.06, "second")


def harp(s: Sketch) -> None:
    """A triangle of post, neck and sound box, with strings."""
    s.line([(-0.6, -0.85), (-0.62, 0.9)], 0.12)
    s.line([(-0.6, -0.85), (-0.15, -0.62), (0.3, -0.75), (0.62, -0.55)], 0.13)
    s.line([(0.62, -0.55), (-0.62, 0.9)], 0.16)
    for step in range(1, 9):
        x = -0.6 + 0.135 * step
        s.line([(x, -0.7), (x, 0.86 - 1.17 * (x + 0.6))], 0.015, "ink")


def trumpet(s: Sketch) -> None:
    """A long tube that widens to a bell."""
    s.line([(-0.95, -0.1), (0.45, -0.1)], 0.08)
    s.line([(-0.6, 0.14), (0.3, 0.14)], 0.08)
    s.line(arc(-0.6, 0.02, 0.18, 0.12, 90, 270), 0.08)
    s.line(arc(0.3, 0.02, 0.16, 0.12, -90, 90), 0.08)
    s.polygon([(0.4, -0.15), (0.7, -0.22), (0.95, -0.46), (0.95, 0.26), (0.7, 0.02), (0.4, -0.05)])


def coin(s: Sketch) -> None:
    """A small disc with a beaded rim; what is on it is painted on."""
    s.ellipse(0, 0, 0.8, 0.8)
    for x, y in around(0, 0, 0.72, 0.72, corners=44):
        s.ellipse(x, y, 0.022, 0.022, "lines")
    s.line(arc(0, 0, 0.56, 0.56, 200, 340), 0.05, "lines")
    _head(s, "relief")


def medal(s: Sketch) -> None:
    """A disc on a ribbon with a bar."""
    s.polygon([(-0.3, -0.95), (0.3, -0.95), (0.12, -0.2), (-0.12, -0.2)], "ribbon")
    s.box(-0.36, -1.0, 0.36, -0.88)
    s.ring(0, -0.16, 0.1, 0.1, 0.06)
    s.ellipse(0, 0.4, 0.5, 0.5)
    outer, inner = around(0, 0.4, 0.42, 0.42, -1.571, 5), around(0, 0.4, 0.24, 0.24, -0.943, 5)
    star = [point for pair in zip(outer, inner, strict=True) for point in pair]
    s.line([*star, star[0]], 0.05, "lines")


def bust(s: Sketch) -> None:
    """A head on shoulders on a socle."""
    s.box(-0.3, 0.72, 0.3, 0.96)
    s.polygon(
        [(-0.66, 0.5), (-0.52, 0.12), (-0.16, 0.0), (0.16, 0.0), (0.52, 0.12), (0.66, 0.5), (0.3, 0.74), (-0.3, 0.74)]
    )
    s.box(-0.14, -0.2, 0.14, 0.1)
    s.ellipse(0, -0.45, 0.3, 0.4)
    s.ellipse(0, -0.62, 0.34, 0.28)
    for side in (-1, 1):
        s.ellipse(side * 0.11, -0.45, 0.045, 0.025, "lines")
    s.line([(0, -0.42), (0.03, -0.28)], 0.03, "lines")
    s.line([(-0.09, -0.18), (0.09, -0.18)], 0.03, "lines")


def figurine(s: Sketch) -> None:
    """A standing person in a long robe on a base."""
    s.ellipse(0, 0.88, 0.44, 0.1)
    s.polygon([(-0.17, -0.5), (0.17, -0.5), (0.4, 0.85), (-0.4, 0.85)])
    s.ellipse(0, -0.7, 0.17, 0.2)
    reach = s.about(-0.35, 0.1)
    s.line([(-0.15, -0.42), (-0.46, reach)], 0.12)
    s.line([(0.15, -0.42), (0.36, 0.0), (0.1, 0.12)], 0.12)
    for x in (-0.14, 0.0, 0.14):
        s.line([(x, 0.0), (x * 2, 0.8)], 0.02, "lines")


def doll(s: Sketch) -> None:
    """A big round head with hair, a short dress, arms and legs apart."""
    for side in (-1, 1):
        s.line([(side * 0.16, 0.5), (side * 0.2, 0.92)], 0.15, "skin")
        s.line([(side * 0.2, -0.1), (side * 0.6, 0.22)], 0.13, "skin")
    s.polygon([(-0.2, -0.2), (0.2, -0.2), (0.5, 0.6), (-0.5, 0.6)])
    s.ellipse(0, -0.55, 0.4, 0.38, "second")
    s.ellipse(0, -0.5, 0.33, 0.33, "skin")
    for side in (-1, 1):
        s.ellipse(side * 0.13, -0.5, 0.05, 0.05, "ink")
    s.line(arc(0, -0.42, 0.13, 0.1, 30, 150), 0.03, "ink")


def _head(s: Sketch, part: str) -> None:
    """A head in profile."""
    nose = s.about(0.3, 0.36)
    chin = [(nose, 0.02), (0.2, 0.08), (0.2, 0.22), (0.06, 0.26), (0.14, 0.42)]
    s.polygon([(-0.1, 0.42), (-0.2, 0.1), *arc(-0.04, -0.12, 0.28, 0.34, 150, 320), *chin], part)
    wreath = arc(-0.04, -0.12, 0.26, 0.3, 190, 300, 7)
    for x, y in wreath:
        s.ellipse(x, y, 0.05, 0.03, "lines", turn=math.atan2(y, x))


SHAPES: dict[str, Shape] = {
    "hammer": hammer, "axe": axe, "saw": saw, "knife": knife, "scissors": scissors, "key": key, "sword": sword,
    "helmet": helmet, "shield": shield, "violin": violin, "guitar": guitar, "flute": flute, "harp": harp,
    "trumpet": trumpet, "coin": coin, "medal": medal, "bust": bust, "figurine": figurine, "doll": doll,
}  # fmt: skip
