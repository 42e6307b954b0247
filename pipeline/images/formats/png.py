"""PNG files reduced to what decides their pixels, because Pillow gives up where a chunk beside them is damaged.

Chunks: the PNG specification, third edition.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.images.formats.exif import orientation_of, raw_profile, xmp_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_TEXT = 1 << 20  # bytes of metadata, decompressed; EXIF data have at most 64 KB
LARGEST_PROFILE = 4 << 20
GREY, TRUE_COLOUR, PALETTE, GREY_AND_OPACITY = 0, 2, 3, 4
# How long a valid tRNS chunk is by colour type (section 11.3.1.1): shortest and longest.
TRANSPARENCY = {GREY: (2, 2), TRUE_COLOUR: (6, 6), PALETTE: (1, 256)}
SEARCHED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
RAW_PROFILES = (b"raw profile type exif", b"raw profile type app1")
XMP = b"XML:com.adobe.xmp"


@dataclass
class Png:
    """A PNG file with its critical chunks alone, and the metadata that matter for its pixels."""

    data: bytes = b""
    depth: int = 8  # bits of a sample
    colour_type: int = -1
    orientation: int | None = None
    xmp_orientation: int = 1
    profile: bytes | None = None
    key: tuple[int, ...] | None = None  # the grey level or colour that is transparent


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    start: int
    end: int
    sound: bool  # the checksum is right


def reduced(data: bytes) -> Png:
    """The still picture of a PNG file. What follows the last chunk that can be read stays, for the decoder to judge."""
    png, view, place, last = Png(), memoryview(data), len(SIGNATURE), b""
    parts = [view[:place]]
    for chunk in _chunks(data):
        body = data[chunk.start + 8 : chunk.end - 4] if chunk.kind != b"IDAT" else b""
        if _decides(png, chunk, body):
            parts.append(view[chunk.start : chunk.end])
        elif chunk.sound:
            _read_metadata(png, chunk.kind, body)
        place, last = chunk.end, chunk.kind
    if last != b"IEND":
        parts.append(view[place:])
    png.data = b"".join(parts)
    return png


def pixel_bytes(data: bytes) -> list[tuple[int, int]]:
    """Where the compressed pixels lie in the file: (start, end)."""
    return [(chunk.start + 8, chunk.end - 4) for chunk in _chunks(data) if chunk.kind == b"IDAT"]


def with_key(picture: Image.Image, png: Png) -> Image.Image:
    """The decoded picture with transparency where its pixels have the grey level or the colour that tRNS names."""
    if png.colour_type == GREY_AND_OPACITY:  # Pillow makes colours of sixteen bits, to which no grey profile applies
        return picture.convert("LA")
    if png.key is None:
        return picture
    key = np.array(png.key) & ((1 << png.depth) - 1)  # section 11.3.1.1: other bits are masked
    if png.depth < 8:
        key = key * 255 // ((1 << png.depth) - 1)
    samples = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    if png.colour_type == TRUE_COLOUR and png.depth == 16:  # Pillow gives the upper bytes alone
        import imagecodecs  # slow to import, and seldom needed

        samples = imagecodecs.png_decode(png.data)
    opaque = (samples.reshape(picture.height, picture.width, -1) != key).any(axis=2)
    alpha = Image.fromarray(opaque.astype(np.uint8) * np.uint8(255))
    if png.depth == 16 and png.colour_type == GREY:
        picture = Image.fromarray((samples >> 8).astype(np.uint8))
    layered = picture.convert("LA" if png.colour_type == GREY else "RGBA")
    layered.putalpha(alpha)
    return layered


def inflated(data: bytes, most: int) -> bytes | None:
    """The decompressed bytes; None if they are damaged, cut or more than `most`."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, most)
    except zlib.error:
        return None
    return plain if stream.eof else None


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks up to IEND. Behind one of wrong length the next critical chunk that is sound is searched for."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        chunk = _chunk_at(data, place)
        ancillary = bool(data[place + 4] & 0x20)
        if (chunk is None or not chunk.sound) and ancillary and not (chunk and _may_follow(data, chunk.end)):
            found = _next_sound(data, place + 4)
            if found is None:
                return
            place = found
            continue
        if chunk is None:
            return
        yield chunk
        place = chunk.end
        if chunk.kind == b"IEND":
            return


def _chunk_at(data: bytes, place: int) -> _Chunk | None:
    if place < 0 or place + 12 > len(data):
        return None
    (length,) = struct.unpack_from(">L", data, place)
    end = place + 12 + length
    if end > len(data):
        return None
    sound = zlib.crc32(memoryview(data)[place + 4 : end - 4]) == struct.unpack_from(">L", data, end - 4)[0]
    return _Chunk(data[place + 4 : place + 8], place, end, sound)


def _may_follow(data: bytes, place: int) -> bool:
    """Whether another chunk begins there, by its name."""
    return data[place + 4 : place + 8].isalpha()


def _next_sound(data: bytes, place: int) -> int | None:
    found = [at for kind in SEARCHED if (at := data.find(kind, place)) >= 0]
    starts = (at - 4 for at in sorted(found))
    return next((start for start in starts if (chunk := _chunk_at(data, start)) and chunk.sound), None)


def _decides(png: Png, chunk: _Chunk, body: bytes) -> bool:
    """Whether the decoder needs the chunk: the critical ones, and the transparency of a palette."""
    if chunk.kind == b"IHDR" and len(body) == 13:
        png.depth, png.colour_type = body[8], body[9]
    if chunk.kind == b"PLTE":
        return png.colour_type == PALETTE  # elsewhere it only suggests colours
    if chunk.kind == b"tRNS" and chunk.sound:
        least, most = TRANSPARENCY.get(png.colour_type, (1, 0))
        if png.colour_type == PALETTE:
            return least <= len(body) <= most
        if least <= len(body) <= most:
            png.key = struct.unpack(f">{len(body) // 2}H", body)
    return not chunk.kind[0] & 0x20


def _read_metadata(png: Png, kind: bytes, body: bytes) -> None:
    if kind == b"iCCP":
        png.profile = png.profile or _profile(body)
    elif kind == b"eXIf" and png.orientation is None:
        png.orientation = orientation_of(body)
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        keyword, _, text = body.partition(b"\0")
        if keyword == XMP and kind == b"iTXt" and len(text) <= LARGEST_TEXT:
            png.xmp_orientation = xmp_orientation(text)
        if keyword.lower() in RAW_PROFILES and png.orientation is None:
            if kind == b"zTXt":
                text = (inflated(text[1:], LARGEST_TEXT) if text[:1] == b"\0" else None) or b""
            if len(text) <= LARGEST_TEXT:
                png.orientation = orientation_of(raw_profile(text.decode("latin-1")))


def _profile(body: bytes) -> bytes | None:
    name, separator, rest = body.partition(b"\0")
    if not separator or not 1 <= len(name) <= 79 or rest[:1] != b"\0":
        return None
    return inflated(rest[1:], LARGEST_PROFILE)
