"""What becomes a picture, what never does, and that a worker may die of it."""

import asyncio
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoders import Content, Decoders
from pipeline.images.verify import Limits, Rejected, difference_hash, looks_like_icon, verify
from tests.pipeline.images.pictures import ACCEPTED, LIMITS, REJECTED, drawing, jpeg, rotated, saved, transparent


@pytest.mark.parametrize("name", ACCEPTED)
def test_odd_but_honest_pictures_become_plain_rgb_jpegs(name: str):
    data, size = ACCEPTED[name]
    picture = verify(data, LIMITS)
    assert (picture.width, picture.height) == size
    with Image.open(io.BytesIO(picture.jpeg)) as stored:
        assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", size)
        assert "exif" not in stored.info
        assert "comment" not in stored.info
    assert verify(data, LIMITS) == picture  # the same bytes again


@pytest.mark.parametrize("name", REJECTED)
def test_everything_else_is_refused_with_its_reason(name: str):
    data, reason = REJECTED[name]
    with pytest.raises(Rejected) as refused:
        verify(data, LIMITS)
    assert refused.value.reason == reason


def test_the_corpus_is_as_large_as_promised():
    assert len(REJECTED) >= 25
    assert len(ACCEPTED) >= 20


@given(st.binary(max_size=300), st.sampled_from(sorted(ACCEPTED)), st.integers(0, 400))
def test_damaged_bytes_end_in_a_picture_or_a_typed_reason(noise: bytes, name: str, at: int):
    data = ACCEPTED[name][0]
    damaged = data[:at] + noise + data[at + len(noise) :]
    assert outcome(damaged) == "a picture" or outcome(damaged).replace("_", "").isalpha()


def outcome(data: bytes) -> str:
    """`a picture`, or the typed reason; any other error is the test's."""
    try:
        verify(data, LIMITS)
    except Rejected as refused:
        return refused.reason
    return "a picture"


def test_nothing_of_the_source_but_its_pixels_is_kept():
    assert b"where I live" in rotated()
    assert b"where I live" not in verify(rotated(), LIMITS).jpeg


def test_what_was_transparent_is_white():
    with Image.open(io.BytesIO(verify(transparent(), LIMITS).jpeg)) as stored:
        assert min(stored.getpixel((50, 20))) > 250


def test_sixteen_bits_keep_their_ramp():
    with Image.open(io.BytesIO(verify(ACCEPTED["tiff of 16 bits"][0], LIMITS).jpeg)) as stored:
        rows = np.asarray(stored.convert("L")).mean(axis=1)
    assert rows[0] < 10
    assert rows[-1] > 245


def test_the_hash_says_whether_brightness_rises_to_the_right():
    rising = Image.fromarray(np.tile(np.linspace(0, 255, 90).astype(np.uint8), (80, 1)))
    assert difference_hash(rising) == 0xFFFF_FFFF_FFFF_FFFF
    assert difference_hash(rising.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0


def test_the_hash_hardly_changes_with_size_and_quality():
    picture = drawing(400, 300, seed=5)
    again = Image.open(io.BytesIO(saved(picture.resize((133, 100)), quality=40)))
    assert (difference_hash(picture) ^ difference_hash(again)).bit_count() <= 3


def test_an_icon_is_told_from_a_drawing_only_where_icons_are_sent():
    icon = Image.new("RGB", (200, 200), "white")
    icon.paste((200, 210, 220), (60, 60, 140, 140))
    assert looks_like_icon(icon)
    assert not looks_like_icon(drawing(200, 200))
    assert verify(saved(icon, "PNG"), LIMITS).width == 200
    with pytest.raises(Rejected, match="placeholder"):
        verify(saved(icon, "PNG"), LIMITS, may_be_placeholder=True)


@pytest.mark.shared
def test_europeanas_icons_are_known_by_hash_and_by_look(shared):
    import hashlib

    from pipeline.images.fetch import EUROPEANA_PLACEHOLDERS

    files = sorted((shared / "europeana" / "payloads" / "thumbnails").glob("*.png"))
    assert len(files) == 5
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() in EUROPEANA_PLACEHOLDERS
        with pytest.raises(Rejected, match="placeholder"):
            verify(file.read_bytes(), LIMITS, may_be_placeholder=True)


def decoded(contents: list[bytes], **options) -> list[str]:
    """What one worker after another makes of the contents: `ok` or the reason."""

    async def run() -> list[str]:
        given = {"count": 1, "timeout_s": 20.0, "memory_mb": 512, **options}
        outcomes = []
        async with Decoders(Limits(**{**vars(LIMITS), "max_pixels": 2_000_000_000}), **given) as decoders:
            for content in contents:
                try:
                    await decoders.verify(Content(content, None))
                    outcomes.append("ok")
                except Rejected as refused:
                    outcomes.append(refused.reason)
                for process in decoders._all if content == b"die" else ():
                    process.kill()
        return outcomes

    return asyncio.run(run())


def bomb() -> bytes:
    """A true PNG bomb: 30,000 x 30,000 pixels of zeros in less than a megabyte."""
    import zlib

    from tests.pipeline.images.pictures import png_chunk

    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(9)
    row = b"\0" * (30_000 * 3 + 1)
    data = b"".join(packer.compress(row * 100) for _ in range(20)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def test_a_bomb_ends_in_the_worker_and_the_next_picture_is_decoded():
    outcomes = decoded([bomb(), jpeg()])
    assert outcomes[0] in ("too_much_memory", "decode_failed", "decoder_died")
    assert outcomes[1] == "ok"


def test_a_worker_that_was_killed_is_replaced():
    assert decoded([jpeg(), b"die", jpeg(), jpeg()]) == ["ok", "not_an_image", "decoder_died", "ok"]


def test_a_worker_that_takes_too_long_is_ended():
    assert decoded([jpeg()], timeout_s=0.001) == ["decode_timeout"]
