"""Flat things with a picture on them: paintings, photographs, prints, maps, tapestries, mosaics, glass, books."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from pipeline.sandbox.drawing.sketch import Point, Shape, Sketch, arc, around

SCENE = 256  # pixels of a scene's longer side
FINE = 2  # scenes are drawn larger and reduced
Colour = tuple[int, int, int]
SKIN: tuple[Colour, ...] = ((236, 200, 172), (214, 168, 132), (160, 112, 82), (112, 74, 52))
PIGMENTS: tuple[Colour, ...] = (
    (200, 40, 40), (40, 80, 180), (240, 200, 40), (250, 250, 250), (40, 130, 60), (20, 20, 20),
)  # fmt: skip
INK, UNPRINTED = np.array((44, 38, 34), dtype=np.uint8), np.array((240, 232, 214), dtype=np.uint8)
BOX = (-0.66, -0.82, 0.66, 0.82)  # where a scene sits in its object


def painting(s: Sketch) -> None:
    """A broad moulded frame around a scene."""
    s.box(-0.84, -1.0, 0.84, 1.0)
    s.box(*BOX, part="scene")
    for inset in (0.05, 0.15):
        corners = [
            (-0.84 + inset, -1 + inset),
            (0.84 - inset, -1 + inset),
            (0.84 - inset, 1 - inset),
            (-0.84 + inset, 1 - inset),
        ]
        s.line([*corners, corners[0]], 0.02, "lines")


def sheet(s: Sketch) -> None:
    """A photograph or a print: a white margin, a flat sheet."""
    s.box(-0.8, -0.96, 0.8, 0.98)
    s.box(*BOX, part="scene")


def full_sheet(s: Sketch) -> None:
    """A map: the drawing goes to the edge, with folds."""
    s.box(-0.86, -0.98, 0.86, 0.98)
    s.box(-0.8, -0.92, 0.8, 0.92, part="scene")
    for y in (-0.3, 0.32):
        s.line([(-0.86, y), (0.86, y)], 0.012, "lines")


def hanging(s: Sketch) -> None:
    """A tapestry: a rod above, a border, a fringe below."""
    s.box(-0.8, -0.88, 0.8, 0.82)
    s.box(-0.66, -0.74, 0.66, 0.68, part="scene")
    s.line([(-0.92, -0.92), (0.92, -0.92)], 0.07, "second")
    for x in np.linspace(-0.78, 0.78, 24):
        s.line([(float(x), 0.8), (float(x), 0.97)], 0.03)


def panel(s: Sketch) -> None:
    """A mosaic: a square slab all covered."""
    s.box(-0.92, -0.92, 0.92, 0.92)
    s.box(-0.88, -0.88, 0.88, 0.88, part="scene")


def window(s: Sketch) -> None:
    """Stained glass: a pointed arch."""
    arch: list[Point] = [(-0.6, 0.98), (-0.6, -0.25), *arc(0.25, -0.2, 0.88, 0.86, 188, 250), (0, -0.98)]
    outline = [*arch, *((-x, y) for x, y in reversed(arch))]
    s.polygon(outline)
    s.polygon([(x * 0.92, y * 0.96) for x, y in outline], part="scene")


def book(s: Sketch) -> None:
    """A bound book: boards, raised bands on the spine, leaves at the edge."""
    s.box(-0.62, -0.9, 0.7, 0.9)
    s.box(0.64, -0.84, 0.74, 0.86, "candle")
    s.box(-0.72, -0.9, -0.52, 0.9)
    for y in (-0.6, -0.2, 0.2, 0.6):
        s.box(-0.74, y - 0.04, -0.52, y + 0.04, "lines", fill=170)
    s.line([(-0.42, -0.78), (0.6, -0.78), (0.6, 0.78), (-0.42, 0.78), (-0.42, -0.78)], 0.025, "gilt")
    s.line([(-0.1, -0.5), (0.3, -0.5)], 0.05, "gilt")


SHAPES: dict[str, Shape] = {
    "painting": painting, "sheet": sheet, "map": full_sheet, "hanging": hanging, "panel": panel, "window": window,
    "book": book,
}  # fmt: skip


Draw = ImageDraw.ImageDraw
Scene = Callable[[Draw, np.random.Generator], None]


def portrait(draw: Draw, rng: np.random.Generator) -> None:
    """A head and shoulders that fill the frame."""
    _wash(draw, _dark(rng), _dark(rng))
    cloth, skin = _bright(rng), _of(rng, SKIN)
    _shape(draw, [(-0.85, 1), (-0.62, 0.42), (-0.2, 0.28), (0.2, 0.28), (0.62, 0.42), (0.85, 1)], cloth)
    _shape(draw, [(-0.17, 0.45), (-0.15, 0.05), (0.15, 0.05), (0.17, 0.45)], _darker(skin))
    _oval(draw, 0, -0.36, 0.44, 0.46, _of(rng, ((60, 40, 28), (24, 20, 20), (170, 120, 60), (190, 190, 190))))
    _oval(draw, 0, -0.2, 0.35, 0.44, skin)
    for side in (-1, 1):
        _oval(draw, side * 0.14, -0.24, 0.055, 0.035, (255, 255, 255))
        _oval(draw, side * 0.14, -0.24, 0.028, 0.035, (40, 30, 24))
    _stroke(draw, [(0, -0.2), (0.05, -0.03), (-0.02, -0.02)], _darker(skin), 0.03)
    _stroke(draw, [(-0.1, 0.1), (0.1, 0.1)], (150, 60, 60), 0.04)


def self_portrait(draw: Draw, rng: np.random.Generator) -> None:
    """A portrait that holds a palette and a brush."""
    portrait(draw, rng)
    _oval(draw, 0.5, 0.66, 0.42, 0.3, (150, 100, 56))
    for number, colour in enumerate(PIGMENTS):
        x, y = arc(0.5, 0.66, 0.28, 0.19, 60 * number, 60 * number)[0]
        _oval(draw, x, y, 0.075, 0.06, colour)
    _stroke(draw, [(-0.9, 0.95), (-0.5, 0.1)], (230, 200, 140), 0.05)


def human_figure(draw: Draw, rng: np.random.Generator) -> None:
    """One clothed person, from head to foot."""
    _wash(draw, (216, 208, 190), (150, 140, 120))
    _person(draw, 0.0, 0.92, 1.7, _bright(rng), _of(rng, SKIN), rng)


def figures(draw: Draw, rng: np.random.Generator) -> None:
    """Many small people."""
    _wash(draw, (206, 214, 216), (172, 160, 130))
    for row, scale in ((0.25, 0.6), (0.62, 0.72), (0.98, 0.85)):
        for x in np.linspace(-0.75, 0.75, 4) + rng.uniform(-0.08, 0.08):
            _person(draw, float(x), row, scale, _bright(rng), _of(rng, SKIN), rng)


def nude(draw: Draw, rng: np.random.Generator) -> None:
    """A reclining body on a cloth, without clothes."""
    _wash(draw, _dark(rng), (70, 34, 34))
    _shape(draw, [(-1, 0.35), (1, 0.2), (1, 0.9), (-1, 1.0)], _bright(rng))
    skin = _of(rng, SKIN[:3])
    _stroke(draw, [(-0.45, 0.1), (0.0, 0.28), (0.3, 0.1), (0.62, 0.42), (0.92, 0.46)], skin, 0.2)
    _stroke(draw, [(-0.5, 0.05), (0.0, 0.25)], skin, 0.32)
    _stroke(draw, [(-0.55, 0.1), (-0.78, 0.42), (-0.5, 0.5)], skin, 0.13)
    _oval(draw, -0.62, -0.28, 0.17, 0.19, skin)
    _oval(draw, -0.66, -0.38, 0.19, 0.15, (60, 40, 28))


def landscape(draw: Draw, rng: np.random.Generator) -> None:
    """Hills, trees and a road under the sky."""
    _wash(draw, (150, 190, 226), (240, 226, 196))
    for base, colour in ((0.0, (124, 150, 160)), (0.25, (110, 150, 90)), (0.5, (84, 128, 58))):
        hills = [(x, base + rng.uniform(-0.16, 0.1)) for x in np.linspace(-1, 1, 7)]
        _shape(draw, [(-1, 1), *((float(x), float(y)) for x, y in hills), (1, 1)], colour)
    _shape(draw, [(-0.1, 0.6), (0.02, 0.6), (0.45, 1), (-0.35, 1)], (214, 190, 140))
    for _ in range(int(rng.integers(3, 6))):
        x, y, size = float(rng.uniform(-0.85, 0.85)), float(rng.uniform(0.35, 0.7)), float(rng.uniform(0.14, 0.24))
        _stroke(draw, [(x, y), (x, y - size)], (90, 64, 40), 0.05)
        _oval(draw, x, y - size * 1.7, size, size * 1.1, (44, 92, 46))


def marine(draw: Draw, rng: np.random.Generator) -> None:
    """The sea with a sailing ship."""
    _wash(draw, (196, 214, 226), (226, 216, 190))
    _shape(draw, [(-1, 0.15), (1, 0.15), (1, 1), (-1, 1)], (46, 104, 140))
    for y in np.linspace(0.25, 0.95, 8):
        wave = [(float(x), float(y + 0.025 * np.sin(9 * x + 30 * y))) for x in np.linspace(-1, 1, 26)]
        _stroke(draw, wave, (150, 190, 204), 0.025)
    x = float(rng.uniform(-0.3, 0.3))
    _shape(draw, [(x - 0.46, 0.26), (x + 0.46, 0.26), (x + 0.3, 0.5), (x - 0.34, 0.5)], (84, 50, 34))
    _stroke(draw, [(x, 0.28), (x, -0.75)], (70, 44, 30), 0.04)
    _shape(draw, [(x + 0.04, -0.7), (x + 0.5, 0.18), (x + 0.04, 0.18)], (250, 246, 232))
    _shape(draw, [(x - 0.04, -0.6), (x - 0.42, 0.18), (x - 0.04, 0.18)], (232, 222, 200))


def still_life(draw: Draw, rng: np.random.Generator) -> None:
    """Fruit, a jug and a glass on a table."""
    _wash(draw, _dark(rng), _dark(rng))
    _shape(draw, [(-1, 0.4), (1, 0.4), (1, 1), (-1, 1)], (122, 80, 48))
    _shape(draw, [(-0.62, 0.5), (-0.7, 0.1), (-0.5, -0.35), (-0.52, -0.6), (-0.26, -0.6), (-0.28, -0.35), (-0.08, 0.1),
                  (-0.16, 0.5)], _bright(rng))  # fmt: skip
    fruit = ((206, 60, 44), (236, 150, 40), (230, 206, 70), (120, 160, 60), (110, 50, 100))
    for _ in range(int(rng.integers(6, 9))):
        x, y = float(rng.uniform(-0.1, 0.8)), float(rng.uniform(0.38, 0.68))
        colour = _of(rng, fruit)
        _oval(draw, x, y, 0.16, 0.16, colour)
        _oval(draw, x - 0.05, y - 0.06, 0.035, 0.035, (255, 244, 224))


def ornament(draw: Draw, rng: np.random.Generator) -> None:
    """No subject: a geometric pattern."""
    first, second, third = _bright(rng), _bright(rng), _dark(rng)
    _wash(draw, first, first)
    step = float(rng.choice([0.33, 0.4, 0.5]))
    for row, y in enumerate(np.arange(-1, 1.1, step)):
        for column, x in enumerate(np.arange(-1, 1.1, step)):
            _shape(draw, [(x, y - step / 2), (x + step / 2, y), (x, y + step / 2), (x - step / 2, y)],
                   second if (row + column) % 2 else third)  # fmt: skip
            _oval(draw, float(x), float(y), step / 6, step / 6, first)


def chart(draw: Draw, rng: np.random.Generator) -> None:
    """A map: land and sea, rivers, roads, a grid, a compass rose."""
    _wash(draw, (188, 210, 214), (188, 210, 214))
    land = [
        (x * rng.uniform(0.7, 1.15), y * rng.uniform(0.7, 1.15)) for x, y in around(-0.05, 0.05, 0.8, 0.8, corners=22)
    ]
    _shape(draw, [(float(x), float(y)) for x, y in land], (234, 220, 178))
    _stroke(
        draw, [*((float(x), float(y)) for x, y in land), (float(land[0][0]), float(land[0][1]))], (110, 84, 52), 0.025
    )
    for _ in range(3):
        walk = np.cumsum(rng.uniform(-0.25, 0.25, (7, 2)), axis=0) * 0.8
        _stroke(draw, [(float(x), float(y)) for x, y in walk], _of(rng, ((70, 120, 170), (170, 70, 50))), 0.03)
    for at in np.linspace(-0.9, 0.9, 6):
        _stroke(draw, [(float(at), -1), (float(at), 1)], (150, 140, 120), 0.008)
        _stroke(draw, [(-1, float(at)), (1, float(at))], (150, 140, 120), 0.008)
    for x, y in around(0.72, -0.74, 0.2, 0.17, corners=4):
        _shape(draw, [(0.72, -0.74), (x, y), (0.72 + (y + 0.74) * 0.2, -0.74 + (x - 0.72) * 0.2)], (150, 40, 40))


SCENES: dict[str, Scene] = {
    "portrait": portrait, "self_portrait": self_portrait, "human_figure": human_figure, "figures": figures,
    "nude": nude, "landscape": landscape, "marine": marine, "still_life": still_life, "ornament": ornament,
    "chart": chart,
}  # fmt: skip


def scene_image(name: str, technique: str, rng: np.random.Generator) -> Image.Image:
    """A scene as its technique shows it: painted, photographed, printed, woven, laid in stones or in glass."""
    image = Image.new("RGB", (SCENE * FINE, SCENE * FINE))
    SCENES[name](ImageDraw.Draw(image), rng)
    return TECHNIQUES[technique](image.reduce(FINE), rng)


def _painted(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Visible strokes: few tones, soft edges."""
    return ImageOps.posterize(image, 5).filter(ImageFilter.SMOOTH)


