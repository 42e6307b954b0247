"""TIFF files by tifffile: every sample format of TIFF 6.0 and BigTIFF, as 8-bit pictures."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage

from pipeline.images.formats.colour import lab_to_srgb, to_srgb
from pipeline.images.formats.exif import ORIENTATION, xmp_orientation

XMP, ICC_PROFILE, EXTRA_SAMPLES = 700, 34_675, 338
ASSOCIATED, UNASSOCIATED = 1, 2  # kinds of extra samples (TIFF 6.0, section 18)
GREY = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MASK)
JPEG_IN_TIFF = {7, 34_892}
COLOURS: dict[int, int] = {PHOTOMETRIC.RGB: 3, PHOTOMETRIC.YCBCR: 3, PHOTOMETRIC.SEPARATED: 4, PHOTOMETRIC.PALETTE: 1}
MOST_BYTES = 64  # of a pixel, decoded; RGB and opacity as doubles have 32
MOST_PAGES = 1_000
LARGEST_TILE = 1 << 24  # px; beyond it a tile may not be larger than the picture
ROWS_AT_ONCE = 1 << 20  # samples that are scaled at a time, to save memory


class UnreadTiff(ValueError):
    """The file is a TIFF of a kind that is not read here."""


@dataclass(frozen=True)
class Tiff:
    """The first page of a TIFF file."""

    page: TiffPage
    width: int  # px
    height: int  # px
    orientation: int
    profile: bytes | None
    size: int  # bytes of the file

    @property
    def cut(self) -> bool:
        """Whether pixels lie behind the end of the file."""
        return any(start + length > self.size for start, length in _segments(self.page))

    def picture(self) -> Image.Image:
        """The pixels in 8 bits, decoded now. Raises UnreadTiff for pixels that only Pillow may know."""
        page = self.page
        _check(page)
        if self.cut or not all(start and length for start, length in _segments(page)):
            raise UnreadTiff("the file is truncated, or a part of its pixels was never written")
        samples = _interleaved(page)
        kinds = _extra_samples(page, samples.shape[2])
        colours = samples.shape[2] - len(kinds)
        alpha = next((place for place, kind in enumerate(kinds) if kind in (ASSOCIATED, UNASSOCIATED)), None)
        shown = _colours(page, samples[:, :, :colours])
        if alpha is None:
            return shown
        opacity = Image.fromarray(_eight_bits(page, samples[:, :, colours + alpha]))
        if kinds[alpha] == ASSOCIATED and shown.mode in ("L", "RGB"):
            return _divided(shown, opacity)
        if shown.mode == "CMYK":  # has no transparency in Pillow
            shown = to_srgb(shown, self.profile).convert("RGB")
        shown.putalpha(opacity)
        return shown


def read_header(data: bytes) -> Tiff:
    """The first page, not decoded yet. Raises UnreadTiff for a volume, or a page without pixels."""
    page: Any = TiffFile(io.BytesIO(data)).pages[0]
    if page.imagedepth != 1 or not page.dataoffsets:
        raise UnreadTiff("a volume, or a page without pixels")
    if not isinstance(page.imagewidth, int) or not isinstance(page.imagelength, int):
        raise UnreadTiff("a size that is no number")
    profile, orientation, xmp = (_value(page, tag) for tag in (ICC_PROFILE, ORIENTATION, XMP))
    if isinstance(orientation, bytes) and len(orientation) == 1:
        orientation = orientation[0]
    turned = orientation if isinstance(orientation, int) else xmp_orientation(_bytes(xmp) or b"")
    return Tiff(page, page.imagewidth, page.imagelength, int(turned), _bytes(profile), len(data))


def pixel_bytes(data: bytes) -> list[tuple[int, int]]:
    """Where the pixels of the pages lie in the file: (start, end)."""
    pages = TiffFile(io.BytesIO(data)).pages
    places = []
    for number, page in enumerate(pages):
        if number == MOST_PAGES:
            break
        if isinstance(page, TiffPage):
            places += [(start, start + length) for start, length in _segments(page)]
    return places


def _value(page: TiffPage, tag: int) -> Any:
    found = page.tags.get(tag)
    return None if found is None else found.value


def _bytes(value: Any) -> bytes | None:
    """A tag of type UNDEFINED, BYTE or ASCII."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    try:
        return bytes(value) if isinstance(value, bytes | tuple) else None
    except (TypeError, ValueError):
        return None


def _segments(page: TiffPage) -> list[tuple[int, int]]:
    """Start and length of the strips or tiles."""
    return list(zip(page.dataoffsets, page.databytecounts, strict=False))


def _check(page: TiffPage) -> None:
    """Raises UnreadTiff for what tifffile would decode to wrong pixels, or to far too many."""
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression not in JPEG_IN_TIFF:
        raise UnreadTiff("YCbCr without JPEG")
    pixels = page.imagewidth * page.imagelength
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    if page.samplesperpixel * bits > MOST_BYTES * 8:
        raise UnreadTiff(f"{page.samplesperpixel} samples of {bits} bits")
    if page.is_tiled and page.tilewidth * page.tilelength > max(LARGEST_TILE, pixels):
        raise UnreadTiff(f"tiles of {page.tilewidth} x {page.tilelength} px")
    if not page.is_contiguous and len(page.dataoffsets) < int(np.prod(page.chunked, dtype=np.int64)):
        raise UnreadTiff("strips or tiles are missing")


