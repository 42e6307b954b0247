"""From the bytes of a picture to its pixels: upright, in sRGB, on white where it was transparent."""

import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from PIL import Image, ImageFile, TiffImagePlugin

from pipeline.images.formats import jpeg, png
from pipeline.images.formats.colour import to_srgb
from pipeline.images.formats.exif import as_stored, orientation_of, upright, xmp_orientation

EDGE = 1024  # bytes
TIFFFILE_LOG = logging.getLogger("tifffile")


class Unreadable(ValueError):
    """The picture cannot be opened or decoded; `truncated` says that its end is missing."""

    def __init__(self, detail: str, *, truncated: bool = False) -> None:
        super().__init__(detail)
        self.truncated = truncated


@dataclass(frozen=True)
class Opened:
    """A picture whose header was read; nothing is decoded yet."""

    kind: str  # JPEG, PNG, WEBP, TIFF or GIF
    data: bytes
    width: int  # px, as stored
    height: int  # px, as stored
    orientation: int  # EXIF's, 1 to 8
    profile: bytes | None  # ICC's
    decode: Callable[[int], Image.Image]  # the stored pixels in 8 bits; short side may be scaled down to that many px

    def picture(self, wanted: int) -> Image.Image:
        """The first frame as people see it, RGB; a JPEG may come smaller, with a short side of `wanted` px or more.

        Raises Unreadable.
        """
        pixels = _decoding(lambda: self.decode(wanted))
        return _decoding(lambda: upright(_on_white(to_srgb(pixels, self.profile)), self.orientation))


def open_picture(data: bytes, kind: str) -> Opened:
    """The picture with its header read. Raises Unreadable for a damaged header."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # the caller checks the size before anything is decoded
    with _quiet():
        try:
            return _OPENERS.get(kind, _with_pillow)(data, kind)
        except (Unreadable, MemoryError):
            raise
        except Exception as error:  # decoders raise errors of nearly every class for damaged headers
            raise Unreadable(f"{type(error).__name__}: {error}") from error


def edges(data: bytes, kind: str) -> bytes:
    """The first and the last kilobyte as far as they are not pixels: where a page or a script would hide."""
    start, tail = data[:EDGE], data[-EDGE:]
    if kind == "JPEG" and (found := tail.rfind(jpeg.END)) >= 0:
        tail = tail[found:]
    if kind in ("TIFF", "PNG"):
        pixels = _pixel_bytes(data, kind)
        start, tail = _without(pixels, 0, start), _without(pixels, len(data) - len(tail), tail)
    return start + b"\n" + tail


def _pixel_bytes(data: bytes, kind: str) -> list[tuple[int, int]]:
    if kind == "PNG":
        return png.pixel_bytes(data)
    from pipeline.images.formats import tiff  # with tifffile, which is slow to import

    try:
        with _quiet():
            return tiff.pixel_bytes(data)
    except Exception:  # a damaged header is reported when the picture is opened
        return []


def _without(pixels: list[tuple[int, int]], offset: int, part: bytes) -> bytes:
    kept = bytearray(part)
    for start, stop in pixels:
        first, last = max(start - offset, 0), min(stop - offset, len(part))
        if first < last:
            kept[first:last] = bytes(last - first)
    return bytes(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and log lines of Pillow and tifffile about odd metadata; unreadable files raise."""
    before = TIFFFILE_LOG.level
    TIFFFILE_LOG.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        TIFFFILE_LOG.setLevel(before)


def _decoding(action: Callable[[], Image.Image]) -> Image.Image:
    with _quiet():
        try:
            return action()
        except (Unreadable, MemoryError):
            raise
        except Exception as error:  # as above: the decoders' errors have no common class
            raise Unreadable(f"{type(error).__name__}: {error}", truncated="truncated" in str(error).lower()) from error


