"""One photograph of one thing: its sketch lit and laid on the provider's background."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from pipeline.sandbox.drawing import costume, furniture, pictures, tools, vessels
from pipeline.sandbox.drawing.materials import LOOKS, Cut, cut, paint, rgb
from pipeline.sandbox.drawing.sketch import Mask, Point, Pose, Shape, Sketch, around
from pipeline.sandbox.drawing.styles import Picture, Style, background, developed

SIDE = 400
SHAPES: dict[str, Shape] = {
    **vessels.SHAPES, **furniture.SHAPES, **costume.SHAPES, **tools.SHAPES, **pictures.SHAPES,
}  # fmt: skip
# Parts that are of no material: their colour.
PAINT: dict[str, tuple[int, int, int]] = {
    "candle": (240, 232, 210), "ink": (28, 24, 22), "gem": (170, 30, 50), "ribbon": (40, 70, 150),
    "skin": (234, 198, 172), "gilt": (222, 178, 76),
}  # fmt: skip
DECOR = ((176, 40, 36), (34, 62, 130), (238, 232, 214), (30, 30, 34), (218, 170, 50), (28, 104, 70))
LINE_DARKNESS = 0.5
MARGIN = 18


@dataclass(frozen=True)
class Thing:
    """One individual object: what it is, of what, with what on it. Its views share `seed`."""

    shape: str
    material: str
    second: str | None
    seed: int
    motif: str | None = None
    motif_at: tuple[float, float, float] = (0.0, 0.0, 0.0)  # x, y, size in object units
    scene: str | None = None
    technique: str = "painted"


def photograph(thing: Thing, style: Style, view: int, seed: int) -> Image.Image:
    """The thing in the provider's style; `view` counts photographs of the same thing, each from another side."""
    pose_rng = np.random.default_rng([seed, thing.seed, view, 1])
    pose = _pose(style, view, pose_rng)
    sketch = Sketch(pose, np.random.default_rng([seed, thing.seed, 2]))
    SHAPES[thing.shape](sketch)
    if thing.motif is not None:
        MOTIFS[thing.motif](sketch, *thing.motif_at)
    picture = background(style.background, pose_rng, SIDE)
    surface = np.random.default_rng([seed, thing.seed, 3])
    _lay(picture, sketch, thing, style, surface, seed)
    return developed(picture, style, pose_rng)


def _pose(style: Style, view: int, rng: np.random.Generator) -> Pose:
    """The first view is as the house takes it; later ones are turned, nearer and foreshortened."""
    turn = rng.uniform(-style.turn, style.turn) + (0, 9, -12, 16)[view % 4]
    return Pose(
        side=SIDE,
        scale=float(rng.uniform(*style.scale)) * (1.0, 1.08, 0.9, 1.0)[view % 4],
        turn=float(np.radians(turn)),
        squeeze=(1.0, 0.9, 0.84, 0.94)[view % 4],
        shift=(float(rng.uniform(-style.shift, style.shift)), float(rng.uniform(-style.shift, style.shift))),
    )


def _lay(picture: Picture, sketch: Sketch, thing: Thing, style: Style, rng: np.random.Generator, seed: int) -> None:
    """Shadow first, then the parts from the back to the front."""
    body, second = sketch.part("body"), sketch.part("second")
    parts = [mask for mask in (body, second) if mask is not None]
    _shade(picture, np.maximum.reduce(parts), style)
    main, other = cut(thing.material, seed, SIDE, rng), cut(thing.second or thing.material, seed, SIDE, rng)
    if body is not None:
        _material(picture, body, main, thing.material, style)
    if thing.scene is not None:
        _scene(picture, sketch, thing, rng)
    if second is not None:
        _material(picture, second, other, thing.second or thing.material, style)
    relief = sketch.part("relief")
    if relief is not None:
        _material(picture, relief, Cut(main.piece, main.tint * np.float32(1.12)), thing.material, style)
    decor = sketch.part("decor")
    if decor is not None:
        inside = decor * np.minimum(1, np.maximum.reduce(parts))
        _over(picture, inside * 0.92, rgb(_decor_colour(main, rng)))
    for name, colour in PAINT.items():
        mask = sketch.part(name)
        if mask is not None:
            _material(picture, mask, paint(colour, SIDE), "paper", style)
    lines = sketch.part("lines")
    if lines is not None:
        picture *= 1 - (LINE_DARKNESS * lines * np.maximum.reduce(parts))[..., None]


def _shade(picture: Picture, mask: Mask, style: Style) -> None:
    """The shadow, away from the light."""
    if style.shadow <= 0:
        return
    soft = _soft(mask)
    right, down = round(-style.light[0] * 16), round(-style.light[1] * 16)
    picture *= 1 - style.shadow * np.roll(soft, (down, right), (0, 1))[..., None]


def _material(picture: Picture, whole: Mask, texture: Cut, name: str, style: Style) -> None:
    """A material within a mask, rounded by the light."""
    box, look = _around(whole), LOOKS[name]
    mask = whole[box]
    height = 0.6 * _blurred(mask, 7) + 0.4 * _blurred(mask, 2)
    down, right = np.gradient(height)
    slope = right * style.light[0] + down * style.light[1]
    lit = 1 - 6.0 * slope  # towards the light is uphill against its direction
    surface = texture.seen(box) * (0.74 + 0.26 * np.clip(lit, 0.2, 2.2))[..., None]
    if look.gloss > 0.2:
        shine = (-slope * 26 - 0.55).clip(0, 1) * look.gloss
        surface += np.maximum(255 - surface, 0) * shine[..., None]
    _over(picture[box], mask * (1 - look.clear), surface)


