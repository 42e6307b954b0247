"""Mutated pictures: a picture or a typed reason, soon, and in the memory that a decoding process is given."""

import asyncio
import io
import random
import time

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decoders import Content, Decoders
from pipeline.images.formats import colour, jpeg, png
from pipeline.images.verify import Limits, Rejected, verify
from tests.pipeline.images.formats.fields import COLOURS, GREYS, fields, picture, saved
from tests.pipeline.images.formats.metadata import ADOBE, chunk, exif, profile, segment, with_chunks, with_segments, xmp
from tests.pipeline.images.formats.test_tiff import tiff

LIMITS = Limits(short_side=32, min_short_side=8, jpeg_quality=80, max_pixels=1_000_000)
LONGEST_S = 2.0
MEMORY_MB = 1_024
ADOBE_RGB = profile(ADOBE, 2.2)
EXIF = segment(0xE1, b"Exif\0\0" + exif(6)) + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))
PNG = with_chunks(saved(picture(), "PNG", icc_profile=ADOBE_RGB), chunk(b"eXIf", exif(6)), chunk(b"tRNS", bytes(6)))
REASONS = {
    "broken_header",
    "decode_failed",
    "truncated",
    "too_many_pixels",
    "too_small",
    "too_long",
    "flat",
    "polyglot",
}
REASONS |= {
    "not_an_image",
    "unsupported_format",
    "too_much_memory",
    "html",
    "svg",
    "xml",
    "json",
    "archive",
    "pdf",
    "picture",
    "empty",
}
PICTURES = {
    "jpeg": [
        with_segments(saved(picture(), "JPEG", icc_profile=ADOBE_RGB), EXIF),
        saved(picture(), "JPEG", progressive=True)[:-2],
        saved(picture(), "JPEG", restart_marker_blocks=1)[:-2],
    ],
    "png": [PNG, saved(picture().quantize(4), "PNG"), with_chunks(PNG, chunk(b"tEXt", b"a\0b", length=99))],
    "tiff": [
        tiff(fields(GREYS, np.uint16) * np.uint16(257), "miniswhite", compression="lzw", rowsperstrip=8),
        tiff(fields(COLOURS), "rgb", compression="zlib", tile=(16, 16), iccprofile=ADOBE_RGB, byteorder=">"),
        tiff(fields(GREYS, np.float32) / np.float32(255), bigtiff=True),
        saved(picture(), "TIFF", compression="jpeg"),
        saved(picture().convert("CMYK"), "TIFF"),
    ],
    "others": [saved(picture(), "WEBP", exif=exif(6), icc_profile=ADOBE_RGB), saved(picture(), "GIF")],
}
INTERESTING = [b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80", b"\0\1", b"\1\0\0\0"]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some of them changed, left out, repeated or cut off; mostly near the start, where headers lie."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(max(1, min(len(changed), rng.choice((64, 400, len(data))))))
        match rng.randrange(5):
            case 0:
                changed[place : place + 1] = rng.randbytes(1)
            case 1:
                value = rng.choice(INTERESTING)
                changed[place : place + len(value)] = value
            case 2:
                del changed[place : place + rng.randint(1, 12)]
            case 3:
                changed[place:place] = changed[place : place + rng.randint(1, 40)]
            case 4 if rng.random() < 0.3:
                del changed[rng.randrange(len(changed) + 1) :]
    return bytes(changed)


def mutations(kind: str, count: int) -> list[bytes]:
    """Seeded mutations of the pictures of a kind."""
    rng = random.Random(kind)
    return [mutated(rng.choice(PICTURES[kind]), rng) for _ in range(count)]


def check_reader(kind: str, count: int) -> None:
    """All mutations through one decoding process with its limits: none dies, hangs or has a reason without a name."""

    async def run() -> list[tuple[str, float]]:
        outcomes = []
        async with Decoders(LIMITS, count=1, timeout_s=10, memory_mb=MEMORY_MB) as decoders:
            await decoders.verify(Content(PICTURES[kind][0], None))  # starts the process
            for data in mutations(kind, count):
                started, outcome = time.monotonic(), "picture"
                try:
                    await decoders.verify(Content(data, None))
                except Rejected as rejected:
                    outcome = rejected.reason
                outcomes.append((outcome, time.monotonic() - started))
        return outcomes

    for number, (outcome, seconds) in enumerate(asyncio.run(run())):
        assert outcome in REASONS, (number, outcome)
        assert seconds < LONGEST_S, number


@pytest.mark.parametrize("kind", PICTURES)
def test_two_hundred_mutated_pictures(kind: str):
    check_reader(kind, 200)


@pytest.mark.long
@pytest.mark.parametrize("kind", PICTURES)
def test_two_thousand_mutated_pictures(kind: str):
    check_reader(kind, 2_000)


def check_parts(count: int) -> None:
    """The parsers of metadata alone, without a decoder behind them: they raise nothing at all."""
    rng = random.Random(17)
    plain = Image.new("RGB", (4, 4), COLOURS[0])
    for _ in range(count):
        reduced = png.reduced(mutated(PNG, rng))
        assert reduced.orientation in (None, *range(1, 9))
        segments = mutated(PICTURES["jpeg"][0], rng)
        assert jpeg.reduced(segments).orientation in range(1, 9)
        assert jpeg.has_all_scans(segments) in (True, False)
        assert colour.to_srgb(plain, mutated(ADOBE_RGB, rng)).mode == "RGB"


def test_two_hundred_mutated_chunks_segments_and_profiles():
    check_parts(200)


@pytest.mark.long
def test_two_thousand_mutated_chunks_segments_and_profiles():
    check_parts(2_000)


def test_the_mutations_reach_pictures_and_refusals():
    outcomes = set()
    for kind in ("jpeg", "png"):
        for data in mutations(kind, 40):
            try:
                outcomes.add(Image.open(io.BytesIO(verify(data, LIMITS).jpeg)).mode)
            except Rejected as rejected:
                outcomes.add(rejected.reason)
    assert "RGB" in outcomes
    assert len(outcomes) >= 3
