"""Whether two similar pictures are copies of one, decided on their pixels."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.images.duplicates.near_duplicates import stored_pictures
from pipeline.images.duplicates.pixel_verification import SIDE, agreement, fitted, pixel_differences, sampled
from tests.pipeline.images.duplicates.test_near_duplicates import grouped, picture, row

WHOLE = np.array([0.0, 0.0, 1.0, 1.0])


def square(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)


def difference(one: Image.Image, other: Image.Image, window: np.ndarray = WHOLE) -> float:
    pictures = np.stack([square(one), square(other)])
    return float(pixel_differences(pictures, np.array([0]), np.array([1]), window[None], 1.0)[0])


def drawn(fill: tuple[int, int, int], shift: int = 0) -> Image.Image:
    """A jug of one colour before a plain ground."""
    image = Image.new("RGB", (256, 256), (200, 190, 180))
    pen = ImageDraw.Draw(image)
    pen.ellipse((80 + shift, 90, 180 + shift, 220), fill=fill, outline=(40, 30, 20), width=3)
    pen.rectangle((110 + shift, 50, 150 + shift, 110), fill=fill, outline=(40, 30, 20), width=3)
    pen.rectangle((20, 230, 60, 245), fill=(20, 20, 20))
    pen.rectangle((60, 230, 100, 245), fill=(180, 30, 30))
    return image


@pytest.mark.parametrize("seed", range(5))
def test_the_window_is_found_to_a_fraction_of_a_point(seed: int):
    image = picture(seed).resize((1024, 1024), Image.Resampling.BICUBIC)
    cropped = image.crop((100, 60, 1000, 960))
    near = np.array([0.08, 0.075, 0.9, 0.86])
    found = fitted(grey(cropped), grey(image), near, 10)
    assert found == pytest.approx(np.array([100, 60, 900, 900]) / 1024, abs=0.2 / SIDE)


def test_a_brighter_copy_fits_as_well():
    image = picture(1)
    brighter = image.point(lambda level: min(255, level * 0.8 + 40))
    assert fitted(grey(brighter), grey(image), WHOLE, 5) == pytest.approx(WHOLE, abs=0.2 / SIDE)
    assert difference(brighter, image) < 0.1


def test_the_same_picture_does_not_differ_and_another_does():
    assert difference(picture(1), picture(1)) == pytest.approx(0, abs=0.02)
    assert difference(picture(1), picture(2)) == np.inf


def test_an_object_of_another_colour_is_another_object():
    assert difference(drawn((150, 90, 60)), drawn((150, 90, 60))) < 0.05
    assert difference(drawn((150, 90, 60)), drawn((70, 110, 150))) > 0.5


def test_an_object_that_stands_elsewhere_is_another_photograph():
    assert difference(drawn((150, 90, 60)), drawn((150, 90, 60), shift=12)) > 0.5


def test_a_line_of_text_is_forgiven_and_the_object_in_such_a_line_is_not():
    marked = picture(3)
    ImageDraw.Draw(marked).text((20, 90), "© ARCHIVE", fill=(255, 255, 255), font_size=30)
    assert difference(marked, picture(3)) < 0.2
    flute = Image.new("RGB", (256, 256), (120, 110, 100))
    other = flute.copy()
    ImageDraw.Draw(flute).rectangle((40, 120, 220, 135), fill=(240, 230, 200), outline=(0, 0, 0), width=3)
    ImageDraw.Draw(other).polygon([(40, 120), (220, 127), (40, 140)], fill=(240, 230, 200), outline=(0, 0, 0), width=3)
    assert difference(flute, other) > 0.5


def test_plain_pictures_show_nothing_to_agree_on():
    plain = np.full((SIDE, SIDE), 90.0, np.float32)
    assert agreement(plain, plain + 5) == 0
    assert fitted(plain, plain + 5, WHOLE, 5) == pytest.approx(WHOLE)


def test_a_window_is_sampled_as_the_whole_when_it_is_the_whole():
    image = square(picture(4)).astype(np.float32)
    assert sampled(image, WHOLE) == pytest.approx(image, abs=1e-3)


def test_a_picture_that_is_not_there_is_named(tmp_path):
    rows = [row("/m/1", picture(1), image_id="a"), row("/m/2", picture(1), image_id="b")]
    with pytest.raises(ValueError, match=r"holds no picture of a; fetch the images again"):
        grouped(rows, pictures=stored_pictures(tmp_path))
