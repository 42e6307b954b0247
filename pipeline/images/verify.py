"""Whether bytes are a picture, and the picture as this dataset keeps it. Runs in a worker that may die."""

import io
import struct
import warnings
from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageFile, ImageOps

# What may be decoded; nothing else is opened, whatever its name or content type says.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF")

# Things that come back instead of a picture, told by their first bytes.
OTHER_CONTENT = (
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "archive"),
    (b"BM", "unsupported_format"),
    (b"8BPS", "unsupported_format"),
    (b"\x00\x00\x00\x0cjP  ", "unsupported_format"),
    (b"\xff\x4f\xff\x51", "unsupported_format"),
    (b"\x00\x00\x01\x00", "unsupported_format"),
    (b"{", "json"),
)
SCRIPTS = (b"<script", b"<html", b"<!doctype html", b"<?php", b"<svg")
LONGEST_JPEG_SIDE = 65_500
HASH_SIDE = 8
MINIATURE = 32
FLAT_RANGE = 6  # grey levels between the darkest and lightest pixel of an empty picture
PLACEHOLDER_COLOURS = 64  # an icon has few colours (Europeana's have 6), a photograph thousands
PLACEHOLDER_SHARE = 0.6  # and most of it is background


class Rejected(ValueError):
    """Bytes that never become an image of the dataset; `reason` is the typed reason of the ledger."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What may be decoded and how it is kept (settings.images)."""

    short_side: int
    min_short_side: int
    jpeg_quality: int
    max_pixels: int


@dataclass(frozen=True)
class Picture:
    """A picture as the dataset keeps it."""

    jpeg: bytes  # RGB, short side at most `short_side`, never enlarged, without any metadata
    width: int  # px, of the stored picture
    height: int  # px
    perceptual_hash: int  # 64-bit dHash
    miniature: bytes  # MINIATURE x MINIATURE grey levels, row by row


