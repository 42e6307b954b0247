"""TIFF: the values that TIFF 6.0 says, for every kind of sample, and no half pictures."""

import io
import itertools
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.images.formats.read import Unreadable, edges, open_picture
from pipeline.images.verify import Limits, Rejected, refuse_polyglot, verify
from tests.pipeline.images.formats.fields import (
    COLOURS,
    GREYS,
    TURNED,
    fields,
    grey,
    order,
    picture,
    read,
    same,
    saved,
    seen,
)


def tiff(samples: np.ndarray, photometric: str = "minisblack", **options: object) -> bytes:
    """The samples as a TIFF."""
    out = io.BytesIO()
    tifffile.imwrite(out, samples, photometric=photometric, metadata=None, **options)
    return out.getvalue()


def by_hand(pixels: bytes, tags: dict[int, tuple[int, list[int]]], order: str = "<") -> bytes:
    """A TIFF of one strip; `tags` are tag: (type 1, 3 or 4, values) besides offset and length of the strip."""
    tags = {**tags, 273: (4, [8]), 279: (4, [len(pixels)])}
    head, after = 8 + len(pixels) + len(pixels) % 2, b""
    start_of_values = head + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{ {1: 'B', 3: 'H', 4: 'L'}[kind] }", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}L", start_of_values + len(after))
            after += packed + b"\0" * (len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHL", tag, kind, len(values)) + place
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + after
    return magic + struct.pack(f"{order}L", head) + pixels + b"\0" * (len(pixels) % 2) + directory


def shape(bits: list[int], photometric: int, width: int = 64, height: int = 48) -> dict[int, tuple[int, list[int]]]:
    """The tags that every picture has."""
    size = {256: (4, [width]), 257: (4, [height]), 278: (4, [height]), 259: (3, [1])}
    return size | {258: (3, bits), 262: (3, [photometric]), 277: (3, [len(bits)])}


SIXTEEN = fields(GREYS, np.uint16) * np.uint16(257)
KINDS = list(itertools.product(("<", ">"), (False, True), (None, "lzw", "zlib", "packbits")))


@pytest.mark.parametrize(("byteorder", "bigtiff", "compression"), KINDS)
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f2", "f4", "f8"])
def test_grey_of_every_sample_format(byteorder: str, bigtiff: bool, compression, photometric: str, dtype: str):
    whole = fields(GREYS, np.float64) / 255
    if photometric == "miniswhite":
        whole = 1 - whole
    top = 1 if dtype[0] == "f" else np.iinfo(dtype).max
    samples = (whole * top).round(0 if top > 1 else 9).astype(dtype)
    data = tiff(samples, photometric, byteorder=byteorder, bigtiff=bigtiff, compression=compression, rowsperstrip=7)
    assert same(seen(data), grey())


def test_the_silent_fault_white_is_zero_of_sixteen_bits_is_no_negative():
    assert same(seen(tiff(65_535 - SIXTEEN, "miniswhite")), grey())


def test_the_silent_fault_twelve_bits_keep_their_brightness():
    values = (fields(GREYS, np.uint32) * 4095 // 255).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], axis=1)
    assert same(seen(by_hand(packed.astype(np.uint8).tobytes(), shape([12], 1))), grey())


def test_the_silent_fault_planes_of_sixteen_bits_are_colours():
    samples = (fields(COLOURS, np.uint16) * np.uint16(257)).transpose(2, 0, 1)
    assert same(seen(tiff(samples, "rgb", planarconfig="separate")), COLOURS)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 14])
