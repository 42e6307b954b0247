"""Distorted pictures: sizes, no hidden state, and each distortion by what it promises."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml.dataset.distortions import DISTORTIONS, UNDISTORTED, colour_cast, distorted, frame

SIDES = st.integers(1, 90)
SIZES: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "crop": lambda w, h: (max(1, round(0.7 * w)), max(1, round(0.7 * h))),
    "rotation": lambda w, h: (h, w),
    "frame": lambda w, h: (
        w + 2 * max(1, round(0.06 * min(w, h))),
        h + 2 * max(1, round(0.06 * min(w, h))) + max(1, round(0.1 * min(w, h))),
    ),
}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("name", DISTORTIONS)
@given(SIDES, SIDES, st.integers(0, 100))
@settings(max_examples=15)
def test_a_distortion_has_its_size_and_depends_on_picture_and_key_alone(name: str, width: int, height: int, seed: int):
    picture = noise(width, height, seed)
    before = np.array(picture)
    random.seed(seed)
    first = distorted(picture, name, f"record {seed}")
    random.seed(seed + 1)
    second = distorted(picture, name, f"record {seed}")
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert np.array_equal(np.asarray(picture), before)
    assert (first.mode, np.asarray(first).dtype) == ("RGB", np.uint8)
    assert first.size == SIZES.get(name, lambda w, h: (w, h))(width, height)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distortion_changes_the_picture(name: str):
    picture = noise(60, 60)
    shown = distorted(picture, name, "r")
    assert shown.size != picture.size or not np.array_equal(np.asarray(shown), np.asarray(picture))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA"])
def test_pictures_of_every_mode_are_taken(mode: str):
    for name in (UNDISTORTED, *DISTORTIONS):
        assert distorted(noise(20, 30).convert(mode), name, "r").mode == "RGB"


def test_undistorted_is_the_picture_itself():
    assert np.array_equal(np.asarray(distorted(noise(9, 7), UNDISTORTED, "r")), np.asarray(noise(9, 7)))


@pytest.mark.parametrize("name", ["crop", "rotation", "colour_cast"])
def test_what_is_random_differs_between_pictures(name: str):
    seen = {np.asarray(distorted(noise(30, 30), name, f"record {at}")).tobytes() for at in range(12)}
    assert len(seen) > 1


def test_grey_has_equal_channels_and_a_blur_is_smoother():
    grey = np.asarray(distorted(noise(40, 40), "grey", "r"))
    assert (grey == grey[..., :1]).all()
    large = noise(200, 200)
    assert np.asarray(distorted(large, "blur", "r")).std() < np.asarray(large).std() / 2


def test_a_cast_multiplies_the_channels_and_stops_at_white():
    shown = {
        colour_cast(Image.new("RGB", (1, 1), (100, 100, 240)), random.Random(at)).getpixel((0, 0)) for at in range(9)
    }
    assert shown == {(125, 100, 180), (75, 100, 255)}


def test_a_frame_keeps_the_whole_picture_inside():
    picture = noise(100, 50)
    shown = frame(picture, random.Random(0))
    assert np.array_equal(np.asarray(shown.crop((3, 3, 103, 53))), np.asarray(picture))
    assert shown.getpixel((1, 1)) == (94, 70, 48)
    assert shown.getpixel((1, shown.height - 1)) == (255, 255, 255)
