"""ICC profiles: applied in every format, as their specification computes; a broken one leaves the pixels alone."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.pipeline.images.formats.fields import COLOURS, GREYS, TURNED, fields, grey, order, picture, same, saved, seen
from tests.pipeline.images.formats.metadata import (
    ADOBE,
    PROPHOTO,
    chunk,
    exif,
    in_srgb,
    png_of,
    profile,
    segment,
    with_segments,
)
from tests.pipeline.images.formats.test_tiff import tiff

ADOBE_RGB, PRO_PHOTO, GREY_18 = profile(ADOBE, 2.19921875), profile(PROPHOTO, 1.8), profile(None, 1.8)
BRIGHT = ((200, 60, 50), (60, 150, 80), (70, 80, 170), (220, 200, 120))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_the_silent_fault_adobe_rgb_keeps_its_colours():
    data = saved(picture(BRIGHT), "PNG", icc_profile=ADOBE_RGB)
    assert not same(seen(data), BRIGHT, 6), "the profile was ignored, and the colours are dull"
    assert same(seen(data), in_srgb(BRIGHT, ADOBE, 2.19921875), 3)


@pytest.mark.parametrize(("kind", "tolerance"), [("JPEG", 8), ("PNG", 3), ("WEBP", 4), ("TIFF", 3)])
@pytest.mark.parametrize(("given", "primaries", "gamma"), [(ADOBE_RGB, ADOBE, 2.2), (PRO_PHOTO, PROPHOTO, 1.8)])
def test_profiles_of_colours_in_every_format(kind: str, tolerance: int, given: bytes, primaries, gamma: float):
    options = {"JPEG": {"quality": 97, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = saved(picture(BRIGHT), kind, icc_profile=given, **options)
    assert same(seen(data), in_srgb(BRIGHT, primaries, gamma), tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_profiles_of_grey(kind: str):
    data = saved(picture(GREYS), kind, icc_profile=GREY_18)
    assert same(seen(data), in_srgb(grey(), None, 1.8), 3)


def iccp(given: bytes) -> bytes:
    """A profile as a PNG's chunk."""
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(given))


def test_profiles_of_sixteen_bits_palettes_and_transparency():
    right = in_srgb(BRIGHT, ADOBE, 2.2)
    samples = fields(BRIGHT, np.uint16)
    assert same(seen(png_of(samples * 257, 16, 2, iccp(ADOBE_RGB))), right, 3)
    table = chunk(b"PLTE", bytes(level for colour in BRIGHT for level in colour))
    clear = chunk(b"tRNS", bytes([255, 255, 0]))
    white = [*right[:2], (255, 255, 255), right[3]]
    assert same(seen(png_of(fields((0, 1, 2, 3)), 4, 3, iccp(ADOBE_RGB), table, clear)), white, 3)
    opacity = np.dstack([samples, fields((255, 255, 0, 255), np.uint16)])
    assert same(seen(png_of(opacity, 8, 6, iccp(ADOBE_RGB))), white, 3)
    assert same(seen(tiff(samples * np.uint16(257), "rgb", iccprofile=ADOBE_RGB)), right, 3)


@pytest.mark.parametrize("depth", [8, 16])
def test_profiles_of_grey_with_transparency(depth: int):
    right = in_srgb(grey(), None, 1.8)
    samples = fields(GREYS, np.uint16) * (1 if depth == 8 else 257)
    key = chunk(b"tRNS", struct.pack(">H", int(samples[0, 0])))
    assert same(seen(png_of(samples, depth, 0, iccp(GREY_18), key)), [(255, 255, 255), *right[1:]], 3)
    opacity = np.dstack([samples, fields(((1 << depth) - 1,) * 4, np.uint16)])
    assert same(seen(png_of(opacity, depth, 4, iccp(GREY_18))), right, 3)


