"""House styles of photography: background, light, framing and finish of each provider."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.sandbox.drawing.materials import DATA, Colour, noise, rgb, tile

Picture = np.ndarray  # float32 [side, side, 3], 0 to 255
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


def plain(rng: np.random.Generator, side: int, colour: Colour, edge: float) -> Picture:
    """One colour, darker towards the edge by a share."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    fall = 1 - edge * ((x - rng.uniform(-0.2, 0.2)) ** 2 + (y + rng.uniform(-0.1, 0.3)) ** 2) / 2
    return rgb(colour) * fall[..., None].astype(np.float32)


def studio(rng: np.random.Generator, side: int, wall: Colour, floor: Colour) -> Picture:
    """A wall and a floor with a soft edge between."""
    y = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    edge = 1 / (1 + np.exp(-(y - rng.uniform(0.66, 0.74)) * 26))
    grade = 1.05 - 0.22 * np.abs(np.linspace(-1, 1, side, dtype=np.float32))[None, :, None]
    return (rgb(wall) * (1 - edge) + rgb(floor) * edge) * grade


def tiled(rng: np.random.Generator, side: int, material: str, strength: float, tint: Colour) -> Picture:
    """A cloth or a table: a material's texture, tinted."""
    y, x = rng.integers(0, 512 - side + 1, 2)
    piece = tile(material, 0)[y : y + side, x : x + side].astype(np.float32)
    flat = piece.mean(axis=(0, 1))
    return (flat + (piece - flat) * strength) / flat.mean() * rgb(tint)


def grid(rng: np.random.Generator, side: int, paper: Colour, ink: Colour) -> Picture:
    """Graph paper."""
    picture = np.full((side, side, 3), paper, dtype=np.float32)
    start = int(rng.integers(0, 8))
    for step, strength in ((8, 0.35), (40, 0.8)):
        for lines in (picture[start::step], picture[:, start::step]):
            lines += (rgb(ink) - lines) * strength
    return picture


def blotched(rng: np.random.Generator, side: int, light: Colour, dark: Colour, cells: int) -> Picture:
    """Soil, stone, a mottled studio cloth."""
    share = (0.7 * noise(rng, cells) + 0.3 * noise(rng, 120))[:side, :side, None]
    return rgb(light) * (1 - share) + rgb(dark) * share


BACKGROUNDS: dict[str, Callable[..., Picture]] = {
    "plain": plain, "studio": studio, "tiled": tiled, "grid": grid, "blotched": blotched,
}  # fmt: skip


def background(name: str, rng: np.random.Generator, side: int) -> Picture:
    """What a provider lays its things on (looks.toml)."""
    options = dict(DATA["backgrounds"][name])
    return BACKGROUNDS[options.pop("kind")](rng, side, **options)


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
    "none": lambda picture, rng: picture, "negative": _negative, "blueprint": _blueprint, "faded": _faded,
    "flash": _flash, "grainy": _grainy,
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
        (200, 40, 40), (40, 140, 60), (40, 60, 170), (230, 210, 50), (250, 250, 250), (128, 128, 128), (20, 20, 20),
    )  # fmt: skip
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


EXTRAS = {"scale_bar": scale_bar, "colour_card": colour_card, "label": label}


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
