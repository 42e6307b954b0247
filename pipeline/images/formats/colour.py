"""Colours as sRGB: what an ICC profile says of a picture is applied to its pixels."""

import io
from functools import lru_cache

from PIL import Image, ImageCms

# The profile's colour space (ICC.1, section 7.2.6), by Pillow's mode; a profile of another space does not apply.
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
LARGEST_PROFILE = 4 << 20  # bytes; profiles of printing presses have up to 3 MB
SAME = 2  # a profile whose colours differ less from sRGB's, of 255, changes nothing that is seen
STEPS = tuple(range(0, 256, 51))


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture's colours as sRGB, by relative colorimetric intent; transparency is kept.

    A profile that is damaged, or of another colour space than the picture's, leaves the pixels as they are.
    """
    if not profile or len(profile) > LARGEST_PROFILE:
        return picture
    colours, alpha = _separated(picture)
    transform = _transform(profile, colours.mode)
    if transform is None:
        return picture
    converted = transform.apply(colours)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def lab_to_srgb(picture: Image.Image) -> Image.Image:
    """A picture in CIE L*a*b* of white D50, as ICC uses it, in sRGB."""
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"),
        ImageCms.createProfile("sRGB"),
        "LAB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    return transform.apply(picture)


def _separated(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours in a mode that profiles know, and the transparency."""
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA") if picture.mode not in ("LA", "RGBA") else picture
        return layer.convert("L" if layer.mode == "LA" else "RGB"), layer.getchannel("A")
    if picture.mode in ("P", "1"):
        return picture.convert("RGB" if picture.mode == "P" else "L"), None
    return picture, None


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile to sRGB; None if it does not apply, or would change nothing."""
    if mode not in SPACES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except MemoryError:
        raise
    except Exception:  # a damaged profile; LittleCMS's errors have no common class
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether colours all over the cube stay what they are: the profile is one of the many that say sRGB."""
    cube = bytes(level for red in STEPS for green in STEPS for blue in STEPS for level in (red, green, blue))
    colours = Image.frombytes("RGB", (len(cube) // 3, 1), cube)
    converted = transform.apply(colours).tobytes()
    return all(abs(before - after) <= SAME for before, after in zip(cube, converted, strict=True))
