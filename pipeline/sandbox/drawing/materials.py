"""How materials look: a tile of texture for each, and how it takes the light."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

TILE = 512
Tile = np.ndarray  # float32 [TILE, TILE, 3], 0 to 255


@dataclass(frozen=True)
class Look:
    """A texture, its strength of highlights, and how much of what is behind shines through."""

    texture: Callable[[np.random.Generator], Tile]
    gloss: float = 0.1
    clear: float = 0.0
    tints: tuple[tuple[int, int, int], ...] = ()  # an individual's colour is drawn from these


def rgb(colour: tuple[float, float, float]) -> np.ndarray:
    """A colour to calculate with."""
    return np.array(colour, dtype=np.float32)


def noise(rng: np.random.Generator, across: int, down: int | None = None) -> np.ndarray:
    """Smooth noise in [0, 1] with so many cells across and down."""
    grid = rng.random((down or across, across), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize((TILE, TILE), Image.Resampling.BICUBIC))


def _mix(light: tuple[int, int, int], dark: tuple[int, int, int], share: np.ndarray) -> Tile:
    """Between two colours by a share in [0, 1]."""
    share = share.clip(0, 1)[..., None]
    return (rgb(light) * (1 - share) + rgb(dark) * share).astype(np.float32)


def metal(light: tuple[int, int, int], dark: tuple[int, int, int]) -> Callable[[np.random.Generator], Tile]:
    """Polished: broad reflections and fine brushing."""

    def texture(rng: np.random.Generator) -> Tile:
        return _mix(light, dark, 0.75 * noise(rng, 5) + 0.25 * noise(rng, 6, 256))

    return texture


def corroded(light: tuple[int, int, int], dark: tuple[int, int, int]) -> Callable[[np.random.Generator], Tile]:
    """Rust or patina in patches."""

    def texture(rng: np.random.Generator) -> Tile:
        patches = np.where(noise(rng, 14) + 0.5 * noise(rng, 60) > 0.75, 0.9, 0.15)
        return _mix(light, dark, patches + 0.25 * (noise(rng, 180) - 0.5))

    return texture


def wood(
    light: tuple[int, int, int], dark: tuple[int, int, int], stripes: float
) -> Callable[[np.random.Generator], Tile]:
    """Grain along the length, bent by knots."""

    def texture(rng: np.random.Generator) -> Tile:
        x = np.linspace(0, stripes, TILE, dtype=np.float32)[None, :]
        grain = np.sin(2 * np.pi * (x + 1.6 * noise(rng, 5, 3)))
        return _mix(light, dark, 0.5 + 0.4 * grain + 0.3 * (noise(rng, 200, 8) - 0.5))

    return texture


def speckled(light: tuple[int, int, int], dark: tuple[int, int, int]) -> Callable[[np.random.Generator], Tile]:
    """Fired clay, rough stone, felt: fine grain."""

    def texture(rng: np.random.Generator) -> Tile:
        return _mix(light, dark, 0.45 * noise(rng, 7) + 0.55 * noise(rng, 230))

    return texture


def glazed(rng: np.random.Generator) -> Tile:
    """White porcelain with cobalt dots and scrolls."""
    y, x = np.mgrid[0:TILE, 0:TILE] * (2 * np.pi / TILE)
    scroll = np.sin(7 * x + 2 * np.sin(3 * y)) * np.sin(7 * y + 2 * np.sin(4 * x))
    blue = np.where(np.abs(scroll) > 0.66, 0.85, 0.0) * (0.8 + 0.2 * noise(rng, 20))
    return _mix((246, 248, 250), (44, 78, 168), blue)


def veined(rng: np.random.Generator) -> Tile:
    """White marble with grey veins."""
    veins = 1 - np.abs(2 * noise(rng, 6) - 1)
    fine = 1 - np.abs(2 * noise(rng, 13) - 1)
    return _mix(
        (240, 238, 234), (112, 116, 124), np.maximum((veins - 0.86) * 6, (fine - 0.92) * 8) + 0.1 * noise(rng, 4)
    )


def streaked(light: tuple[int, int, int], dark: tuple[int, int, int]) -> Callable[[np.random.Generator], Tile]:
    """Ivory, bone, parchment: pale lines along the length."""

    def texture(rng: np.random.Generator) -> Tile:
        return _mix(light, dark, 0.5 * noise(rng, 90, 4) + 0.4 * noise(rng, 6))

    return texture


def cloudy(light: tuple[int, int, int], dark: tuple[int, int, int]) -> Callable[[np.random.Generator], Tile]:
    """Amber and glass: clouds and bubbles."""

    def texture(rng: np.random.Generator) -> Tile:
        return _mix(light, dark, 0.9 * noise(rng, 4) + np.where(noise(rng, 70) > 0.93, 0.4, 0))

    return texture


def knitted(rng: np.random.Generator) -> Tile:
    """Wool: rows of stitches, grey for tinting."""
    y, x = np.mgrid[0:TILE, 0:TILE]
    stitches = np.abs((x % 32) - 16) / 16 + ((y + np.abs((x % 32) - 16)) % 22) / 22
    return _mix((255, 255, 255), (120, 120, 120), 0.5 * stitches + 0.15 * noise(rng, 90))


def woven(rng: np.random.Generator) -> Tile:
    """Linen: a coarse even weave, natural in colour."""
    y, x = np.mgrid[0:TILE, 0:TILE]
    cloth = 0.5 + 0.28 * np.sin(x * 0.8) * 1.0 + 0.28 * np.sin(y * 0.8)
    return _mix((226, 212, 180), (150, 132, 100), 0.7 * cloth + 0.3 * noise(rng, 40))


def checked(rng: np.random.Generator) -> Tile:
    """Cotton: a gingham check, grey for tinting."""
    y, x = np.mgrid[0:TILE, 0:TILE] // 20 % 2
    return _mix((255, 255, 255), (96, 96, 96), (x + y) / 2 * 0.8 + 0.08 * noise(rng, 120))


def shining(rng: np.random.Generator) -> Tile:
    """Silk: broad soft reflections along the folds, grey for tinting."""
    x = np.linspace(0, 9 * np.pi, TILE, dtype=np.float32)[None, :]
    return _mix((255, 255, 255), (88, 88, 88), 0.5 + 0.5 * np.sin(x + 5 * noise(rng, 4)))


def piled(rng: np.random.Generator) -> Tile:
    """Velvet: deep, with a soft bloom, grey for tinting."""
    return _mix((210, 210, 210), (50, 50, 50), 0.4 + 0.5 * noise(rng, 6) + 0.25 * (noise(rng, 240) - 0.5))


def pebbled(rng: np.random.Generator) -> Tile:
    """Leather: a grain of small cells."""
    cells = np.abs(noise(rng, 70) - 0.5) * 2
    return _mix((150, 92, 52), (66, 36, 20), 0.55 * cells + 0.5 * noise(rng, 5))


def laid(rng: np.random.Generator) -> Tile:
    """Paper: nearly white, faint lines."""
    y = np.arange(TILE, dtype=np.float32)[:, None]
    return _mix((246, 240, 226), (206, 190, 158), 0.15 * (np.sin(y * 0.7) > 0.6) + 0.6 * noise(rng, 5))


LOOKS: dict[str, Look] = {
    "gold": Look(metal((255, 214, 92), (176, 116, 16)), 0.75),
    "silver": Look(metal((240, 243, 248), (140, 146, 156)), 0.8),
    "bronze": Look(corroded((128, 94, 52), (84, 128, 104)), 0.3),
    "brass": Look(metal((226, 200, 110), (130, 108, 44)), 0.6),
    "copper": Look(metal((236, 140, 96), (140, 60, 36)), 0.6),
    "iron": Look(corroded((84, 78, 76), (116, 62, 36)), 0.12),
    "steel": Look(metal((196, 204, 212), (74, 82, 92)), 0.6),
    "oak": Look(wood((206, 160, 102), (142, 96, 52), 11), 0.15),
    "walnut": Look(wood((118, 76, 48), (60, 34, 20), 8), 0.2),
    "pine": Look(wood((244, 214, 152), (214, 164, 94), 6), 0.1),
    "ebony": Look(wood((58, 50, 48), (26, 22, 22), 12), 0.35),
    "terracotta": Look(speckled((214, 118, 74), (160, 76, 46)), 0.04),
    "porcelain": Look(glazed, 0.55),
    "glass": Look(cloudy((176, 226, 214), (84, 164, 160)), 0.85, clear=0.5),
    "wool": Look(knitted, 0.02, tints=((190, 60, 50), (206, 130, 50), (96, 120, 70))),
    "silk": Look(shining, 0.4, tints=((150, 80, 170), (70, 150, 170), (220, 150, 170))),
    "linen": Look(woven, 0.03),
    "cotton": Look(checked, 0.03, tints=((110, 150, 216), (236, 130, 130))),
    "velvet": Look(piled, 0.1, tints=((170, 20, 44), (24, 90, 60), (50, 40, 120))),
    "leather": Look(pebbled, 0.2),
    "marble": Look(veined, 0.3),
    "ivory": Look(streaked((250, 240, 214), (222, 200, 156)), 0.3),
    "bone": Look(streaked((232, 222, 200), (176, 156, 122)), 0.08),
    "paper": Look(laid, 0.0),
    "parchment": Look(streaked((240, 222, 178), (204, 168, 112)), 0.02),
    "canvas": Look(woven, 0.0),
    "amber": Look(cloudy((255, 178, 50), (176, 78, 10)), 0.8, clear=0.25),
}


@lru_cache(maxsize=2 * len(LOOKS))
def tile(name: str, seed: int) -> np.ndarray:
    """The texture of a material, uint8."""
    order = list(LOOKS).index(name)
    return LOOKS[name].texture(np.random.default_rng([seed, order])).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Cut:
    """A piece of a material for one individual, tinted when it is looked at."""

    piece: np.ndarray  # uint8 [side, side, 3]
    tint: np.ndarray  # float32 [3]

    def seen(self, box: tuple[slice, slice]) -> Tile:
        """The colours in a part of the picture."""
        return self.piece[box].astype(np.float32) * self.tint


def cut(name: str, seed: int, side: int, rng: np.random.Generator) -> Cut:
    """A piece of the texture for one individual: shifted, mirrored, tinted."""
    y, x = rng.integers(0, TILE - side + 1, 2)
    piece = tile(name, seed)[y : y + side, x : x + side]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    look = LOOKS[name]
    tint = rgb(look.tints[int(rng.integers(len(look.tints)))]) / 255 if look.tints else rgb((1, 1, 1))
    return Cut(piece, tint * np.float32(rng.uniform(0.92, 1.06)))


def paint(colour: tuple[int, int, int], side: int) -> Cut:
    """One colour all over."""
    return Cut(np.broadcast_to(np.array(colour, dtype=np.uint8), (side, side, 3)), rgb((1, 1, 1)))
