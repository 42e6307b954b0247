"""The orientation: read from damaged and mistyped metadata, in every format, and nothing else of them."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.formats.exif import as_stored, orientation_of, raw_profile, upright, xmp_orientation
from tests.pipeline.images.formats.fields import COLOURS, TURNED, order, picture, same, saved, seen
from tests.pipeline.images.formats.metadata import chunk, exif, segment, with_chunks, with_segments, xmp
from tests.support.examples import examples

EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
QUALITY = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("kind", [1, 3, 4, 5, 6, 8, 9, 10, 11, 12])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_numeric_type_and_byte_order(byteorder: str, kind: int, orientation: int):
    assert orientation_of(exif(orientation, kind, order=byteorder)) == orientation
    assert orientation_of(EXIF + exif(orientation, kind, order=byteorder)) == orientation


@pytest.mark.parametrize("value", [0, 9, 255, 65_535])
def test_values_that_are_no_orientation(value: int):
    assert orientation_of(exif(value, 4)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II",
        b"II*\0",
        b"garbage and more garbage",
        exif()[:20],
        b"II+\0" + bytes(40),
        b"II*\0\xff\xff\xff\xff",
        EXIF,
    ],
)
def test_without_a_readable_directory_there_is_no_orientation(data: bytes):
    assert orientation_of(data) is None


def test_text_and_several_values_are_no_orientation():
    assert orientation_of(exif(b"6\0", 2, count=2)) == 1
    assert orientation_of(exif(6, 3, count=0)) == 1
    assert orientation_of(exif(struct.pack("<HH", 6, 6), 7, count=4)) == 1
    assert orientation_of(exif(6, 5)[:-4]) == 1, "the place of its value lies behind the end"


def test_more_entries_than_there_are():
    data = bytearray(exif(8))
    data[8:10] = b"\xff\xff"
    assert orientation_of(bytes(data)) == 8


BROKEN = [
    (0x010E, 2, 0xFFFF_FFFF, b"\xff\xff\xff\xff"),  # text beyond the end
    (0x011A, 10, 1, struct.pack("<ll", -1, 0)),  # a negative resolution, divided by zero
    (0x0128, 2, 4, b"inch"),  # a unit in words
    (0x8769, 4, 1, struct.pack("<L", 8)),  # a sub-directory that is its own parent
    (0x9999, 77, 3, b"????"),  # a type that does not exist
]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("broken", BROKEN)
def test_other_tags_may_be_broken(kind: str, broken: tuple):
    data = saved(picture(), kind, exif=EXIF + exif(6, more=(broken,)), **QUALITY.get(kind, {}))
    assert same(seen(data), order(*TURNED[6]), 12)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format(kind: str, orientation: int):
    data = saved(picture(), kind, exif=EXIF + exif(orientation, 1), **QUALITY.get(kind, {}))
    assert same(seen(data), order(*TURNED[orientation]), 12)


JPEG = saved(picture(), "JPEG", quality=95)


@pytest.mark.parametrize(
    ("segments", "orientation"),
    [
        ([segment(0xE1, XMP + xmp(1)), segment(0xE1, EXIF + exif(6))], 6),
        ([segment(0xE1, b"rubbish"), segment(0xE1, EXIF + exif(3))], 3),
        ([segment(0xE1, EXIF + b"rubbish"), segment(0xE1, EXIF + exif(8))], 8),
        ([segment(0xE1, EXIF + exif(6)), segment(0xE1, EXIF + exif(3))], 6),
        ([segment(0xE1, XMP + xmp(6))], 6),
        ([segment(0xE1, XMP + xmp(6)), segment(0xE1, EXIF + exif(1))], 1),
        ([segment(0xE1, EXIF + exif(6)), segment(0xE1, b""), segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 9)], 6),
        ([segment(0xE1, EXIF + exif(6), length=12)], 1),  # too short: the rest is passed over
        ([segment(0xE0, b"JFIF\0\1"), segment(0xE1, EXIF + exif(6))], 6),
        ([segment(0xEE, b"Adobe\0"), segment(0xE1, EXIF + exif(6))], 6),
        ([segment(0xE2, b"MPF\0" + bytes(20)), segment(0xFE, b"words"), b"\xff\xff", segment(0xE1, EXIF + exif(6))], 6),
    ],
)
def test_segments_of_jpegs(segments: list[bytes], orientation: int):
    assert same(seen(with_segments(JPEG, *segments)), order(*TURNED[orientation]), 12)


def raw_text(data: bytes, length: int | None = None) -> bytes:
    """EXIF data as ImageMagick writes them into a PNG's text."""
    return f"\nexif\n    {len(data) if length is None else length}\n{data.hex()}\n".encode()


PNG = saved(picture(), "PNG")


@pytest.mark.parametrize(
    ("chunks", "orientation"),
    [
        ([chunk(b"eXIf", EXIF + exif(6))], 6),
        ([chunk(b"eXIf", b"rubbish"), chunk(b"tEXt", b"Raw profile type exif\0" + raw_text(EXIF + exif(8)))], 8),
        ([chunk(b"tEXt", b"Raw profile type APP1\0" + raw_text(EXIF + exif(3), 99))], 3),
        ([chunk(b"tEXt", b"Raw profile type exif\0no hexadecimal")], 1),
        ([chunk(b"tEXt", b"exif\0" + exif(6))], 1),
        ([chunk(b"eXIf", exif(6), crc=1)], 1),
        ([chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))], 6),
    ],
)
def test_chunks_of_pngs(chunks: list[bytes], orientation: int):
    assert seen(with_chunks(PNG, *chunks)) == order(*TURNED[orientation])


def test_metadata_behind_the_pixels_of_a_png_count_too():
    assert seen(with_chunks(PNG, chunk(b"eXIf", exif(6)), before=b"IEND")) == order(*TURNED[6])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_undoes_turning(orientation: int):
    assert as_stored(upright(picture(), orientation), orientation).tobytes() == picture().tobytes()
    assert seen(upright(picture(), orientation)) == [COLOURS[field] for field in TURNED[orientation]]


def test_raw_profiles():
    assert raw_profile("\nexif\n   4\n0011\n2233\n") == b"\0\x11\x22\x33"
    assert raw_profile("exif 1 001") == b"\0"
    assert raw_profile("exif") == raw_profile("exif 4 zz") == b""


@settings(max_examples=examples(200), deadline=2_000)
@given(st.data())
def test_damaged_exif_and_xmp_have_an_orientation_or_none(data: st.DataObject):
    whole = bytearray(
        exif(6, data.draw(st.integers(0, 13)) or 3, more=(BROKEN[0],)) if data.draw(st.booleans()) else exif()
    )
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    assert orientation_of(damaged) in (None, *range(1, 9))
    assert xmp_orientation(xmp(6)[: data.draw(st.integers(0, 200))] + damaged) in range(1, 9)
    raw_profile(data.draw(st.text(max_size=80)))