@pytest.mark.parametrize("byteorder", "<>")
def test_grey_of_odd_depths_is_packed_most_significant_bit_first(bits: int, byteorder: str):
    top = (1 << bits) - 1
    levels = (top, top * 2 // 3, top // 3, 0)
    digits = "".join(
        "".join(format(value, f"0{bits}b") for value in row).ljust(-(-64 * bits // 8) * 8, "0")
        for row in fields(levels, np.uint32).tolist()
    )
    data = by_hand(int(digits, 2).to_bytes(len(digits) // 8), shape([bits], 1), byteorder)
    assert same(seen(data), grey(tuple(round(level * 255 / top) for level in levels)))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("top", [255, 65_535])
def test_palettes_of_every_depth_with_either_range(bits: int, top: int):
    colours = [*COLOURS, *[(0, 0, 0)] * 252][: 1 << bits]
    used = [number % len(colours) for number in range(4)]
    rows = fields(tuple(used)).tolist()
    digits = "".join("".join(format(value, f"0{bits}b") for value in row) for row in rows)
    table = [colour[channel] * top // 255 for channel in range(3) for colour in colours]
    tags = shape([bits], 3) | {320: (3, table)}
    assert same(seen(by_hand(int(digits, 2).to_bytes(len(digits) // 8), tags)), [colours[number] for number in used])


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_colours_of_every_layout(planarconfig: str, dtype: str, tile):
    top = 1 if dtype == "f4" else np.iinfo(dtype).max
    samples = (fields(COLOURS, np.float64) * (top / 255)).round(0 if top > 1 else 9).astype(dtype)
    samples = samples if planarconfig == "contig" else samples.transpose(2, 0, 1)
    predictor = dtype[0] != "f" and tile is None
    data = tiff(samples, "rgb", planarconfig=planarconfig, tile=tile, compression="lzw", predictor=predictor)
    assert same(seen(data), COLOURS)


def test_signed_samples_run_from_their_lowest_to_their_highest():
    assert same(seen(tiff((SIXTEEN.astype(int) - 32_768).astype(np.int16))), grey())


def test_fractions_above_one_and_no_numbers():
    bright = fields(GREYS, np.float32) / 255 * 4
    bright[-1, -1], bright[0, 0] = np.nan, np.inf
    assert same(seen(tiff(bright)), grey(tuple(round(value * 255 / GREYS[0]) for value in GREYS)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("of", ["grey", "rgb"])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_opacity_is_laid_on_white(dtype: type, of: str, kind: str):
    colours = np.array(COLOURS if of == "rgb" else [(value,) for value in GREYS], float)
    opacity = np.array([255, 128, 0, 255], float)[:, None] / 255
    stored = np.hstack([colours * (opacity if kind == "assocalpha" else 1), opacity * 255]) * (
        np.iinfo(dtype).max // 255
    )
    data = tiff(fields(tuple(map(tuple, stored)), dtype), "rgb" if of == "rgb" else "minisblack", extrasamples=[kind])
    right = colours * opacity + 255 * (1 - opacity)
    assert same(seen(data), np.broadcast_to(right, (4, 3)).round(), 3)


def test_samples_of_no_said_meaning_are_not_shown():
    extra = np.dstack([fields(COLOURS), np.zeros((48, 64), np.uint8)])
    assert seen(tiff(extra, "rgb", extrasamples=["unspecified"])) == list(COLOURS)


def test_a_fourth_sample_without_a_word_is_opacity():
    opaque = np.dstack([fields(COLOURS), fields((255, 255, 0, 255))]).tobytes()
    assert seen(by_hand(opaque, shape([8] * 4, 2))) == [*COLOURS[:2], (255, 255, 255), COLOURS[3]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_with_and_without_opacity(dtype: type):
    inks = ((0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 255))
    right = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]
    stored = fields(inks, dtype) * dtype(np.iinfo(dtype).max // 255)
    assert same(seen(tiff(stored, "separated")), right)
    opacity = np.dstack([stored, fields((1, 1, 0, 1), dtype) * dtype(np.iinfo(dtype).max)])
    assert same(seen(tiff(opacity, "separated", extrasamples=["unassalpha"])), [*right[:2], (255, 255, 255), right[3]])


LAB = ((160, 40, 30), (160, -50, 30), (120, 10, -35), (220, 0, 0))  # L* of 255, a*, b*


@pytest.mark.parametrize(("photometric", "offset"), [(8, 0), (9, 128)])
@pytest.mark.parametrize("bits", [8, 16])
def test_lab_in_both_spellings(photometric: int, offset: int, bits: int):
    stored = [(light, (a + offset) & 255, (b + offset) & 255) for light, a, b in LAB]
    samples = fields(tuple(stored), np.uint16) << (bits - 8)
    data = by_hand(samples.astype(np.uint8 if bits == 8 else "<u2").tobytes(), shape([bits] * 3, photometric))
    assert same(seen(data), [srgb_of(*colour) for colour in LAB], 4)


def srgb_of(light: float, a: float, b: float) -> tuple[int, ...]:
    """CIE L*a*b* of D50 as sRGB, by the definitions (ISO 11664-4, Bradford, IEC 61966-2-1)."""
    y = (light / 2.55 + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.96422, 1.0, 0.82521)
    to_rgb = [
        (3.1338561, -1.6168667, -0.4906146),
        (-0.9787684, 1.9161415, 0.0334540),
        (0.0719453, -0.2289914, 1.4052427),
    ]
    linear = (np.array(to_rgb) @ xyz).clip(0, 1)
    return tuple((np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255).round())


def ycbcr(colours: tuple) -> list[tuple[int, ...]]:
    """The colours as luminance and chrominance."""
    return [Image.new("RGB", (1, 1), colour).convert("YCbCr").getpixel((0, 0)) for colour in colours]


@pytest.mark.parametrize("orientation", [1, 6])
def test_luminance_and_chrominance_without_jpeg(orientation: int):
    tags = shape([8] * 3, 6) | {530: (3, [1, 1]), 274: (3, [orientation])}
    assert same(seen(by_hand(fields(tuple(ycbcr(COLOURS))).tobytes(), tags)), order(*TURNED[orientation]), 3)


def test_chrominance_of_fewer_samples_without_jpeg():
    samples = fields(tuple(ycbcr(COLOURS)))
    blocks = [
        bytes([*samples[y : y + 2, x : x + 2, 0].ravel(), *samples[y, x, 1:]])
        for y in range(0, 48, 2)
        for x in range(0, 64, 2)
    ]
    assert same(seen(by_hand(b"".join(blocks), shape([8] * 3, 6) | {530: (3, [2, 2])})), COLOURS, 3)


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_jpeg_in_tiff(subsampling: tuple[int, int], tile):
    luminance = fields(tuple(ycbcr(COLOURS)))
    data = tiff(luminance, "ycbcr", compression="jpeg", subsampling=subsampling, tile=tile)
    assert same(seen(data), COLOURS, 6)
    assert same(seen(tiff(fields(GREYS), compression="jpeg", tile=tile)), grey(), 6)


@pytest.mark.parametrize("compression", ["tiff_jpeg", "group3", "group4", "tiff_ccitt"])
def test_what_pillow_writes_by_libtiff(compression: str):
    if compression == "tiff_jpeg":
        assert same(seen(saved(picture(), "TIFF", compression="jpeg")), COLOURS, 6)
    else:
        two = Image.fromarray(fields((True, False, False, True), bool))
        assert seen(saved(two, "TIFF", compression=compression)) == grey((255, 0, 0, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_every_orientation_of_every_type(orientation: int, kind: int):
    tags = shape([8] * 3, 2) | {274: (kind, [orientation])}
    assert seen(by_hand(fields(COLOURS).tobytes(), tags)) == order(*TURNED[orientation])


def test_the_bits_of_a_byte_the_other_way_round():
    packed = np.packbits(fields((True, False, True, False), bool), axis=1, bitorder="little").tobytes()
    assert seen(by_hand(packed, shape([1], 1) | {266: (3, [2])})) == grey((255, 0, 255, 0))


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "jpeg", "zstd"])
@pytest.mark.parametrize("rows", [8, 48])
@pytest.mark.parametrize("cut", ["half", "a few bytes"])
def test_a_cut_file_is_refused(compression, rows: int, cut: str):
    noise = np.random.default_rng(7).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    data = tiff(noise, "rgb", compression=compression, rowsperstrip=rows)
    cut_at = len(data) // 2 if cut == "half" else len(data) - 40
    with pytest.raises(Unreadable) as refused:
        read(data[:cut_at])
    assert refused.value.truncated


def test_a_picture_with_holes_is_refused():
    data = bytearray(tiff(fields(COLOURS), "rgb", compression="zlib", rowsperstrip=8))
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    place = page.tags[273].valueoffset  # StripOffsets
    data[place + 8 : place + 12] = bytes(4)
    with pytest.raises(Unreadable):
        read(bytes(data))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd"])
def test_a_strip_with_too_few_rows_is_refused(compression: str):
    data = bytearray(tiff(fields(GREYS)[:24], compression=compression, rowsperstrip=24))
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    for tag in (257, 278):  # ImageLength, RowsPerStrip
        place = page.tags[tag].valueoffset
        data[place : place + 2] = struct.pack("<H", 48)
    with pytest.raises(Unreadable):
        read(bytes(data))


def test_pixels_that_spell_a_page_are_no_page_but_tags_are():
    spelled = np.frombuffer((b"<svg onload=x><script>" * 500)[:9216], np.uint8).reshape(48, 64, 3)
    data = tiff(spelled, "rgb")
    assert b"<script" in data[:1024] + data[-1024:]
    refuse_polyglot(data, "TIFF")
    assert b"<svg" not in edges(data, "TIFF")
    assert b"<svg" in edges(tiff(spelled, "rgb", description="<svg onload=alert(1)>"), "TIFF")


def test_only_the_first_page_is_shown():
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(fields(COLOURS), photometric="rgb", metadata=None)
        file.write(fields(GREYS), metadata=None)
    assert seen(out.getvalue()) == list(COLOURS)


def test_absurd_sizes_are_refused_before_they_are_decoded():
    many = by_hand(bytes(100), shape([32] * 200, 2))
    with pytest.raises(Unreadable):
        open_picture(many, "TIFF").picture(512)


def test_a_size_that_is_no_number_is_refused_with_a_reason():
    """Found by mutation: ImageWidth of the type UNDEFINED, which tifffile gives as bytes."""
    data = bytearray(tiff(np.full((32, 32), 90, np.uint8)))
    start = int.from_bytes(data[4:8], "little")
    entries = range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), 12)
    (width,) = (entry for entry in entries if int.from_bytes(data[entry : entry + 2], "little") == 256)
    data[width + 2 : width + 8] = struct.pack("<HL", 7, 4)
    limits = Limits(short_side=64, min_short_side=4, jpeg_quality=90, max_pixels=1_000_000)
    with pytest.raises(Rejected, match="broken_header"):
        verify(bytes(data), limits)
