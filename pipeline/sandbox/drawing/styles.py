"""House styles of photography: background, light, framing and finish of each provider."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.sandbox.drawing.materials import noise, rgb, tile

Picture = np.ndarray  # float32 [side, side, 3], 0 to 255
Background = Callable[[np.random.Generator, int], Picture]
Finish = Callable[[Picture, np.random.Generator], Picture]


@dataclass(frozen=True)
class Style:
    """How one provider photographs."""

    background: str
    light: tuple[float, float] = (-0.6, -0.7)  # where it comes from, right and down
    warmth: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    scale: tuple[float, float] = (0.66, 0.78)
    turn: float = 4.0  # degrees, either way
    shift: float = 0.05
    shadow: float = 0.35
    extras: tuple[str, ...] = ()
    finish: str = "none"
    shape: tuple[int, int] = (400, 400)  # width and height of the file
    quality: int = 88


def _plain(colour: tuple[int, int, int], edge: float) -> Background:
    """One colour, darker towards the edge by a share."""

    def background(rng: np.random.Generator, side: int) -> Picture:
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
        fall = 1 - edge * ((x - rng.uniform(-0.2, 0.2)) ** 2 + (y + rng.uniform(-0.1, 0.3)) ** 2) / 2
        return rgb(colour) * fall[..., None].astype(np.float32)

    return background


def _studio(wall: tuple[int, int, int], floor: tuple[int, int, int]) -> Background:
    """A wall and a floor with a soft edge between."""

    def background(rng: np.random.Generator, side: int) -> Picture:
        y = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
        edge = 1 / (1 + np.exp(-(y - rng.uniform(0.66, 0.74)) * 26))
        grade = 1.05 - 0.22 * np.abs(np.linspace(-1, 1, side, dtype=np.float32))[None, :, None]
        return (rgb(wall) * (1 - edge) + rgb(floor) * edge) * grade

    return background


def _tiled(name: str, strength: float, tint: tuple[int, int, int]) -> Background:
    """A cloth or a table: a material's texture, tinted."""

    def background(rng: np.random.Generator, side: int) -> Picture:
        y, x = rng.integers(0, 512 - side + 1, 2)
        piece = tile(name, 0)[y : y + side, x : x + side].astype(np.float32)
        flat = piece.mean(axis=(0, 1))
        return (flat + (piece - flat) * strength) / flat.mean() * rgb(tint)

    return background


def _grid(paper: tuple[int, int, int], ink: tuple[int, int, int]) -> Background:
    """Graph paper."""

    def background(rng: np.random.Generator, side: int) -> Picture:
        picture = np.full((side, side, 3), paper, dtype=np.float32)
        start = int(rng.integers(0, 8))
        for step, strength in ((8, 0.35), (40, 0.8)):
            for rows in (picture[start::step], picture[:, start::step]):
                rows += (rgb(ink) - rows) * strength
        return picture

    return background


def _blotched(light: tuple[int, int, int], dark: tuple[int, int, int], cells: int) -> Background:
    """Soil, stone, a mottled studio cloth."""

    def background(rng: np.random.Generator, side: int) -> Picture:
        share = (0.7 * noise(rng, cells) + 0.3 * noise(rng, 120))[:side, :side, None]
        return rgb(light) * (1 - share) + rgb(dark) * share

    return background


BACKGROUNDS: dict[str, Background] = {
    "white": _plain((246, 246, 244), 0.06),
    "grey": _plain((176, 178, 180), 0.5),
    "blue_card": _plain((86, 122, 168), 0.15),
    "cream": _plain((236, 224, 196), 0.18),
    "black": _plain((26, 26, 30), 0.6),
    "red_cloth": _tiled("velvet", 0.6, (112, 24, 34)),
    "linen": _tiled("linen", 1.0, (188, 176, 150)),
    "table": _tiled("oak", 1.0, (120, 88, 60)),
    "studio": _studio((206, 212, 216), (150, 152, 152)),
    "vitrine": _studio((44, 70, 78), (104, 92, 74)),
    "parlour": _studio((150, 132, 104), (92, 62, 44)),
    "graph": _grid((242, 248, 244), (120, 176, 190)),
    "soil": _blotched((146, 112, 78), (84, 62, 44), 12),
    "slate": _blotched((98, 104, 112), (62, 66, 74), 6),
    "mottled": _blotched((150, 150, 138), (90, 96, 92), 4),
    "lime": _plain((196, 214, 120), 0.12),
    "pink": _plain((232, 190, 190), 0.12),
}


