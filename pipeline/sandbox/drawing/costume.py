"""Costume and jewellery."""

import math

import numpy as np

from pipeline.sandbox.drawing.sketch import Shape, Sketch, arc, around


def ring(s: Sketch) -> None:
    """A hoop with one stone on top."""
    s.ring(0, 0.2, 0.55, 0.6, 0.16)
    s.box(-0.16, -0.52, 0.16, -0.36)
    s.polygon([(-0.3, -0.72), (-0.14, -0.92), (0.14, -0.92), (0.3, -0.72), (0, -0.44)], "gem")


def necklace(s: Sketch) -> None:
    """A hanging string of beads, largest in the middle."""
    beads = int(s.rng.integers(17, 24))
    for angle in np.linspace(-20, 200, beads):
        x, y = arc(0, -0.2, 0.78, 0.95, float(angle), float(angle))[0]
        size = 0.06 + 0.06 * max(0.0, math.sin(math.radians(angle)))
        s.ellipse(x, y, size, size)
    s.line(arc(0, -0.2, 0.78, 0.95, -20, 200), 0.02)


def brooch(s: Sketch) -> None:
    """A rosette with petals around a stone."""
    petals = int(s.rng.integers(6, 10))
    for x, y in around(0, 0, 0.48, 0.48, corners=petals):
        s.ellipse(x, y, 0.28, 0.28)
        s.ellipse(x * 1.15, y * 1.15, 0.07, 0.07, "lines")
    s.ellipse(0, 0, 0.5, 0.5)
    s.ellipse(0, 0, 0.24, 0.24, "gem")
    s.line([(-0.98, 0.1), (0.98, -0.1)], 0.05)


def pendant(s: Sketch) -> None:
    """A drop on a chain with a loop."""
    for side in (-1, 1):
        for step in np.linspace(0.05, 1, 12):
            s.ring(side * 0.62 * step, -0.15 - 0.8 * step, 0.05, 0.05, 0.025)
    s.ring(0, -0.2, 0.1, 0.1, 0.06)
    s.turned([(-0.12, 0.05), (0.1, 0.2), (0.45, 0.42), (0.72, 0.36), (0.92, 0.04)])
    s.ellipse(0, 0.5, 0.2, 0.22, "gem")


def bracelet(s: Sketch) -> None:
    """A broad open hoop seen at an angle."""
    s.ring(0, 0, 0.78, 0.46, 0.3)
    s.ellipse(0, -0.04, 0.6, 0.3, fill=0)
    for x, y in around(0, 0.06, 0.78, 0.46, corners=16)[1:8]:
        s.ellipse(x, y, 0.05, 0.05, "lines")
    s.polygon([(-0.12, -0.7), (0.12, -0.7), (0.1, -0.25), (-0.1, -0.25)], fill=0)


def dress(s: Sketch) -> None:
    """Sleeves, a narrow waist, a wide skirt with folds."""
    hem, waist = s.about(0.62, 0.8), s.about(0.17, 0.22)
    s.polygon([(-0.2, -0.95), (0.2, -0.95), (0.36, -0.86), (0.3, -0.4), (waist, -0.15), (hem, 0.95), (-hem, 0.95),
               (-waist, -0.15), (-0.3, -0.4), (-0.36, -0.86)])  # fmt: skip
    for side in (-1, 1):
        s.line([(side * 0.3, -0.8), (side * 0.58, -0.25)], 0.2)
    s.ellipse(0, -0.97, 0.16, 0.14, fill=0)
    for x in (-0.5, -0.25, 0, 0.25, 0.5):
        s.line([(x * waist, -0.1), (x * hem * 1.6, 0.93)], 0.02, "lines")
    s.line([(-waist, -0.15), (waist, -0.15)], 0.06, "second")


def hat(s: Sketch) -> None:
    """A low crown on a wide brim with a ribbon."""
    s.ellipse(0, 0.3, 0.96, 0.26)
    s.polygon([(-0.5, 0.26), (-0.42, -0.3), *arc(0, -0.3, 0.42, 0.2, 180, 360), (0.5, 0.26)])
    s.polygon([(-0.5, 0.26), (-0.47, 0.04), (0.47, 0.04), (0.5, 0.26)], "second")


def top_hat(s: Sketch) -> None:
    """A tall straight crown on a narrow brim."""
    s.ellipse(0, 0.62, 0.75, 0.16)
    s.polygon([(-0.42, 0.6), (-0.48, -0.75), (0.48, -0.75), (0.42, 0.6)])
    s.ellipse(0, -0.75, 0.48, 0.1)
    s.polygon([(-0.42, 0.6), (-0.43, 0.36), (0.43, 0.36), (0.42, 0.6)], "second")


def shoe(s: Sketch) -> None:
    """A low shoe from the side, with a heel and a buckle."""
    s.polygon([(-0.88, -0.3), (-0.5, -0.34), (-0.3, -0.05), (0.5, 0.06), (0.9, 0.26), (0.92, 0.42), (-0.86, 0.42)])
    s.polygon([(-0.9, 0.36), (-0.42, 0.36), (-0.5, 0.66), (-0.84, 0.66)])
    s.box(-0.9, 0.38, 0.94, 0.46, "lines")
    s.box(-0.2, -0.06, 0.1, 0.16, "second")


def boot(s: Sketch) -> None:
    """A shaft up to the knee."""
    s.polygon([(-0.42, -0.95), (0.14, -0.95), (0.12, 0.25), (0.72, 0.55), (0.78, 0.8), (-0.4, 0.8), (-0.46, 0.4)])
    s.box(-0.42, 0.78, -0.1, 0.96)
    s.line([(-0.42, 0.78), (0.78, 0.78)], 0.05, "lines")
    s.line([(-0.42, -0.8), (0.14, -0.8)], 0.03, "lines")


def glove(s: Sketch) -> None:
    """A hand of four fingers, a thumb and a cuff."""
    s.polygon([(-0.36, 0.1), (0.36, 0.1), (0.3, 0.75), (0.4, 0.95), (-0.4, 0.95), (-0.3, 0.75)])
    s.box(-0.36, -0.15, 0.36, 0.2)
    for x, tip in ((-0.27, -0.65), (-0.09, -0.85), (0.09, -0.88), (0.27, -0.72)):
        s.line([(x, 0.1), (x * 1.15, tip)], 0.16)
    s.line([(0.3, 0.35), (0.66, -0.1)], 0.17)
    for x in (-0.18, 0, 0.18):
        s.line([(x, -0.12), (x, 0.2)], 0.02, "lines")


def fan(s: Sketch) -> None:
    """A folding fan, open: sticks below, a leaf above."""
    s.polygon([*arc(0, 0.7, 0.98, 1.45, 200, 340), *reversed(arc(0, 0.7, 0.5, 0.74, 200, 340))])
    for angle in np.linspace(202, 338, 13):
        outer, inner = arc(0, 0.7, 0.5, 0.74, float(angle), float(angle))[0], (0.0, 0.72)
        s.line([inner, outer], 0.045, "second")
        s.line([outer, arc(0, 0.7, 0.97, 1.43, float(angle), float(angle))[0]], 0.015, "lines")


SHAPES: dict[str, Shape] = {
    "ring": ring, "necklace": necklace, "brooch": brooch, "pendant": pendant, "bracelet": bracelet, "dress": dress,
    "hat": hat, "top_hat": top_hat, "shoe": shoe, "boot": boot, "glove": glove, "fan": fan,
}  # fmt: skip
