"""Random parts of JPEGs, scaled by torch: against Pillow, at the edges, mirrored."""

import io
import random

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from ml.dataset.batches import Draw, Images
from ml.dataset.random_part import random_part
from ml.dataset.split import ImageSplit, Jpegs
from ml.dataset.tag_list import TagList
from ml.dataset.transforms import Interpolation, View, random_box
from tests.ml.torch_threads import one_thread  # noqa: F401

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def jpeg(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def noise(height: int, width: int) -> bytes:
    return jpeg(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [50, 160])  # smaller and larger than the part
def test_a_part_looks_as_pillow_would_scale_it(interpolation: Interpolation, size: int):
    data, view = noise(90, 120), View(size, (0.5, 1.0), flip=False, interpolation=interpolation)
    for seed in range(5):
        shown = random_part(Image.open(io.BytesIO(data)), view, random.Random(seed))
        box = random_box(120, 90, random.Random(seed), (0.5, 1.0))
        whole = Image.open(io.BytesIO(data))  # too small to be decoded at a reduced scale
        expected = np.asarray(whole.crop(tuple(map(int, box))).resize((size, size), PILLOW[interpolation]))
        assert shown.shape == (size, size, 3)
        assert shown.dtype == torch.uint8
        assert np.abs(shown.numpy().astype(int) - expected).max() <= 2  # of 255, in noise


def test_a_part_of_a_large_jpeg_is_where_pillow_shows_it():
    """It is decoded at a reduced scale, and its box is rounded to whole pixels there."""
    x, y = np.meshgrid(np.linspace(0, 255, 999), np.linspace(0, 255, 751))
    data, view = jpeg(np.stack([x, y, 255 - x], 2).astype(np.uint8)), View(64, (0.3, 1.0))
    for seed in range(10):
        shown = random_part(Image.open(io.BytesIO(data)), view, random.Random(seed)).numpy().astype(float)
        expected = view.apply(Image.open(io.BytesIO(data)), random.Random(seed))
        assert np.abs(shown - expected).max() <= 4  # of 255; the gradient rises by one in three pixels


@pytest.mark.parametrize(("width", "height"), [(999, 751), (333, 1001), (9, 7), (1, 1)])
def test_no_pixel_from_outside_of_the_picture_is_shown(width: int, height: int):
    """Odd sides decoded at 1/2 are rounded up: a box that ends beyond the last pixel would bring in black."""
    white = jpeg(np.full((height, width, 3), 255, np.uint8))
    view = View(48, (0.08, 1.0))
    for seed in range(30):
        assert random_part(Image.open(io.BytesIO(white)), view, random.Random(seed)).min() == 255


def test_a_grey_jpeg_has_three_equal_channels():
    grey = jpeg(np.random.default_rng(0).integers(0, 256, (300, 400), np.uint8))
    shown = random_part(Image.open(io.BytesIO(grey)), View(40, (0.3, 1.0)), random.Random(0))
    assert torch.equal(shown[..., 0], shown[..., 1])
    assert torch.equal(shown[..., 0], shown[..., 2])


def test_half_of_the_draws_are_mirrored():
    data = noise(60, 60)
    plain, flipped = View(30, (1.0, 1.0), flip=False), View(30, (1.0, 1.0))
    mirrored = 0
    for seed in range(40):
        straight = random_part(Image.open(io.BytesIO(data)), plain, random.Random(seed))
        drawn = random_part(Image.open(io.BytesIO(data)), flipped, random.Random(seed))
        mirrored += torch.equal(drawn, straight.flip(1))
        assert torch.equal(drawn, straight) or torch.equal(drawn, straight.flip(1))
    assert 8 <= mirrored <= 32


@pytest.mark.parametrize("view", [View(24), View(24, fit="shortest", part=0.875), View(24, (0.5, 1.0))])
def test_evaluation_and_decoded_pictures_are_pillows_to_the_byte(view: View):
    """They must not change: published figures and the demo's are made of them."""
    stored = pa.chunked_array([pa.array([noise(80, 100)], pa.large_binary())])
    split = ImageSplit("train", ("a",), (0,), ("",), Jpegs(stored, np.arange(1)), {}, {})
    if view.crop_scale is not None:
        split = split.decoded(40)
    images = Images(split, TagList("", "", {}), view)
    draw = Draw(0, 5)
    expected = view.apply(images.picture(0), images.rng(draw))
    assert np.array_equal(images[draw]["image"].numpy(), expected)