def _negative(picture: Picture, rng: np.random.Generator) -> Picture:
    """A glass negative: tones reversed, scratches, dark clips at the edge."""
    grey = 255 - picture.mean(axis=2)
    grey = (grey - 128) * 1.15 + 118
    side = grey.shape[0]
    for _ in range(int(rng.integers(2, 6))):
        x = int(rng.integers(0, side))
        grey[:, x : x + 1] += 40
    grey[: side // 30] = grey[-side // 30 :] = 12
    grey[:, : side // 30] = grey[:, -side // 30 :] = 12
    return np.stack([grey * 0.98, grey * 0.92, grey * 0.84], axis=2)


def _blueprint(picture: Picture, rng: np.random.Generator) -> Picture:
    """White outlines and faint tones on blue."""
    grey = picture.mean(axis=2)
    y, x = np.gradient(grey)
    lines = np.minimum(1, np.hypot(x, y) / 26)
    lines = np.maximum(lines, 0.28 * (grey - grey.min()) / max(1.0, float(np.ptp(grey))))
    uneven = 0.85 + 0.3 * noise(rng, 5)[: grey.shape[0], : grey.shape[1]]
    blue = rgb((26, 66, 140)) * uneven[..., None]
    return blue + (rgb((226, 236, 246)) - blue) * lines[..., None]


def _sepia(picture: Picture, rng: np.random.Generator) -> Picture:
    """An old print: brown, soft in the shadows, lighter at the edge."""
    grey = 30 + 0.82 * picture.mean(axis=2, keepdims=True)
    return grey * rgb((1.06, 0.92, 0.72))


def _faded(picture: Picture, rng: np.random.Generator) -> Picture:
    """A slide that lost its contrast and went magenta."""
    return 70 + picture * rgb((0.68, 0.56, 0.62))


def _flash(picture: Picture, rng: np.random.Generator) -> Picture:
    """A flash on the camera: burnt in the middle, dark at the edge."""
    side = picture.shape[0]
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    return picture * (1.5 - 1.15 * np.minimum(1, np.hypot(x, y)))[..., None]


def _grainy(picture: Picture, rng: np.random.Generator) -> Picture:
    """High-speed film."""
    return picture + rng.normal(0, 14, picture.shape[:2]).astype(np.float32)[..., None]


FINISHES: dict[str, Finish] = {
    "none": lambda picture, rng: picture, "negative": _negative, "blueprint": _blueprint, "sepia": _sepia,
    "faded": _faded, "flash": _flash, "grainy": _grainy,
}  # fmt: skip


def scale_bar(picture: Picture, rng: np.random.Generator) -> None:
    """A black and white bar of centimetres."""
    side = picture.shape[0]
    step, top = side // 20, side - side // 11
    for number in range(6):
        left = side // 3 + number * step
        picture[top : top + side // 40, left : left + step] = 10 if number % 2 == 0 else 250


def colour_card(picture: Picture, rng: np.random.Generator) -> None:
    """Patches along the lower edge."""
    side = picture.shape[0]
    patches = (
        (200, 40, 40),
        (40, 140, 60),
        (40, 60, 170),
        (230, 210, 50),
        (250, 250, 250),
        (128, 128, 128),
        (20, 20, 20),
    )
    width = side // 18
    for number, colour in enumerate(patches):
        picture[side - width - 6 : side - 6, 8 + number * width : 8 + (number + 1) * width - 2] = colour


def label(picture: Picture, rng: np.random.Generator) -> None:
    """A white slip with a line of writing, as inventory numbers are."""
    side = picture.shape[0]
    top, left = side - side // 8, side - side // 3
    picture[top : top + side // 14, left : left + side // 4] = (250, 248, 240)
    at = left + 6
    while at < left + side // 4 - 8:
        width = int(rng.integers(2, 6))
        picture[top + side // 50 : top + side // 14 - side // 60, at : at + width : 2] = (40, 40, 60)
        at += width + 3


def border(picture: Picture, rng: np.random.Generator) -> None:
    """A white margin as on a mounted print."""
    edge = picture.shape[0] // 18
    picture[:edge] = picture[-edge:] = 248
    picture[:, :edge] = picture[:, -edge:] = 248


EXTRAS = {"scale_bar": scale_bar, "colour_card": colour_card, "label": label, "border": border}


def developed(picture: Picture, style: Style, rng: np.random.Generator) -> Image.Image:
    """The picture as the provider publishes it: light's colour, contrast, finish, extras, format."""
    picture = (picture - 128) * np.float32(style.contrast) + 128
    picture = picture * (rgb(style.warmth) * np.float32(rng.uniform(0.95, 1.05)))
    picture = np.ascontiguousarray(FINISHES[style.finish](picture, rng), dtype=np.float32)
    for extra in style.extras:
        EXTRAS[extra](picture, rng)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    return _framed(image, style.shape)


def _framed(image: Image.Image, shape: tuple[int, int]) -> Image.Image:
    """Cut from the square to the provider's format, about the middle."""
    width, height = shape
    side = image.width
    wide, high = min(side, side * width / height), min(side, side * height / width)
    left, upper = (side - wide) / 2, (side - high) / 2
    box = (left, upper, left + wide, upper + high)
    if (math.isclose(wide, width) and math.isclose(high, height)) and left == int(left) and upper == int(upper):
        return image.crop((int(left), int(upper), int(left) + width, int(upper) + height))
    return image.resize(shape, Image.Resampling.BILINEAR, box=box)
