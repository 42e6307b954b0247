"""JPEG files reduced to what decides their pixels, and files whose end is missing: whether all of the picture is there.

Segments and scans: ITU-T T.81, annexes B and G.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.images.formats.exif import orientation_of, xmp_orientation

START, END = b"\xff\xd8", b"\xff\xd9"
# Ways to go on where the data stop. If pixels are missing they come out differently, otherwise alike. Between two
# restart intervals only another restart marker makes the decoder go on.
RUBBISH = b"\x5a\xa5" * 2_048
FILLERS = (END, RUBBISH + END, b"".join(bytes([0xFF, 0xD0 + n % 8]) + RUBBISH[:256] for n in range(16)) + END)
STANDALONE = {0x01, *range(0xD0, 0xD9)}
START_OF_SCAN, END_OF_IMAGE, COMMENT = 0xDA, 0xD9, 0xFE
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# Application segments that tell the colour space; one that is too short for its fields is left out like all others.
KEPT = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}
EXIF, XMP, ICC = b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file without metadata, and the metadata that matter for its pixels."""

    data: bytes
    orientation: int
    profile: bytes | None


def reduced(data: bytes) -> Jpeg:
    """The picture alone: application segments and comments, damaged or not, never reach the decoder."""
    kept, orientation, xmp, pieces, place = [START], None, b"", list[bytes](), 2
    for marker, start, end in _segments(data):
        body = data[start + 4 : end]
        place = end
        if marker == START_OF_SCAN:
            place = start
            break
        magic, least = KEPT.get(marker, (b"", 0))
        if not (0xE0 <= marker <= 0xEF or marker == COMMENT) or (
            least and body.startswith(magic) and len(body) >= least
        ):
            kept.append(data[start:end])
        elif marker == 0xE1 and body.startswith(EXIF) and orientation is None:
            orientation = orientation_of(body[6:])
        elif marker == 0xE1 and body.startswith(XMP):
            xmp = xmp or body
        elif marker == 0xE2 and body.startswith(ICC):
            pieces.append(body[len(ICC) :])
    kept.append(data[place:])
    return Jpeg(b"".join(kept), orientation or xmp_orientation(xmp), _joined(pieces))


def _joined(pieces: list[bytes]) -> bytes | None:
    """The ICC profile from its pieces (ICC.1, annex B.4): number and count, then the bytes; None if one is missing."""
    pieces = sorted(piece for piece in pieces if len(piece) > 2)
    numbers = [(piece[0], piece[1]) for piece in pieces]
    if not pieces or numbers != [(number, len(pieces)) for number in range(1, len(pieces) + 1)]:
        return None
    return b"".join(piece[2:] for piece in pieces)


def closed(data: bytes) -> list[bytes]:
    """A file without end marker, closed in several ways: equal pixels mean that none was missing."""
    body = data[:-1] if data.endswith(b"\xff") else data
    return [body + filler for filler in FILLERS]


def has_all_scans(data: bytes) -> bool:
    """Whether there are scans for every component, in a progressive file for every bit of its coefficients.

    A progressive file sends bands of coefficients (`start` to `stop`) down to the bit `low`.
    """
    progressive, components = False, set[int]()
    final: set[tuple[int, int]] = set()
    for marker, at, end in _segments(data):
        segment = data[at + 4 : end]
        if marker in FRAMES and len(segment) >= 6:
            progressive = marker in PROGRESSIVE
            components = set(segment[6 : 6 + 3 * segment[5] : 3])
        elif marker == START_OF_SCAN and segment and len(segment) >= 4 + 2 * segment[0]:
            named = segment[1 : 1 + 2 * segment[0] : 2]
            start, stop, low = segment[1 + 2 * segment[0] : 4 + 2 * segment[0]]
            if not progressive:
                start, stop, low = 0, 63, 0
            if low & 0x0F == 0:
                final |= {(component, number) for component in named for number in range(start, min(stop, 63) + 1)}
    return all((component, number) in final for component in components for number in range(64))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of every segment up to the end marker; entropy-coded data and rubbish are passed over."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker in (0x00, 0xFF) or marker in STANDALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == END_OF_IMAGE:
            break
        (length,) = struct.unpack_from(">H", data, place + 2)
        end = place + 2 + max(length, 2)
        yield marker, place, end
        place = end
