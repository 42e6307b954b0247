"""JPEGs whose end is missing: kept while every pixel is there, refused when one is not."""

import numpy as np
import pytest
from PIL import Image

from pipeline.images.formats.jpeg import has_all_scans, reduced
from pipeline.images.formats.read import Unreadable, open_picture
from tests.pipeline.images.formats.fields import COLOURS, GREYS, picture, read, same, saved, seen
from tests.pipeline.images.formats.metadata import segment, with_segments

KINDS = {
    "baseline": (picture(), {}),
    "all chrominance": (picture(), {"subsampling": 0}),
    "restarts": (picture(), {"restart_marker_blocks": 2}),
    "optimised": (picture(), {"optimize": True}),
    "progressive": (picture(), {"progressive": True}),
    "grey": (picture(GREYS), {}),
    "progressive grey": (picture(GREYS), {"progressive": True}),
    "cmyk": (picture().convert("CMYK"), {}),
}


def jpeg(kind: str) -> bytes:
    """A JPEG of that kind."""
    image, options = KINDS[kind]
    return saved(image, "JPEG", quality=95, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [b"", b"\xff", b"\0\0\0", b"\r\n<!-- a page -->"])
@pytest.mark.parametrize("wanted", [16, 512])
def test_without_its_end_marker_the_picture_is_the_same(kind: str, end: bytes, wanted: int):
    whole = jpeg(kind)
    assert whole.endswith(b"\xff\xd9")
    assert read(whole[:-2] + end, wanted).tobytes() == read(whole, wanted).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9, 0.97])
@pytest.mark.parametrize("wanted", [8, 512])
def test_half_files_are_refused(kind: str, share: float, wanted: int):
    noise = np.random.default_rng(4).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    image, options = KINDS[kind]
    data = saved(Image.fromarray(noise).convert(image.mode), "JPEG", quality=80, **options)
    with pytest.raises(Unreadable) as refused:
        read(data[: int(len(data) * share)], wanted)
    assert refused.value.truncated


@pytest.mark.parametrize("kind", ["baseline", "restarts", "progressive", "grey"])
def test_wherever_it_is_cut_a_picture_is_whole_or_refused(kind: str):
    image, options = KINDS[kind]
    noise = np.random.default_rng(5).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise).convert(image.mode), "JPEG", quality=60, **options)
    whole, kept = read(data).tobytes(), 0
    for cut in range(data.index(b"\xff\xda"), len(data) - 1, 3):
        try:
            assert read(data[:cut]).tobytes() == whole, cut
            kept += 1
        except Unreadable:
            continue
    assert kept <= 2


def scans(data: bytes) -> list[int]:
    """Where the scans of a JPEG begin."""
    found, place = [], 0
    while (place := data.find(b"\xff\xda", place)) >= 0:
        found.append(place)
        place += 2
    return found


def test_a_progressive_picture_that_ends_between_two_scans_is_refused():
    data = jpeg("progressive")
    for place in scans(data)[1:]:
        assert not has_all_scans(data[:place])
        with pytest.raises(Unreadable):
            read(data[:place])
    assert has_all_scans(data[:-2])


def separate_scans() -> bytes:
    """A baseline JPEG with one scan for each component: three grey ones put together."""
    parts = [saved(layer, "JPEG", quality=95) for layer in picture().convert("YCbCr").split()]
    tables = parts[0][2 : parts[0].index(b"\xff\xc0")]
    frame = bytearray(parts[0][parts[0].index(b"\xff\xc0") :][: 2 + 11])
    size = bytes(frame[4:9])
    head = segment(0xC0, size + b"\x03" + b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3)))
    huffman = parts[0][parts[0].index(b"\xff\xc4") : parts[0].index(b"\xff\xda")]
    body = b""
    for number, part in enumerate(parts, 1):
        start = part.index(b"\xff\xda")
        body += segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + part[start + 10 : -2]
    return b"\xff\xd8" + tables + head + huffman + body + b"\xff\xd9"


def test_baseline_pictures_may_have_a_scan_for_each_component_and_need_all():
    data = separate_scans()
    assert same(seen(data), COLOURS, 6)
    assert same(seen(data[:-2]), COLOURS, 6)
    for place in scans(data)[1:]:
        assert not has_all_scans(data[:place])
        with pytest.raises(Unreadable):
            read(data[:place])


def test_only_what_decides_the_pixels_reaches_the_decoder():
    data = jpeg("baseline")
    more = [segment(marker, b"metadata" * 9) for marker in (0xE1, 0xE2, 0xE3, 0xED, 0xEF, 0xFE)]
    assert reduced(with_segments(data, *more)).data == reduced(data).data == data


def test_the_colour_space_stays_what_the_adobe_segment_says():
    rgb = saved(picture(), "JPEG", quality=95, keep_rgb=True)
    assert same(seen(rgb), COLOURS, 4)
    assert reduced(rgb).data == rgb


def test_a_huge_picture_is_only_opened():
    opened = open_picture(jpeg("baseline"), "JPEG")
    assert (opened.width, opened.height, opened.orientation, opened.profile) == (64, 48, 1, None)