def cmyk_profile() -> bytes:
    """A profile of four inks with a lookup table: red, green and blue are 255 less ink and black."""
    grid = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    corners = np.array([[255 * (1 - ink) * (1 - k) for ink in (c, m, y)] for c, m, y, k in grid], np.uint8)
    table = lab.apply(Image.fromarray(corners[None])).tobytes()
    identity = b"".join(struct.pack(">l", 65_536 * (row == column)) for row in range(3) for column in range(3))
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">lll", 63_190, 65_536, 54_061)
    name = (b"desc" + bytes(4) + struct.pack(">L", 5) + b"inks\0" + bytes(78)).ljust(96, b"\0")
    tags = {b"desc": name, b"wtpt": white, b"cprt": b"text" + bytes(4) + b"none", b"A2B0": lut, b"A2B1": lut}
    place, entries, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        entries += tag + struct.pack(">LL", place + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    head = struct.pack(">L4sL4s4s4s", place + len(body), bytes(4), 0x0210_0000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white[8:]
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + entries + body


INKS = ((0, 204, 204, 51), (204, 0, 204, 51), (102, 102, 0, 0), (0, 0, 0, 128))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_profiles_of_inks_are_applied_and_differ_from_none(kind: str):
    inks = Image.frombytes("CMYK", (64, 48), fields(INKS).tobytes())
    options = {"quality": 97, "subsampling": 0} if kind == "JPEG" else {}
    with_profile = seen(saved(inks, kind, icc_profile=cmyk_profile(), **options))
    right = ImageCms.profileToProfile(
        Image.frombytes("CMYK", (64, 48), fields(INKS).tobytes()),
        ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile())),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert same(with_profile, seen(right), 8)
    plain = seen(saved(inks, kind, **options))
    assert same(plain, [tuple((255 - ink) * (255 - k) // 255 for ink in (c, m, y)) for c, m, y, k in INKS], 8)
    assert not same(with_profile, plain, 8)


def pieces(given: bytes, *numbers: tuple[int, int]) -> list[bytes]:
    """A profile in pieces of JPEG segments, numbered like that."""
    step = -(-len(given) // len(numbers))
    return [
        segment(0xE2, b"ICC_PROFILE\0" + bytes(number) + given[place * step : (place + 1) * step])
        for place, number in enumerate(numbers)
    ]


def test_a_profile_in_pieces_of_a_jpeg():
    data = saved(picture(BRIGHT), "JPEG", quality=97, subsampling=0)
    right = in_srgb(BRIGHT, ADOBE, 2.2)
    assert same(seen(with_segments(data, *pieces(ADOBE_RGB, (1, 3), (2, 3), (3, 3)))), right, 8)
    first, second = pieces(ADOBE_RGB, (1, 2), (2, 2))
    assert same(seen(with_segments(data, second, first)), right, 8)
    for lost in ([first], [first, first], pieces(ADOBE_RGB, (1, 3), (2, 3))):
        assert same(seen(with_segments(data, *lost)), BRIGHT, 6)


@pytest.mark.parametrize(
    "broken",
    [
        ADOBE_RGB[:200],
        ADOBE_RGB[:-30],
        b"no profile",
        b"\0" * 300,
        ADOBE_RGB.replace(b"acsp", b"xxxx"),
        profile(ADOBE, 2.2, space=b"CMYK"),
        profile(ADOBE, 2.2, space=b"GRAY"),
        GREY_18,
        ADOBE_RGB.replace(b"rTRC", b"zTRC"),
        ADOBE_RGB + bytes(5 << 20),
    ],
    ids=["cut early", "cut late", "words", "zeros", "signature", "inks", "grey space", "grey", "no red", "too large"],
)
def test_a_broken_or_foreign_profile_leaves_the_pixels_as_they_are(broken: bytes):
    assert seen(png_of(fields(BRIGHT), 8, 2, iccp(broken))) == list(BRIGHT)


@pytest.mark.parametrize("given", [SRGB, SRGB + bytes(100)], ids=["profile", "with zeros behind it"])
def test_srgb_changes_no_pixel(given: bytes):
    assert seen(png_of(fields(COLOURS), 8, 2, iccp(given))) == list(COLOURS)


def test_a_profile_and_an_orientation():
    data = saved(picture(BRIGHT), "PNG", icc_profile=ADOBE_RGB, exif=exif(6))
    assert same(seen(data), order(*TURNED[6], colours=tuple(in_srgb(BRIGHT, ADOBE, 2.2))), 3)
