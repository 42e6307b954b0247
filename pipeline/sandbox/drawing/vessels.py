"""Vessels and other things from the wheel and the lathe."""

from pipeline.sandbox.drawing.sketch import Point, Shape, Sketch, arc


def vase(s: Sketch) -> None:
    """A wide shoulder below a short flaring neck; no handle."""
    belly, neck = s.about(0.42, 0.56), s.about(0.14, 0.2)
    profile = [(-0.95, neck + 0.13), (-0.85, neck), (-0.66, neck), (-0.35, belly), (0.1, belly * 0.95), (0.75, 0.22),
               (0.95, 0.3)]  # fmt: skip
    s.turned(profile)
    s.rings(profile, (-0.66, s.about(-0.3, 0.0), 0.75))


def amphora(s: Sketch) -> None:
    """Two handles from the neck to the shoulder, a pointed foot."""
    belly = s.about(0.4, 0.48)
    profile = [(-0.98, 0.2), (-0.9, 0.15), (-0.6, 0.14), (-0.25, belly), (0.2, belly * 0.85), (0.8, 0.12), (0.98, 0.07)]
    for side in (-1, 1):
        s.line([(side * x, y) for x, y in arc(0.14, -0.55, 0.34, 0.3, -80, 75)], 0.09)
    s.turned(profile)
    s.rings(profile, (-0.6, -0.2, 0.1))


def bowl(s: Sketch) -> None:
    """A wide open half round with a foot ring; its inside shows."""
    depth = s.about(0.45, 0.6)
    profile = [(-0.3, 0.9), (-0.1, 0.86), (0.1, 0.72), (depth - 0.1, 0.4), (depth, 0.3), (depth + 0.14, 0.36)]
    s.turned(profile)
    s.ellipse(0, -0.3, 0.9, 0.2)
    s.ellipse(0, -0.29, 0.82, 0.15, "lines", fill=150)
    s.rings(profile, (0.1,))


def jug(s: Sketch) -> None:
    """One handle, a pouring lip on the other side."""
    belly = s.about(0.42, 0.54)
    profile = [(-0.8, 0.3), (-0.55, 0.24), (-0.1, belly), (0.4, belly), (0.8, 0.32), (0.92, 0.36)]
    s.line(arc(0.32, 0.0, 0.52, 0.5, -75, 75), 0.13)
    s.polygon([(-0.2, -0.82), (-0.56, -0.9), (-0.24, -0.5)])
    s.turned(profile)
    s.rings(profile, (-0.5, s.about(0.2, 0.5)))


def bottle(s: Sketch) -> None:
    """A long thin neck on a straight body."""
    body, neck = s.about(0.28, 0.38), s.about(0.09, 0.12)
    profile = [
        (-0.98, neck + 0.05),
        (-0.9, neck),
        (-0.35, neck),
        (-0.1, body),
        (0.1, body),
        (0.9, body),
        (0.96, body - 0.04),
    ]
    s.turned(profile)
    s.box(-neck * 0.9, -1.08, neck * 0.9, -0.95, "second")
    s.rings(profile, (-0.85,))


def goblet(s: Sketch) -> None:
    """A cup on a stem with a round foot."""
    cup = s.about(0.4, 0.5)
    profile = [(-0.9, cup), (-0.5, cup * 0.98), (-0.15, 0.2), (0.0, 0.07), (0.2, 0.13), (0.35, 0.07), (0.7, 0.1),
               (0.86, 0.42), (0.95, 0.44)]  # fmt: skip
    s.turned(profile)
    s.ellipse(0, -0.9, cup, 0.1)
    s.ellipse(0, -0.89, cup * 0.9, 0.07, "lines", fill=140)
    s.rings(profile, (-0.6, 0.2))


def plate(s: Sketch) -> None:
    """A disc seen from above, with a rim."""
    s.ellipse(0, 0, 0.92, 0.92)
    s.ring(0, 0, 0.6, 0.6, 0.03, "lines")
    s.ring(0, 0, 0.88, 0.88, 0.025, "lines")


def teapot(s: Sketch) -> None:
    """Spout, handle, lid with a knob."""
    belly = s.about(0.5, 0.58)
    s.line(arc(0.48, 0.1, 0.42, 0.42, -85, 85), 0.11)
    s.polygon([(-0.35, 0.4), (-0.95, -0.32), (-0.8, -0.36), (-0.3, 0.05)])
    profile = [(-0.35, 0.26), (-0.2, belly * 0.85), (0.15, belly), (0.5, belly * 0.75), (0.66, 0.34), (0.72, 0.36)]
    s.turned(profile)
    s.turned([(-0.62, 0.02), (-0.57, 0.1), (-0.5, 0.05), (-0.43, 0.2), (-0.33, 0.3)])
    s.rings(profile, (-0.3, 0.5))


def candlestick(s: Sketch) -> None:
    """A slim baluster with a drip pan and a wide foot."""
    profile = [(-0.95, 0.12), (-0.75, 0.11), (-0.72, 0.3), (-0.68, 0.28), (-0.6, 0.07), (-0.3, 0.16), (-0.1, 0.06),
               (0.2, 0.13), (0.45, 0.07), (0.7, 0.16), (0.85, 0.46), (0.95, 0.48)]  # fmt: skip
    s.turned(profile)
    s.rings(profile, (-0.3, 0.2, 0.72))
    if s.maybe(0.5):
        s.box(-0.07, -1.25, 0.07, -0.93, "candle")


def bell(s: Sketch) -> None:
    """A flaring mouth, a loop on top, the clapper below."""
    mouth = s.about(0.6, 0.7)
    profile: list[Point] = [(-0.6, 0.1), (-0.55, 0.26), (-0.2, 0.34), (0.3, 0.42), (0.6, mouth), (0.68, mouth)]
    s.ellipse(0, 0.74, 0.13, 0.13, "second")
    s.ring(0, -0.72, 0.13, 0.16, 0.09)
    s.turned(profile)
    s.rings(profile, (-0.4, 0.4, 0.52))


def drum(s: Sketch) -> None:
    """A cylinder with a skin above and zigzag cords around."""
    s.box(-0.68, -0.42, 0.68, 0.5)
    s.ellipse(0, 0.5, 0.68, 0.2)
    s.ellipse(0, -0.42, 0.68, 0.2, "second")
    s.ring(0, -0.42, 0.68, 0.2, 0.05, "lines")
    zigzag = [(-0.68 + 0.17 * step, -0.25 if step % 2 else 0.6) for step in range(9)]
    s.line(zigzag, 0.035, "lines")


def top(s: Sketch) -> None:
    """A spinning top: a cone on its point with a stick above."""
    s.box(-0.05, -0.85, 0.05, -0.2, "second")
    s.turned([(-0.32, 0.1), (-0.22, 0.62), (-0.05, 0.66), (0.4, 0.3), (0.85, 0.03)])
    s.rings([(-0.32, 0.1), (-0.22, 0.62), (-0.05, 0.66), (0.4, 0.3), (0.85, 0.03)], (-0.05, 0.15, 0.35), 0.05)


SHAPES: dict[str, Shape] = {
    "vase": vase, "amphora": amphora, "bowl": bowl, "jug": jug, "bottle": bottle, "goblet": goblet, "plate": plate,
    "teapot": teapot, "candlestick": candlestick, "bell": bell, "drum": drum, "top": top,
}  # fmt: skip
