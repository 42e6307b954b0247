"""How an image becomes a network's input: boxes, scaling while decoding, fitting as its publisher does, flips."""

import math
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[float, float, float, float]
Interpolation = Literal["bilinear", "bicubic"]
Fit = Literal["box", "shortest", "squash", "longest"]
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def decoded(picture: Image.Image, box: Box, size: tuple[int, int]) -> tuple[Image.Image, Box]:
    """The picture, RGB, and where the box lies in it, for showing the box at `size` (width, height).

    A JPEG is decoded at 1/2, 1/4 or 1/8 where that suffices. libjpeg-turbo scales while it decodes: the cost follows
    the pixels that are needed, not those that are stored.
    """
    width, height = picture.size
    left, top, right, bottom = box
    need = (math.ceil(width * size[0] / (right - left)), math.ceil(height * size[1] / (bottom - top)))
    picture.draft("RGB", need)
    across, down = picture.size[0] / width, picture.size[1] / height
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return picture, (left * across, top * down, right * across, bottom * down)


def cut(
    picture: Image.Image, box: Box, size: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> Image.Image:
    """The box of the picture at `size` (width, height), RGB."""
    picture, box = decoded(picture, box, size)
    return picture.resize(size, RESAMPLING[interpolation], box=box)


def shrunk(picture: Image.Image, short_side: int, interpolation: Interpolation = "bilinear") -> Image.Image:
    """The whole picture, RGB, with its short side at most `short_side`."""
    width, height = picture.size
    factor = min(1.0, short_side / min(width, height))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return whole(picture, size, interpolation)


def whole(picture: Image.Image, size: tuple[int, int], interpolation: Interpolation) -> Image.Image:
    """The whole picture at `size` (width, height), RGB."""
    width, height = picture.size
    return cut(picture, (0.0, 0.0, float(width), float(height)), size, interpolation)


def fitted(picture: Image.Image, view: "View") -> Image.Image:
    """The picture as timm and open_clip show it in evaluation, to the pixel: scaled first, then cut or padded.

    The sizes are rounded as torchvision's Resize and CenterCrop and timm's ResizeKeepRatio round them.
    """
    width, height = picture.size
    scaled = math.floor(view.size / view.part)
    if view.fit == "squash":
        sides = (scaled, scaled)
    elif view.fit == "longest":
        ratio = max(height / scaled, width / scaled)
        sides = (round(width / ratio), round(height / ratio))
    else:
        short, long = min(width, height), max(width, height)
        other = int(scaled * long / short)
        sides = (scaled, other) if width <= height else (other, scaled)
    return _centre(whole(picture, sides, view.interpolation), view.size, view.fill)


def _centre(picture: Image.Image, size: int, fill: tuple[float, float, float]) -> Image.Image:
    """The middle `size` x `size` pixels, padded where the picture is smaller."""
    width, height = picture.size
    if min(width, height) < size:
        left, top = max(size - width, 0) // 2, max(size - height, 0) // 2
        padded = Image.new("RGB", (max(width, size), max(height, size)), tuple(round(value) for value in fill))
        padded.paste(picture, (left, top))
        picture, (width, height) = padded, padded.size
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return picture.crop((left, top, left + size, top + size))


def random_box(width: int, height: int, rng: random.Random, scale: tuple[float, float]) -> Box:
    """A random part of the image: area in `scale`, aspect ratio in [3/4, 4/3], uniform in the logarithm.

    The same distribution as torchvision's RandomResizedCrop.get_params, which draws from torch's one global generator;
    here each draw has its own, so that a resumed run, any number of workers and any number of ranks see the same.
    """
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return (left, top, left + w, top + h)
    return central_box(width, height, 3 / 4, 4 / 3)


def central_box(width: int, height: int, least_ratio: float = 1.0, most_ratio: float = 1.0, part: float = 1.0) -> Box:
    """The largest box in the middle whose aspect ratio lies within the bounds, shrunk to `part` of its sides."""
    w = min(width, height * most_ratio) * part
    h = min(height, width / least_ratio) * part
    return ((width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2)


@dataclass(frozen=True)
class View:
    """How an image becomes the network's input: `crop_scale` None is the central crop of evaluation.

    `fit`, `part`, `interpolation` and `fill` are those of ml.models.card.ImageInput.
    """

    size: int
    crop_scale: tuple[float, float] | None = None
    flip: bool = True
    part: float = 1.0
    interpolation: Interpolation = "bilinear"
    fit: Fit = "box"
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def drawn(self, width: int, height: int, rng: random.Random) -> tuple[Box, bool]:
        """The part of a picture that a draw shows in training, and whether it is mirrored."""
        box = random_box(width, height, rng, self.crop_scale or (1.0, 1.0))
        return box, self.flip and rng.random() < 0.5

    def apply(self, picture: Image.Image, rng: random.Random) -> NDArray[np.uint8]:
        """Height x width x RGB, uint8."""
        width, height = picture.size
        sides = (self.size, self.size)
        if self.crop_scale is None and self.fit == "box":
            return np.asarray(cut(picture, central_box(width, height, part=self.part), sides, self.interpolation))
        if self.crop_scale is None:
            return np.asarray(fitted(picture, self))
        box, mirrored = self.drawn(width, height, rng)
        shown = cut(picture, box, sides, self.interpolation)
        return np.asarray(shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else shown)