def _around(mask: Mask) -> tuple[slice, slice]:
    """The part of the picture that holds a mask, with room for its rounding."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    first, last = (max(0, int(rows[0]) - MARGIN), max(0, int(columns[0]) - MARGIN)), (int(rows[-1]), int(columns[-1]))
    return slice(first[0], max(first[0] + 3, last[0] + MARGIN)), slice(first[1], max(first[1] + 3, last[1] + MARGIN))


def _scene(picture: Picture, sketch: Sketch, thing: Thing, rng: np.random.Generator) -> None:
    """The picture on a flat thing, turned with it."""
    mask = sketch.part("scene")
    if mask is None or thing.scene is None:
        return
    image = pictures.scene_image(thing.scene, thing.technique, rng)
    rows, columns = np.nonzero(mask > 0.5)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    turned = image.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BILINEAR)
    laid = np.zeros_like(picture)
    laid[box[1] : box[3], box[0] : box[2]] = np.asarray(turned)
    _over(picture, mask, laid)


def _over(picture: Picture, mask: Mask, surface: np.ndarray) -> None:
    picture += (surface - picture) * mask[..., None]


def _blurred(mask: Mask, radius: int) -> Mask:
    image = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(radius))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32) / 255


def _soft(mask: Mask) -> Mask:
    """A very soft blur, made at a quarter of the size."""
    small = Image.fromarray((mask * 255).astype(np.uint8)).reduce(4).filter(ImageFilter.GaussianBlur(2.2))
    return np.asarray(small.resize(mask.shape[::-1], Image.Resampling.BILINEAR), dtype=np.float32) / 255


def _decor_colour(texture: Cut, rng: np.random.Generator) -> tuple[int, int, int]:
    """A paint that can be seen on this material."""
    ground = texture.piece[::16, ::16].mean(axis=(0, 1)) * texture.tint
    distance = [float(np.abs(ground - rgb(colour)).sum()) for colour in DECOR]
    far = [colour for colour, d in zip(DECOR, distance, strict=True) if d > 0.6 * max(distance)]
    return far[int(rng.integers(len(far)))]


def flower(s: Sketch, x: float, y: float, size: float) -> None:
    """Botany."""
    for px, py in around(x, y - size * 0.2, size * 0.45, size * 0.45, corners=6):
        s.ellipse(px, py, size * 0.3, size * 0.3, "decor")
    s.ellipse(x, y - size * 0.2, size * 0.2, size * 0.2, "decor", fill=0)
    s.line([(x, y + size * 0.4), (x, y + size)], size * 0.13, "decor")
    s.ellipse(x + size * 0.3, y + size * 0.75, size * 0.3, size * 0.12, "decor", turn=-0.6)


def bird(s: Sketch, x: float, y: float, size: float) -> None:
    """Zoology."""
    s.ellipse(x, y, size * 0.7, size * 0.4, "decor", turn=-0.25)
    s.ellipse(x + size * 0.65, y - size * 0.45, size * 0.27, size * 0.27, "decor")
    s.polygon(
        [(x + size * 0.85, y - size * 0.6), (x + size * 1.2, y - size * 0.42), (x + size * 0.85, y - size * 0.32)],
        "decor",
    )
    s.polygon([(x - size * 0.5, y), (x - size * 1.2, y - size * 0.2), (x - size * 1.1, y + size * 0.4)], "decor")
    for leg in (-0.1, 0.2):
        s.line([(x + size * leg, y + size * 0.3), (x + size * leg, y + size * 0.85)], size * 0.08, "decor")


def star(s: Sketch, x: float, y: float, size: float) -> None:
    """Astronomy: a star and a crescent."""
    outer, inner = around(x, y, size, size, -1.571, 5), around(x, y, size * 0.42, size * 0.42, -0.943, 5)
    s.polygon([point for pair in zip(outer, inner, strict=True) for point in pair], "decor")


def cross(s: Sketch, x: float, y: float, size: float) -> None:
    """Religion."""
    s.box(x - size * 0.17, y - size, x + size * 0.17, y + size, "decor")
    s.box(x - size * 0.65, y - size * 0.5, x + size * 0.65, y - size * 0.16, "decor")


def arms(s: Sketch, x: float, y: float, size: float) -> None:
    """Heraldry: an escutcheon with a bend."""
    outline: list[Point] = [(-0.8, -0.9), (0.8, -0.9), (0.78, 0.1), (0.4, 0.7), (0, 1), (-0.4, 0.7), (-0.78, 0.1)]
    s.polygon([(x + size * px, y + size * py) for px, py in outline], "decor")
    s.line([(x - size * 0.6, y - size * 0.7), (x + size * 0.5, y + size * 0.4)], size * 0.34, "decor", fill=0)


def zigzag(s: Sketch, x: float, y: float, size: float) -> None:
    """Ethnography: two bands of zigzag."""
    for row in (-0.5, 0.4):
        points = [(x - size * 1.6 + size * 0.4 * i, y + size * (row + (0.35 if i % 2 else -0.1))) for i in range(9)]
        s.line(points, size * 0.2, "decor")


MOTIFS = {"flower": flower, "bird": bird, "star": star, "cross": cross, "arms": arms, "zigzag": zigzag}