def _photographed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    grey = ImageOps.autocontrast(image.convert("L").filter(ImageFilter.GaussianBlur(1)))
    dark, light = ((40, 28, 18), (240, 224, 196)) if rng.random() < 0.6 else ((16, 16, 18), (236, 236, 236))
    return ImageOps.colorize(grey, dark, light)


def _printed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Hatching by darkness, with outlines."""
    grey = np.asarray(ImageOps.autocontrast(image.convert("L")), dtype=np.float32) / 255
    y, x = np.mgrid[0:SCENE, 0:SCENE]
    hatch = (np.sin((x + y) * 0.9) + 1) / 2 > grey * 1.2
    cross = (grey < 0.35) & ((np.sin((x - y) * 0.9) + 1) / 2 > grey * 2)
    edges = np.asarray(image.convert("L").filter(ImageFilter.FIND_EDGES)) > 24
    edges[[0, -1], :] = edges[:, [0, -1]] = False
    ink = hatch | cross | edges
    return Image.fromarray(np.where(ink[..., None], INK, UNPRINTED))


def _woven(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Few colours and a ribbed surface."""
    few = image.quantize(10, Image.Quantize.MEDIANCUT).convert("RGB")
    pixels = np.asarray(few, dtype=np.float32)
    ribs = 0.78 + 0.3 * (np.arange(SCENE) % 6 / 5)[:, None, None]
    return Image.fromarray((pixels * ribs * 0.9).clip(0, 255).astype(np.uint8))


