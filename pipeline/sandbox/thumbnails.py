"""The icon that the local thumbnail service sends for a missing thumbnail: ours, flat, always the same bytes."""

import hashlib
import struct
import zlib

SIDE = 200
GREY, WHITE = (222, 226, 230), (255, 255, 255)


def placeholder() -> bytes:
    """A PNG of 200 x 200 pixels in two colours: a frame with a hill and a sun in it.

    Written without compression, so that its bytes depend on no library's version.
    """
    rows = b"".join(b"\0" + _row(y) for y in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 3, 0, 0, 0)  # one bit a pixel, palette
    chunks = ((b"IHDR", header), (b"PLTE", bytes(WHITE + GREY)), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _row(y: int) -> bytes:
    bits = "".join("1" if _drawn(x, y) else "0" for x in range(SIDE))
    return int(bits, 2).to_bytes(SIDE // 8, "big")


def _drawn(x: int, y: int) -> bool:
    inside = 40 <= x < 160 and 55 <= y < 145
    frame = inside and not (46 <= x < 154 and 61 <= y < 139)
    hill = inside and y - 85 > abs(x - 85) * 0.9
    sun = (x - 130) ** 2 + (y - 82) ** 2 < 100
    return frame or hill or sun


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PLACEHOLDER = placeholder()
PLACEHOLDER_SHA256 = hashlib.sha256(PLACEHOLDER).hexdigest()
