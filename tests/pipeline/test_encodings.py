"""Content-Encoding: what is undone, what is left alone, and that nothing cut is taken for whole."""

import gzip
import io
import random
import tracemalloc
import zlib
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encodings import BodyDecoder, CappedReader, EncodingError, TooLong, UnknownEncoding, gunzipped
from tests.support.examples import examples

zipped = partial(gzip.compress, mtime=0)  # without the time: equal bodies are equal bytes

BODY = random.Random(3).randbytes(5_000) + b"long run" * 2_000
LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    """Deflate without zlib's frame."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def decoded(header: str, body: bytes, sizes: tuple[int, ...] = (1 << 20,), limit: int = LIMIT) -> tuple[bytes, bool]:
    """The decoded body, received in pieces of these sizes in turn, and whether it is complete."""
    decoder, out, place, turn = BodyDecoder(header, limit), b"", 0, 0
    while place < len(body):
        size = sizes[turn % len(sizes)]
        out += b"".join(decoder.pieces(body[place : place + size]))
        place, turn = place + size, turn + 1
    return out, decoder.complete


@pytest.mark.parametrize(
    "header",
    ["", "identity", "none", "binary", "UTF-8", "image/jpeg", "8bit", "utf-8, identity", "aws-chunked", "null"],
)
def test_names_that_are_no_codings_change_nothing(header: str):
    assert decoded(header, BODY) == (BODY, True)


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 17), (1 << 20,)])
@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("gzip", zipped(BODY)),
        ("GZIP", zipped(BODY)),
        ("x-gzip", zipped(BODY)),
        ('"gzip"', zipped(BODY)),
        ("gzip, identity", zipped(BODY)),
        ("identity,gzip", zipped(BODY)),
        ("UTF-8, gzip", zipped(BODY)),
        ("gzip,, ", zipped(BODY)),
        ("gzip, gzip", zipped(zipped(BODY))),
        ("deflate", zlib.compress(BODY)),
        ("Deflate", raw_deflate(BODY)),
        ("deflate, gzip", zipped(raw_deflate(BODY))),
        ("gzip, deflate", zlib.compress(zipped(BODY))),
        ("deflate", zipped(BODY)),
        ("gzip", zlib.compress(BODY)),
        ("gzip", zipped(BODY) + b"\0" * 512),
        ("gzip", zipped(BODY) + b"trailing words"),
        ("gzip", zipped(BODY[:100]) + b"\0\0\0" + zipped(BODY[100:])),
        ("deflate", zlib.compress(BODY) + b"\r\n"),
    ],
)
def test_codings_are_undone_in_whatever_pieces_they_arrive(header: str, body: bytes, sizes: tuple[int, ...]):
    assert decoded(header, body, sizes) == (BODY, True)


@pytest.mark.parametrize("sizes", [(1,), (997,), (1 << 20,)])
def test_the_silent_fault_all_members_of_a_gzip_are_decoded(sizes: tuple[int, ...]):
    members = b"".join(zipped(BODY[place : place + 3_000]) for place in range(0, len(BODY), 3_000))
    assert decoded("gzip", members, sizes) == (BODY, True)
    cut, complete = decoded("gzip", members[:-4], sizes)
    assert (cut, complete) == (BODY, False), "a cut member is not complete"
    assert not decoded("gzip", members[: len(members) // 2], sizes)[1]


@pytest.mark.parametrize(("header", "body"), [("gzip", zipped(BODY)), ("deflate", raw_deflate(BODY))])
@pytest.mark.parametrize("kept", [0, 1, 2, 10, 1_000, -1])
def test_a_cut_body_is_never_complete(header: str, body: bytes, kept: int):
    try:
        assert not decoded(header, body[:kept])[1]
    except EncodingError:
        assert kept < 20


@pytest.mark.parametrize("header", ["br", "zstd", "gzip, br", "compress", "gzip, gzip, gzip, gzip, gzip"])
def test_codings_that_are_not_read_are_refused(header: str):
    with pytest.raises(UnknownEncoding):
        BodyDecoder(header, LIMIT)


def test_a_plain_picture_that_claims_to_be_compressed_is_broken():
    with pytest.raises(EncodingError):
        decoded("gzip", b"\xff\xd8\xff\xe0 not compressed")
    with pytest.raises(EncodingError):
        decoded("gzip", zipped(BODY) + b"\x1f\x8b no member")


@pytest.mark.parametrize("header", ["gzip", "gzip, gzip", "deflate"])
def test_bombs_end_at_the_limit(header: str):
    packed = zlib.compress(bytes(50 << 20), 9) if header == "deflate" else zipped(bytes(50 << 20), 9)
    packed = zipped(packed) if header == "gzip, gzip" else packed
    with pytest.raises(TooLong):
        decoded(header, packed)


def test_a_million_empty_members_end_soon():
    with pytest.raises(EncodingError, match="members"):
        decoded("gzip, gzip", zipped(zipped(b"") * 50_000), limit=50 << 20)


def slowly(header: str, body: bytes) -> tuple[bytes, bool] | None:
    """The same by the standard library on the whole body at once; None if it is broken."""
    for name in reversed(header.split(", ")):
        try:
            if name == "gzip":
                body = gzip.decompress(body)
            elif name == "deflate":
                body = zlib.decompress(body)
        except EOFError:
            return b"", False
        except (zlib.error, OSError) as error:
            return (b"", False) if "incomplete" in str(error) else None
    return body, True


@settings(max_examples=examples(200), deadline=2_000)
@given(st.data())
def test_as_the_standard_library_decodes(data: st.DataObject):
    names = data.draw(st.lists(st.sampled_from(["gzip", "deflate", "identity", "none"]), min_size=1, max_size=4))
    body = plain = data.draw(st.binary(max_size=2_000))
    for name in names:
        if name == "gzip":
            cut = data.draw(st.integers(0, len(body)))
            body = zipped(body[:cut]) + zipped(body[cut:])
        elif name == "deflate":
            body = zlib.compress(body)
    sizes = tuple(data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=5)))
    assert decoded(", ".join(names), body, sizes) == (plain, True) == slowly(", ".join(names), body)


@settings(max_examples=examples(200), deadline=2_000)
@given(st.data())
def test_damaged_bodies_end_in_typed_errors(data: st.DataObject):
    header = data.draw(st.sampled_from(["gzip", "deflate", "gzip, gzip", "deflate, gzip"]))
    body = bytearray(BODY[4_900:5_400])
    for name in header.split(", "):
        body = bytearray(zipped(body) if name == "gzip" else zlib.compress(body))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=40))
    right = slowly(header, bytes(body))
    try:
        found = decoded(header, bytes(body), (data.draw(st.integers(1, 500)),))
    except (EncodingError, TooLong):
        return
    if body and right is not None and right[1]:
        assert found == right


def highest_while(action) -> int:
    """The most bytes that Python held while the action ran, beyond what it held before."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_is_never_held_as_a_whole(layers: int):
    packed = bytes(LIMIT)
    for _ in range(layers):
        packed = zipped(packed * (40 if packed == bytes(LIMIT) else 1), 9)
    decoder = BodyDecoder(", ".join(["gzip"] * layers), 100 << 20)
    counted = []

    def take() -> None:
        counted.append(sum(len(piece) for piece in decoder.pieces(packed)))

    assert highest_while(take) < 2 << 20
    assert counted == [40 << 20]
    assert decoder.complete


def test_a_gzipped_file_is_read_within_its_limit(tmp_path: Path):
    file = tmp_path / "x.gz"
    file.write_bytes(zipped(BODY[:9_000]) + zipped(BODY[9_000:]))
    with gunzipped(file, LIMIT) as source:
        assert source.readline() + source.read() == BODY
    with gunzipped(file, 1_000) as source, pytest.raises(TooLong):
        source.read()
    file.write_bytes(file.read_bytes()[:-9])
    with gunzipped(file, LIMIT) as source, pytest.raises(EncodingError, match="too early"):
        source.read()
    file.write_bytes(BODY)
    with gunzipped(file, LIMIT) as source, pytest.raises(EncodingError):
        source.read()


def test_plain_streams_have_a_limit_too():
    assert CappedReader(io.BytesIO(BODY), LIMIT).read() == BODY
    with pytest.raises(TooLong):
        CappedReader(io.BytesIO(BODY), len(BODY) - 1).read()
