"""Pictures as phones and scanners give them: each distortion is a pure function of a picture and a seeded generator."""

import io
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter, ImageOps

# All strengths are ours; docs/experiments/robustness.md has what they cost.
JPEG_QUALITY = 30  # of messengers and web galleries
BLUR = 0.01  # radius of the blur, of the short side: hands that shook, a focus that missed
CROP = 0.7  # of both sides: half of the area
LAMP = (1.25, 1.0, 0.75)  # factors of red, green and blue under a warm lamp; reversed, in shade
FRAME, WOOD = 0.06, (94, 70, 48)  # width, of the short side, and colour
RULER, TICKS = 0.1, 50  # height, of the short side, and divisions

Distortion = Callable[[Image.Image, random.Random], Image.Image]


def jpeg(picture: Image.Image, _: random.Random) -> Image.Image:
    """Compressed with quality 30."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return Image.open(file).convert("RGB")


def blur(picture: Image.Image, _: random.Random) -> Image.Image:
    """Out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(BLUR * min(picture.size)))


def grey(picture: Image.Image, _: random.Random) -> Image.Image:
    """Without colours."""
    return picture.convert("L").convert("RGB")


def crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A part of both sides, anywhere."""
    width, height = (max(1, round(CROP * side)) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def rotation(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Turned by 90°, to the left or to the right."""
    return picture.transpose(rng.choice((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)))


def colour_cast(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Under a warm lamp or in shade, without a white balance."""
    factors = rng.choice((LAMP, LAMP[::-1]))
    return picture.point([min(255, round(value * factor)) for factor in factors for value in range(256)])


def frame(picture: Image.Image, _: random.Random) -> Image.Image:
    """In a wooden frame, with a ruler below it."""
    short = min(picture.size)
    framed = ImageOps.expand(picture, max(1, round(FRAME * short)), WOOD)
    ruler = max(1, round(RULER * short))
    shown = Image.new("RGB", (framed.width, framed.height + ruler), "white")
    shown.paste(framed, (0, 0))
    drawn = ImageDraw.Draw(shown)
    for tick in range(TICKS + 1):
        at = round(tick * (framed.width - 1) / TICKS)
        length = ruler // 2 if tick % 10 == 0 else ruler // 4
        drawn.line([(at, framed.height), (at, framed.height + length)], fill="black")
    return shown


UNDISTORTED = "undistorted"
DISTORTIONS: dict[str, Distortion] = {
    "jpeg": jpeg,
    "blur": blur,
    "grey": grey,
    "crop": crop,
    "rotation": rotation,
    "colour_cast": colour_cast,
    "frame": frame,
}


def distorted(picture: Image.Image, name: str, key: str) -> Image.Image:
    """The picture, RGB, under the distortion of that name; `key` names the picture and decides what is random.

    `undistorted` leaves it as it is. Raises KeyError for another name.
    """
    shown = picture.convert("RGB")
    if name == UNDISTORTED:
        return shown
    return DISTORTIONS[name](shown, random.Random(f"{name} {key}"))  # noqa: S311
