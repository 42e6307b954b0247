"""EXIF and XMP data, JPEG segments, PNG chunks and ICC profiles, written by hand."""

import struct
import zlib

import numpy as np

NUMBERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 11: "f", 12: "d"}


def exif(orientation: object = 6, kind: int = 3, *, order: str = "<", more: tuple = (), count: int = 1) -> bytes:
    """EXIF data with an orientation of that type, and `more` raw entries of (tag, type, count, four bytes)."""
    if kind in NUMBERS:
        packed = struct.pack(f"{order}{NUMBERS[kind]}", orientation)
    elif kind in (5, 10):
        packed = struct.pack(f"{order}LL", orientation * 3, 3)
    else:
        packed = bytes(orientation)
    entries = [(0x0112, kind, count, packed), *more]
    values, body = b"", b""
    for tag, number, length, value in sorted(entries):
        if len(value) > 4:
            place = 8 + 2 + 12 * len(entries) + 4 + len(values)
            values += value
            value = struct.pack(f"{order}L", place)
        body += struct.pack(f"{order}HHL", tag, number, length) + value.ljust(4, b"\0")
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)
    return start + struct.pack(f"{order}H", len(entries)) + body + bytes(4) + values


def xmp(orientation: int) -> bytes:
    """XMP data that say the orientation."""
    inner = f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
    return f"<x:xmpmeta><rdf:RDF>{inner}</rdf:RDF></x:xmpmeta>".encode()


def segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    """A JPEG segment; `length` is what it says of its length."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2 if length is None else length) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with more segments behind its first marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(kind: bytes, body: bytes, *, crc: int | None = None, length: int | None = None) -> bytes:
    """A PNG chunk; `crc` and `length` are wrong ones."""
    checksum = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">L", len(body) if length is None else length) + kind + body + struct.pack(">L", checksum)


def with_chunks(png: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """The PNG with more chunks before its first one of that kind."""
    place = png.index(before) - 4
    return png[:place] + b"".join(chunks) + png[place:]


def png_of(samples: np.ndarray, depth: int, colour_type: int, *chunks: bytes) -> bytes:
    """A PNG of the samples, height x width or height x width x channels, in that depth."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8)
    elif depth == 8:
        packed = rows.astype(np.uint8)
    else:
        bits = (rows[:, :, None].astype(np.uint8) >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1
        packed = np.packbits(bits.reshape(height, -1), axis=1)
    filtered = np.hstack([np.zeros((height, 1), np.uint8), packed])
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(filtered.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def s15(value: float) -> bytes:
    """ICC's s15Fixed16Number."""
    return struct.pack(">l", round(value * 65_536))


def profile(primaries: np.ndarray | None, gamma: float, *, space: bytes | None = None) -> bytes:
    """An ICC profile of version 2: a matrix of D50 primaries as columns and one gamma, or of grey without a matrix."""
    curve = b"curv" + bytes(4) + struct.pack(">LH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + s15(0.9642) + s15(1.0) + s15(0.8249)
    name = b"desc" + bytes(4) + struct.pack(">L", 5) + b"test\0" + bytes(78)
    tags = {b"desc": name.ljust(-(-len(name) // 4) * 4, b"\0"), b"wtpt": white, b"cprt": b"text" + bytes(4) + b"none"}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for channel, column in zip((b"r", b"g", b"b"), primaries.T, strict=True):
            tags[channel + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(map(s15, column))
            tags[channel + b"TRC"] = curve
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag + struct.pack(">LL", place + len(body), len(content))
        body += content
    colours = space or (b"GRAY" if primaries is None else b"RGB ")
    head = struct.pack(">L4sL4s4s4s", place + len(body), bytes(4), 0x0210_0000, b"mntr", colours, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + s15(0.9642) + s15(1.0) + s15(0.8249)
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + body


# Primaries of Adobe RGB (1998) and ProPhoto RGB in XYZ of D50, a column each (their specifications).
ADOBE = np.array([(0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457)])
PROPHOTO = np.array([(0.79767, 0.13519, 0.03134), (0.28804, 0.71188, 0.00009), (0.0, 0.0, 0.82511)])
FROM_XYZ = np.array([(3.13386, -1.61687, -0.49061), (-0.97877, 1.91614, 0.03345), (0.07195, -0.22899, 1.40524)])


def in_srgb(colours: tuple, primaries: np.ndarray | None, gamma: float) -> list[tuple[int, ...]]:
    """What colours of such a profile are in sRGB, by the definitions, clipped where it has no such colour."""
    linear = (np.array(colours) / 255) ** gamma
    if primaries is not None:
        linear = (FROM_XYZ @ primaries @ linear.T).T
    linear = linear.clip(0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return [tuple(row) for row in (levels * 255).round().astype(int).tolist()]