def _extra_samples(page: TiffPage, samples: int) -> tuple[int, ...]:
    """What the samples behind the colours are. Where the tag is missing, one sample too many is opacity."""
    if EXTRA_SAMPLES in page.tags:
        return tuple(int(kind) for kind in page.extrasamples)
    colours = 1 if page.photometric in GREY else COLOURS.get(page.photometric, 3)
    return (UNASSOCIATED,) if samples == colours + 1 else (0,) * max(samples - colours, 0)


def _divided(colours: Image.Image, opacity: Image.Image) -> Image.Image:
    """Colours that were multiplied by the opacity, as they are on their own."""
    if colours.mode == "L":
        return Image.merge("RGBa", (colours, colours, colours, opacity)).convert("RGBA").convert("LA")
    return Image.merge("RGBa", (*colours.split(), opacity)).convert("RGBA")


def _interleaved(page: TiffPage) -> NDArray[Any]:
    """The samples as height x width x samples."""
    samples = page.asarray(maxworkers=1)
    if page.samplesperpixel > 1 and page.planarconfig == PLANARCONFIG.SEPARATE:
        samples = np.moveaxis(samples, 0, -1)
    return samples.reshape(page.imagelength, page.imagewidth, -1)


def _colours(page: TiffPage, samples: NDArray[Any]) -> Image.Image:
    kind = page.photometric
    if kind in GREY:
        grey = _eight_bits(page, samples[:, :, 0])
        return Image.fromarray(255 - grey if kind == PHOTOMETRIC.MINISWHITE else grey)
    if kind == PHOTOMETRIC.PALETTE and page.colormap is not None:
        return Image.fromarray(_palette(page.colormap)[samples[:, :, 0].astype(np.uint16, copy=False)])
    if kind in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and samples.shape[2] >= 3:  # tifffile decodes JPEG's YCbCr to RGB
        return Image.fromarray(_eight_bits(page, samples[:, :, :3]))
    if kind == PHOTOMETRIC.SEPARATED and samples.shape[2] >= 4:
        return Image.frombytes(
            "CMYK", (page.imagewidth, page.imagelength), _eight_bits(page, samples[:, :, :4]).tobytes()
        )
    if kind in (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB) and samples.shape[2] >= 3:
        return lab_to_srgb(_lab(page, samples[:, :, :3]))
    raise UnreadTiff(f"photometric interpretation {kind}")


def _eight_bits(page: TiffPage, samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Samples over their whole range as 0 to 255; fractions run from 0 to 1, or to their largest value above it."""
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    bits = samples.dtype.itemsize * 8 if not isinstance(page.bitspersample, int) else page.bitspersample
    if samples.dtype == np.uint8 and bits == 8:
        return np.ascontiguousarray(samples)
    if samples.dtype.kind == "u" and bits <= 16:
        levels = np.rint(np.minimum(np.arange(1 << 8 * samples.dtype.itemsize) * (255 / ((1 << bits) - 1)), 255))
        return levels.astype(np.uint8)[samples]
    low, top = (0.0, 1.0) if samples.dtype.kind == "f" else (0.0, float((1 << bits) - 1))
    if samples.dtype.kind == "f":
        top = max(float(np.max(samples, initial=1.0, where=np.isfinite(samples))), 1.0)
    elif samples.dtype.kind == "i":
        low = -float(1 << (bits - 1))
    scaled = np.empty(samples.shape, np.uint8)
    step = max(1, ROWS_AT_ONCE // max(1, samples[0].size))
    for row in range(0, len(samples), step):
        part = np.nan_to_num(samples[row : row + step].astype(np.float64), nan=0.0, posinf=top, neginf=low)
        scaled[row : row + step] = np.rint(((part - low) * (255 / top)).clip(0, 255))
    return scaled


def _palette(colormap: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours x RGB; old writers let them run to 255 instead of 65,535, and libtiff reads both."""
    colours = np.asarray(colormap).T
    return np.ascontiguousarray(colours if colours.max() <= 255 else colours >> 8).astype(np.uint8)


def _lab(page: TiffPage, samples: NDArray[Any]) -> Image.Image:
    """L* from 0 to 255, a* and b* signed, as Pillow reads them. ICCLAB stores a* and b* plus 128."""
    values = samples if page.bitspersample == 8 else samples >> (int(page.bitspersample) - 8)
    values = values.astype(np.uint8)
    if page.photometric == PHOTOMETRIC.ICCLAB:
        values = values ^ np.array([0, 128, 128], np.uint8)
    return Image.frombytes("LAB", (page.imagewidth, page.imagelength), np.ascontiguousarray(values).tobytes())
