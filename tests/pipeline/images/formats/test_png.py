"""PNGs with damaged chunks beside their pixels: kept, and the pixels are those of the undamaged picture."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from pipeline.images.formats.png import reduced
from pipeline.images.formats.read import Unreadable, edges
from pipeline.images.verify import refuse_polyglot
from tests.pipeline.images.formats.fields import COLOURS, GREYS, fields, grey, picture, read, same, saved, seen
from tests.pipeline.images.formats.metadata import chunk, png_of, with_chunks

PNG = saved(picture(), "PNG")
WHITE = (255, 255, 255)


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"tEXt", b"Title\0words", crc=7),
        chunk(b"pHYs", b"\0\0", crc=None),
        chunk(b"gAMA", b"\0"),
        chunk(b"gAMA", bytes(4)),
        chunk(b"cHRM", b"short"),
        chunk(b"sRGB", b""),
        chunk(b"sBIT", bytes(9)),
        chunk(b"tIME", b"never"),
        chunk(b"bKGD", b""),
        chunk(b"hIST", b"\0"),
        chunk(b"iTXt", b"\xff\xfe\0\1\1nothing"),
        chunk(b"zTXt", b"key\0\0not compressed"),
        chunk(b"zTXt", b"key\0\7"),
        chunk(b"zTXt", b""),
        chunk(b"tEXt", b""),
        chunk(b"tEXt", b"transparency\0\0"),
        chunk(b"tEXt", b"gamma\0x") + chunk(b"tEXt", b"icc_profile\0x") + chunk(b"tEXt", b"exif\0x"),
        chunk(b"iCCP", b"name\0\0broken"),
        chunk(b"iCCP", b"\0\0" + zlib.compress(b"no profile")),
        chunk(b"eXIf", b"MM"),
        chunk(b"tRNS", b"\0"),
        chunk(b"tRNS", bytes(300)),
        chunk(b"PLTE", b"\1\2"),
        chunk(b"acTL", b"\0\0"),
        chunk(b"acTL", struct.pack(">LL", 9, 0)) + chunk(b"fcTL", b"short"),
        chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", b"\0\0\0\1rubbish"),
        chunk(b"vpAg", b"private", crc=0),
        chunk(b"tEXt", b"Comment\0four bytes more than said", length=22),
        chunk(b"tEXt", b"Comment\0shorter than said", length=60),
        chunk(b"tEXt", b"Comment\0far beyond the end", length=0x7FFF_FFFF),
    ],
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_a_damaged_chunk_costs_no_pixel(damaged: bytes, before: bytes):
    assert seen(with_chunks(PNG, damaged, before=before)) == list(COLOURS)


def test_text_bombs_are_not_inflated():
    bomb = chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(64 << 20), 9))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(64 << 20), 9))
    data = with_chunks(PNG, *[bomb] * 20, profile)
    tracemalloc.start()
    assert seen(data) == list(COLOURS)
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_without_its_last_chunk_the_picture_is_kept():
    assert seen(PNG[: PNG.index(b"IEND") - 4]) == list(COLOURS)
    assert seen(PNG[:-4]) == list(COLOURS)


def test_cut_and_damaged_pixels_are_refused():
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3))
    data = png_of(noise, 8, 2)
    for damaged in (data[:3_000], data[:3_000] + data[-12:], data.replace(b"IHDR", b"IHDX"), data[:40] + data[-12:]):
        with pytest.raises(Unreadable):
            read(damaged)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_levels_that_are_transparent(depth: int):
    top = (1 << depth) - 1
    levels = tuple(value * top // 255 for value in (255, 170, 85, 0))
    samples = fields(levels, np.uint16)
    right = [tuple([round(level * 255 / top)] * 3) for level in levels]
    for field in range(4):
        shown = [WHITE if levels[number] == levels[field] else colour for number, colour in enumerate(right)]
        assert same(seen(png_of(samples, depth, 0, chunk(b"tRNS", struct.pack(">H", levels[field])))), shown, 1)
    assert same(seen(png_of(samples, depth, 0)), right, 1)


@pytest.mark.parametrize("depth", [8, 16])
def test_colours_that_are_transparent(depth: int):
    scale = 1 if depth == 8 else 257
    key = chunk(b"tRNS", struct.pack(">HHH", *(level * scale for level in COLOURS[2])))
    samples = fields(COLOURS, np.uint16) * scale
    assert seen(png_of(samples, depth, 2, key)) == [*COLOURS[:2], WHITE, COLOURS[3]]
    if depth == 16:  # all sixteen bits count
        assert seen(png_of(samples + (samples % 256 < 255), depth, 2, key)) == list(COLOURS)


def test_palettes_keep_their_transparency():
    table = chunk(b"PLTE", bytes(level for colour in COLOURS for level in colour))
    half = chunk(b"tRNS", bytes([255, 0, 255]))
    shown = [COLOURS[0], WHITE, *COLOURS[2:]]
    for depth in (2, 4, 8):
        assert seen(png_of(fields((0, 1, 2, 3)), depth, 3, table, half)) == shown


def test_an_animation_shows_its_still_picture():
    control = chunk(b"acTL", struct.pack(">LL", 1, 0))
    frame = chunk(b"fcTL", struct.pack(">LLLLLHHBB", 0, 64, 48, 0, 0, 1, 10, 0, 0))
    other = zlib.compress(b"".join(b"\0" + bytes(64 * 3) for _ in range(48)))
    data = with_chunks(with_chunks(PNG, control), frame, chunk(b"fdAT", b"\0\0\0\1" + other), before=b"IEND")
    assert seen(data) == list(COLOURS)


def test_sixteen_bits_of_grey_with_opacity():
    samples = np.dstack([fields(GREYS, np.uint16) * 257, fields((65_535, 0, 65_535, 65_535), np.uint16)])
    assert same(seen(png_of(samples, 16, 4)), [grey()[0], WHITE, *grey()[2:]], 1)


def test_stored_pixels_that_spell_a_page_are_no_page_but_texts_are():
    spelled = np.frombuffer((b"<svg onload=x><script>" * 500)[:9216], np.uint8).reshape(48, 64, 3)
    stored = png_of(spelled, 8, 2)
    start, end = stored.index(b"IDAT") - 4, stored.index(b"IEND") - 4
    rows = b"".join(b"\0" + row.tobytes() for row in spelled)
    stored = stored[:start] + chunk(b"IDAT", zlib.compress(rows, 0)) + stored[end:]
    assert b"<script" in stored[:1024]
    refuse_polyglot(stored, "PNG")
    assert b"<script" in edges(with_chunks(stored, chunk(b"tEXt", b"Comment\0<script>")), "PNG")


def test_the_reduced_file_has_no_chunk_that_decides_nothing():
    more = [chunk(b"tEXt", b"a\0b"), chunk(b"gAMA", b"\0\0\1\0"), chunk(b"eXIf", b"x")]
    assert reduced(with_chunks(PNG, *more)).data == reduced(PNG).data