def verify(data: bytes, limits: Limits, *, may_be_placeholder: bool = False) -> Picture:
    """The picture in the bytes, re-encoded; raises Rejected with a typed reason.

    `may_be_placeholder`: the answer came from a service that sends an icon in place of a missing picture, so a
    picture that looks like an icon is refused too.
    """
    kind = sniff(data)
    refuse_polyglot(data, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what cannot be read raises
        picture = upright_rgb(opened(data, kind, limits), limits)
    if may_be_placeholder and looks_like_icon(picture):
        raise Rejected("placeholder", "few colours, mostly background")
    if is_flat(picture):
        raise Rejected("flat", "one colour all over")
    small = shrunk(picture, limits.short_side)
    grey = small.convert("L")
    return Picture(encoded(small, limits.jpeg_quality), *small.size, difference_hash(grey), miniature(grey))


def sniff(data: bytes) -> str:
    """The format by magic bytes, one of FORMATS; raises Rejected for anything else."""
    if not data:
        raise Rejected("empty")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    raise Rejected(_what_else(data), "magic bytes")


def _what_else(data: bytes) -> str:
    for magic, reason in OTHER_CONTENT:
        if data.startswith(magic):
            return reason
    if data[4:8] == b"ftyp":
        return "unsupported_format"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "svg"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<")):
        return "xml" if start.startswith(b"<?xml") else "html"
    return "not_an_image"


def refuse_polyglot(data: bytes, kind: str) -> None:
    """Refuse a picture that is at the same time a page, a script, a PDF or an archive."""
    ends = data[:1024].lower() + b"\n" + data[-1024:].lower()
    if any(script in ends for script in SCRIPTS) or b"%PDF-" in data[:1024]:
        raise Rejected("polyglot", f"{kind} and a page or a script")
    archive = data.rfind(b"PK\x05\x06", -66_000)
    if archive >= 0 and len(data) >= archive + 22:
        (comment,) = struct.unpack("<H", data[archive + 20 : archive + 22])
        if archive + 22 + comment == len(data):
            raise Rejected("polyglot", f"{kind} and an archive")


def opened(data: bytes, kind: str, limits: Limits) -> Image.Image:
    """The first frame, its header checked, nothing decoded yet."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # the check below is stricter, and ours to word
    try:
        picture = Image.open(io.BytesIO(data), formats=(kind,))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly everything on damaged headers
        raise Rejected("broken_header", f"{type(error).__name__}: {error}") from error
    width, height = picture.size
    if width < 1 or height < 1:
        raise Rejected("broken_header", f"{width} x {height} px")
    if width * height > limits.max_pixels:
        raise Rejected("too_many_pixels", f"{width} x {height} px")
    if min(width, height) < limits.min_short_side:
        raise Rejected("too_small", f"{width} x {height} px")
    if max(width, height) * min(1.0, limits.short_side / min(width, height)) > LONGEST_JPEG_SIDE:
        raise Rejected("too_long", f"{width} x {height} px")
    return picture


def upright_rgb(picture: Image.Image, limits: Limits) -> Image.Image:
    """The picture fully decoded, turned as its EXIF says, on white where it was transparent, 8-bit RGB."""
    try:
        if picture.format == "JPEG":
            # libjpeg scales while decoding; twice the target leaves the final filter its say.
            picture.draft(picture.mode, (limits.short_side * 2, limits.short_side * 2))
        picture.load()
        return _rgb(ImageOps.exif_transpose(picture))
    except MemoryError:
        raise
    except Exception as error:  # as above: the decoders' errors have no common class
        reason = "truncated" if "truncated" in str(error).lower() else "decode_failed"
        raise Rejected(reason, f"{type(error).__name__}: {error}") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return _eight_bits(picture, 65_535).convert("RGB")
    if picture.mode in ("I", "F"):
        low, high = cast(tuple[float, float], picture.getextrema())
        top = 65_535 if picture.mode == "I" and low >= 0 and high > 255 else max(high, 1.0)
        return _eight_bits(picture, top).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image, top: float) -> Image.Image:
    """Grey values 0 to `top` as 0 to 255."""
    return picture.convert("F").point(lambda value: value * (255.0 / top)).convert("L")


def shrunk(picture: Image.Image, short_side: int) -> Image.Image:
    """The picture with its short side at most `short_side` px; never enlarged.

    Hamming's filter: every pixel counts, as with Lanczos', in half the time, without its ringing beside edges.
    """
    shortest = min(picture.size)
    if shortest <= short_side:
        return picture
    width, height = (max(1, round(side * short_side / shortest)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.HAMMING, reducing_gap=3.0)


def encoded(picture: Image.Image, quality: int) -> bytes:
    """Baseline JPEG without metadata; equal pixels give equal bytes."""
    out = io.BytesIO()
    clean = picture.copy()
    clean.info = {}  # from which Pillow takes the comment
    clean.save(out, "JPEG", quality=quality)
    return out.getvalue()


def difference_hash(picture: Image.Image) -> int:
    """64-bit dHash: whether each of 8 x 8 grey fields is darker than its right neighbour, first field highest bit."""
    grey = picture.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(HASH_SIDE):
        start = row * (HASH_SIDE + 1)
        for column in range(start, start + HASH_SIDE):
            bits = bits << 1 | (grey[column] < grey[column + 1])
    return bits


def miniature(picture: Image.Image) -> bytes:
    """The whole picture as MINIATURE x MINIATURE grey levels, row by row, whatever its shape."""
    return picture.convert("L").resize((MINIATURE, MINIATURE), Image.Resampling.BOX).tobytes()


def is_flat(picture: Image.Image) -> bool:
    """Whether nothing is to be seen: hardly any difference between any two pixels."""
    return all(high - low < FLAT_RANGE for low, high in cast(tuple[tuple[int, int], ...], picture.getextrema()))


def looks_like_icon(picture: Image.Image) -> bool:
    """Whether a picture has so few colours, one of them nearly everywhere, as only drawn icons have."""
    colours = picture.getcolors(PLACEHOLDER_COLOURS)
    if colours is None:  # more than that
        return False
    return max(count for count, _ in colours) >= PLACEHOLDER_SHARE * picture.width * picture.height
