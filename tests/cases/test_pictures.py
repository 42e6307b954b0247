"""Pictures through the decoding process: which are kept, their size and their colours."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decoders import Content, Decoders
from pipeline.images.verify import Limits, Picture, Rejected
from tests.cases.reading import Case

KINDS = ("exif", "icc", "jpeg-end", "png-chunks", "tiff")
LIMITS = Limits(short_side=256, min_short_side=16, jpeg_quality=100, max_pixels=10_000_000)
OUR_JPEG = 3  # levels that our own compression adds to a tolerance


def outcome(data: bytes) -> Picture | str:
    """The stored picture, or the reason for rejecting it."""

    async def run() -> Picture:
        async with Decoders(LIMITS, count=1, timeout_s=20, memory_mb=2_048) as decoders:
            return await decoders.verify(Content(data, None))

    try:
        return asyncio.run(run())
    except Rejected as rejected:
        return rejected.reason


@pytest.mark.shared
def test_pictures(case: Case):
    found = outcome(case.read())
    if not case.right["kept"]:
        assert found in case.right["reason"]
        return
    assert isinstance(found, Picture), found
    assert [found.width, found.height] == case.right["size"]
    pixels = np.asarray(Image.open(io.BytesIO(found.jpeg)).convert("RGB"), int)
    for field in case.right["pixels"]:
        left, top, right, bottom = field["box"]
        mean = pixels[top:bottom, left:right].mean(axis=(0, 1))
        assert (np.abs(mean - field["rgb"]) <= field["tolerance"] + OUR_JPEG).all(), (field, mean)