def _tesserae(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Stones of one colour each, with joints."""
    n = 32
    stones = np.asarray(image.resize((n, n), Image.Resampling.BOX), dtype=np.float32)
    uneven = stones * rng.uniform(0.8, 1.12, (n, n, 1))
    big = np.kron(uneven, np.ones((SCENE // n, SCENE // n, 1)))
    big[:: SCENE // n] = big[:, :: SCENE // n] = (90, 84, 76)
    return Image.fromarray(big.clip(0, 255).astype(np.uint8))


def _leaded(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Bright panes between dark leads."""
    panes = image.convert("HSV").resize((14, 14), Image.Resampling.BOX)
    hsv = np.array(panes)
    hsv[..., 1] = np.minimum(255, hsv[..., 1].astype(np.int32) * 2 + 110)
    hsv[..., 2] = np.minimum(255, hsv[..., 2].astype(np.int32) + 70)
    bright = Image.fromarray(hsv, "HSV").convert("RGB").resize((SCENE, SCENE), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(bright)
    edges = image.quantize(7, Image.Quantize.MEDIANCUT).convert("L").filter(ImageFilter.FIND_EDGES)
    leads = edges.point(lambda value: 255 if value > 2 else 0).filter(ImageFilter.MaxFilter(5))
    bright.paste((22, 22, 26), mask=leads)
    for at in range(0, SCENE, SCENE // 4):
        draw.line([(at, 0), (at, SCENE)], fill=(22, 22, 26), width=4)
        draw.line([(0, at), (SCENE, at)], fill=(22, 22, 26), width=4)
    return bright


Technique = Callable[[Image.Image, np.random.Generator], Image.Image]
TECHNIQUES: dict[str, Technique] = {
    "painted": _painted, "photographed": _photographed, "printed": _printed, "woven": _woven, "tesserae": _tesserae,
    "leaded": _leaded, "drawn": lambda image, rng: image,
}  # fmt: skip


def _xy(x: float, y: float) -> tuple[float, float]:
    half = SCENE * FINE / 2
    return half * (1 + x), half * (1 + y)


def _shape(draw: Draw, points: list[Point], colour: Colour) -> None:
    draw.polygon([_xy(float(x), float(y)) for x, y in points], fill=colour)


def _oval(draw: Draw, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
    draw.ellipse((*_xy(x - rx, y - ry), *_xy(x + rx, y + ry)), fill=colour)


def _stroke(draw: Draw, points: list[Point], colour: Colour, width: float) -> None:
    pixels = max(1, round(width * SCENE * FINE / 2))
    draw.line([_xy(x, y) for x, y in points], fill=colour, width=pixels, joint="curve")
    for x, y in (points[0], points[-1]):
        _oval(draw, x, y, width / 2, width / 2, colour)


def _wash(draw: Draw, above: Colour, below: Colour) -> None:
    size = SCENE * FINE
    for row in range(0, size, 8):
        share = row / size
        colour = tuple(round(a * (1 - share) + b * share) for a, b in zip(above, below, strict=True))
        draw.rectangle((0, row, size, row + 8), fill=colour)


def _person(
    draw: Draw, x: float, foot: float, height: float, cloth: Colour, skin: Colour, rng: np.random.Generator
) -> None:
    h = height
    swing = float(rng.uniform(-0.1, 0.1)) * h
    for side in (-1, 1):
        _stroke(draw, [(x, foot - 0.45 * h), (x + side * 0.08 * h, foot)], _darker(cloth), 0.09 * h)
        _stroke(draw, [(x, foot - 0.78 * h), (x + side * 0.17 * h, foot - 0.5 * h + side * swing)], cloth, 0.07 * h)
    _shape(draw, [(x - 0.12 * h, foot - 0.82 * h), (x + 0.12 * h, foot - 0.82 * h), (x + 0.1 * h, foot - 0.4 * h),
                  (x - 0.1 * h, foot - 0.4 * h)], cloth)  # fmt: skip
    _oval(draw, x, foot - 0.92 * h, 0.075 * h, 0.09 * h, skin)
    _oval(draw, x, foot - 0.97 * h, 0.08 * h, 0.05 * h, (60, 40, 28))


def _of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _bright(rng: np.random.Generator) -> Colour:
    return _of(rng, ((178, 50, 44), (44, 84, 150), (206, 160, 60), (60, 116, 80), (124, 60, 110), (216, 120, 70)))


def _dark(rng: np.random.Generator) -> Colour:
    return _of(rng, ((54, 44, 38), (38, 48, 56), (60, 40, 34), (44, 54, 44)))


def _darker(colour: Colour) -> Colour:
    return (colour[0] * 3 // 4, colour[1] * 3 // 4, colour[2] * 3 // 4)
