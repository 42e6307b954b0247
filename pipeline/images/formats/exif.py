"""The orientation of a picture: read from its EXIF or XMP data, and applied to its pixels."""

import re
import struct

from PIL import Image

ORIENTATION = 0x0112
# The numeric types of TIFF 6.0, section 2: writers store the orientation in most of them. (format, numbers of a value)
NUMBERS = {1: "B", 3: "H", 4: "L", 5: "LL", 6: "b", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d"}
ORDERS = {b"II": "<", b"MM": ">"}
MAGIC = (b"*\0", b"\0*")  # in either order: some writers turn it, and readers do not mind
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UNDONE_BY = {6: 8, 8: 6}  # the others undo themselves
XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


def orientation_of(exif: bytes) -> int | None:
    """The orientation, 1 to 8, in EXIF data; 1 if its tag cannot be read, None if there is no such tag.

    Only this one tag is parsed: other tags that are damaged or of a wrong type do not matter. `exif` may begin with
    the marker that JPEG puts before the TIFF header.
    """
    data = exif.removeprefix(b"Exif\0\0")
    order = ORDERS.get(data[:2])
    if order is None or data[2:4] not in MAGIC or len(data) < 10:
        return None
    (start,) = struct.unpack_from(f"{order}L", data, 4)
    if start + 2 > len(data):
        return None
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    for place in range(start + 2, min(start + 2 + 12 * entries, len(data) - 11), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHL", data, place)
        if tag == ORIENTATION:
            value = _number(data, order, kind, place + 8) if count == 1 else None
            return int(value) if value in TURNS else 1
    return None


def _number(data: bytes, order: str, kind: int, place: int) -> float | None:
    """The value of a numeric type, stored in the entry itself if it has four bytes or fewer."""
    form = f"{order}{NUMBERS.get(kind, '')}"
    size = struct.calcsize(form)
    if size > 4:
        (place,) = struct.unpack_from(f"{order}L", data, place)
    if size == 0 or place + size > len(data):
        return None
    value, *divisor = struct.unpack_from(form, data, place)
    return value / (divisor[0] or 1) if divisor else value


def xmp_orientation(xmp: bytes) -> int:
    """The orientation in XMP data, 1 if there is none; it counts where EXIF data have no orientation."""
    found = XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1


def raw_profile(text: str) -> bytes:
    """The bytes of a `Raw profile type exif`, ImageMagick's form of EXIF data in a PNG's text; empty if it is none."""
    digits = re.fullmatch(r"\s*\w+\s+\d+\s+([0-9a-fA-F\s]*)", text)
    hexadecimal = "".join(digits[1].split()) if digits else ""
    return bytes.fromhex(hexadecimal[: len(hexadecimal) // 2 * 2])


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as it is meant to be seen."""
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def as_stored(picture: Image.Image, orientation: int) -> Image.Image:
    """The opposite of `upright`, for a decoder that has turned the picture already."""
    return upright(picture, UNDONE_BY.get(orientation, orientation))
