"""Pictures through the decoding process: which are kept, their size and their colours."""

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decoders import Content, Decoders
from pipeline.images.verify import Limits, Picture, Rejected
from tests.cases.reading import Case

KINDS = ("exif", "icc", "jpeg-end", "png-chunks", "tiff")
LIMITS = Limits(short_side=256, min_short_side=16, jpeg_quality=100, max_pixels=10_000_000)
OUR_JPEG = 3  # levels that our own compression adds to a tolerance


@pytest.fixture(scope="module")
def outcome() -> Iterator[Callable[[bytes], Picture | str]]:
    """outcome(data): the stored picture, or the reason for rejecting it. One decoding process for all cases."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        decoders = runner.run(stack.enter_async_context(Decoders(LIMITS, count=1, timeout_s=20, memory_mb=2_048)))

        def verify(data: bytes) -> Picture | str:
            try:
                return runner.run(decoders.verify(Content(data, None)))
            except Rejected as rejected:
                return rejected.reason

        yield verify
        runner.run(stack.aclose())


@pytest.mark.shared
def test_pictures(case: Case, outcome: Callable[[bytes], Picture | str]):
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