def _with_pillow(data: bytes, kind: str) -> Opened:
    TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader knows no chrominance of fewer samples
    picture = Image.open(io.BytesIO(data), formats=(kind,))
    exif, xmp = picture.info.get("exif"), picture.info.get("xmp")
    orientation = orientation_of(exif) if isinstance(exif, bytes) else None
    turned = orientation or xmp_orientation(xmp if isinstance(xmp, bytes) else b"")

    def decode(wanted: int) -> Image.Image:
        picture.load()
        return _in_eight_bits(picture)

    width, height = picture.size
    return Opened(kind, data, width, height, turned, picture.info.get("icc_profile"), decode)


def _open_jpeg(data: bytes, kind: str) -> Opened:
    reduced = jpeg.reduced(data)
    picture = _jpeg(reduced.data)

    def decode(wanted: int) -> Image.Image:
        try:
            return _scaled_down(picture, wanted)
        except OSError as error:
            if "truncated" not in str(error) or not jpeg.has_all_scans(reduced.data):
                raise
            closed = jpeg.closed(reduced.data)
            # At full size, where every coefficient counts; digests, so that only one picture is held at a time.
            if len({hashlib.sha256(_jpeg(each).tobytes()).digest() for each in closed}) > 1:
                raise
            return _scaled_down(_jpeg(closed[0]), wanted)

    width, height = picture.size
    return Opened(kind, data, width, height, reduced.orientation, reduced.profile, decode)


def _jpeg(data: bytes) -> Any:
    return Image.open(io.BytesIO(data), formats=("JPEG",))


def _scaled_down(picture: Any, wanted: int) -> Image.Image:
    """The JPEG at 1/2, 1/4 or 1/8 where that leaves `wanted` px or more: libjpeg scales while it decodes."""
    picture.draft(picture.mode, (wanted, wanted))
    picture.load()
    return picture


def _open_png(data: bytes, kind: str) -> Opened:
    reduced = png.reduced(data)
    picture = Image.open(io.BytesIO(reduced.data), formats=(kind,))

    def decode(wanted: int) -> Image.Image:
        picture.load()
        return _in_eight_bits(png.with_key(picture, reduced))

    turned = reduced.orientation or reduced.xmp_orientation
    width, height = picture.size
    return Opened(kind, data, width, height, turned, reduced.profile, decode)


def _open_tiff(data: bytes, kind: str) -> Opened:
    """By tifffile; what it does not read goes to Pillow's libtiff."""
    from pipeline.images.formats import tiff  # with tifffile, which is slow to import

    try:
        header = tiff.read_header(data)
    except MemoryError:
        raise
    except Exception:  # tifffile's errors have no common class either; Pillow says what is wrong
        return replace(_with_pillow(data, kind), orientation=1)  # it turns TIFFs while it loads them

    def decode(wanted: int) -> Image.Image:
        try:
            return header.picture()
        except MemoryError:
            raise
        except Exception as error:
            try:
                picture = _with_pillow(data, kind).decode(wanted)
            except MemoryError:
                raise
            except Exception:
                raise Unreadable(f"{type(error).__name__}: {error}", truncated=header.cut) from error
            return as_stored(picture, header.orientation)  # turned by Pillow, as above

    return Opened(kind, data, header.width, header.height, header.orientation, header.profile, decode)


_OPENERS: dict[str, Callable[[bytes, str], Opened]] = {"JPEG": _open_jpeg, "PNG": _open_png, "TIFF": _open_tiff}


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return _scaled(picture, 65_535)
    if picture.mode in ("I", "F"):
        low, high = cast(tuple[float, float], picture.getextrema())
        return _scaled(picture, 65_535 if picture.mode == "I" and low >= 0 and high > 255 else max(high, 1.0))
    return picture


def _scaled(picture: Image.Image, top: float) -> Image.Image:
    """Grey values 0 to `top` as 0 to 255."""
    return picture.convert("F").point(lambda value: value * (255.0 / top)).convert("L")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")
