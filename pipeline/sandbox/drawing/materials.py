"""How materials look: a tile of texture for each, and how it takes the light."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.sandbox.data import read_toml

TILE = 512
Tile = np.ndarray  # float32 [TILE, TILE, 3], 0 to 255
Share = np.ndarray  # [TILE, TILE], 0 to 1: how far the darker colour of a look shows
Colour = tuple[int, int, int]
DATA = read_toml(Path(__file__).with_name("looks.toml"))


@dataclass(frozen=True)
class Look:
    """A texture between two colours, its strength of highlights, and how much of what is behind shines through."""

    texture: str
    light: Colour
    dark: Colour
    gloss: float
    clear: float = 0.0
    stripes: float = 0.0  # of wood
    tints: tuple[Colour, ...] = ()  # an individual's colour is drawn from these


LOOKS: dict[str, Look] = {name: Look(**row) for name, row in DATA["materials"].items()}


def rgb(colour: tuple[float, float, float]) -> np.ndarray:
    """A colour to calculate with."""
    return np.array(colour, dtype=np.float32)


def noise(rng: np.random.Generator, across: int, down: int | None = None) -> np.ndarray:
    """Smooth noise in [0, 1] with so many cells across and down."""
    grid = rng.random((down or across, across), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize((TILE, TILE), Image.Resampling.BICUBIC))


def metal(rng: np.random.Generator, look: Look) -> Share:
    """Polished: broad reflections and fine brushing."""
    return 0.75 * noise(rng, 5) + 0.25 * noise(rng, 6, 256)


def corroded(rng: np.random.Generator, look: Look) -> Share:
    """Rust or patina in patches."""
    patches = np.where(noise(rng, 14) + 0.5 * noise(rng, 60) > 0.75, 0.9, 0.15)
    return patches + 0.25 * (noise(rng, 180) - 0.5)


def wood(rng: np.random.Generator, look: Look) -> Share:
    """Grain along the length, bent by knots."""
    x = np.linspace(0, look.stripes, TILE, dtype=np.float32)[None, :]
    grain = np.sin(2 * np.pi * (x + 1.6 * noise(rng, 5, 3)))
    return 0.5 + 0.4 * grain + 0.3 * (noise(rng, 200, 8) - 0.5)


def speckled(rng: np.random.Generator, look: Look) -> Share:
    """Fired clay, rough stone, felt: fine grain."""
    return 0.45 * noise(rng, 7) + 0.55 * noise(rng, 230)


def glazed(rng: np.random.Generator, look: Look) -> Share:
    """Porcelain with dots and scrolls."""
    y, x = np.mgrid[0:TILE, 0:TILE] * (2 * np.pi / TILE)
    scroll = np.sin(7 * x + 2 * np.sin(3 * y)) * np.sin(7 * y + 2 * np.sin(4 * x))
    return np.where(np.abs(scroll) > 0.66, 0.85, 0.0) * (0.8 + 0.2 * noise(rng, 20))


def veined(rng: np.random.Generator, look: Look) -> Share:
    """Marble with veins."""
    veins = 1 - np.abs(2 * noise(rng, 6) - 1)
    fine = 1 - np.abs(2 * noise(rng, 13) - 1)
    return np.maximum((veins - 0.86) * 6, (fine - 0.92) * 8) + 0.1 * noise(rng, 4)


def streaked(rng: np.random.Generator, look: Look) -> Share:
    """Ivory, bone, parchment: pale lines along the length."""
    return 0.5 * noise(rng, 90, 4) + 0.4 * noise(rng, 6)


def cloudy(rng: np.random.Generator, look: Look) -> Share:
    """Amber and glass: clouds and bubbles."""
    return 0.9 * noise(rng, 4) + np.where(noise(rng, 70) > 0.93, 0.4, 0)


def knitted(rng: np.random.Generator, look: Look) -> Share:
    """Wool: rows of stitches, grey for tinting."""
    y, x = np.mgrid[0:TILE, 0:TILE]
    stitches = np.abs((x % 32) - 16) / 16 + ((y + np.abs((x % 32) - 16)) % 22) / 22
    return 0.5 * stitches + 0.15 * noise(rng, 90)


def woven(rng: np.random.Generator, look: Look) -> Share:
    """Linen: a coarse even weave, natural in colour."""
    y, x = np.mgrid[0:TILE, 0:TILE]
    cloth = 0.5 + 0.28 * np.sin(x * 0.8) * 1.0 + 0.28 * np.sin(y * 0.8)
    return 0.7 * cloth + 0.3 * noise(rng, 40)


def checked(rng: np.random.Generator, look: Look) -> Share:
    """Cotton: a gingham check, grey for tinting."""
    y, x = np.mgrid[0:TILE, 0:TILE] // 20 % 2
    return (x + y) / 2 * 0.8 + 0.08 * noise(rng, 120)


def shining(rng: np.random.Generator, look: Look) -> Share:
    """Silk: broad soft reflections along the folds, grey for tinting."""
    x = np.linspace(0, 9 * np.pi, TILE, dtype=np.float32)[None, :]
    return 0.5 + 0.5 * np.sin(x + 5 * noise(rng, 4))


def piled(rng: np.random.Generator, look: Look) -> Share:
    """Velvet: deep, with a soft bloom, grey for tinting."""
    return 0.4 + 0.5 * noise(rng, 6) + 0.25 * (noise(rng, 240) - 0.5)


def pebbled(rng: np.random.Generator, look: Look) -> Share:
    """Leather: a grain of small cells."""
    cells = np.abs(noise(rng, 70) - 0.5) * 2
    return 0.55 * cells + 0.5 * noise(rng, 5)


def laid(rng: np.random.Generator, look: Look) -> Share:
    """Paper: nearly white, faint lines."""
    y = np.arange(TILE, dtype=np.float32)[:, None]
    return 0.15 * (np.sin(y * 0.7) > 0.6) + 0.6 * noise(rng, 5)


TEXTURES: dict[str, Callable[[np.random.Generator, Look], Share]] = {
    "metal": metal, "corroded": corroded, "wood": wood, "speckled": speckled, "glazed": glazed, "veined": veined,
    "streaked": streaked, "cloudy": cloudy, "knitted": knitted, "woven": woven, "checked": checked,
    "shining": shining, "piled": piled, "pebbled": pebbled, "laid": laid,
}  # fmt: skip


@lru_cache(maxsize=2 * len(LOOKS))
def tile(name: str, seed: int) -> np.ndarray:
    """The texture of a material, uint8."""
    look = LOOKS[name]
    share = TEXTURES[look.texture](np.random.default_rng([seed, list(LOOKS).index(name)]), look).clip(0, 1)[..., None]
    return (rgb(look.light) * (1 - share) + rgb(look.dark) * share).astype(np.float32).clip(0, 255).astype(np.uint8)


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
