"""A wrong picture under a right URL is found by asking the source again."""

import hashlib

import polars as pl
import pytest
from starlette.responses import Response

from pipeline.images.sources import SourceCheck, check_sources
from pipeline.settings import HttpSettings, ImageSettings
from tests.pipeline.images.pictures import jpeg

A = "http://a.example"


@pytest.fixture
def checked(provider):
    """check_sources of 8 images whose sources answer with `bodies[n]`, each stored as the hash of `stored[n]`."""

    def run(stored: list[bytes], bodies: list[bytes | None]) -> SourceCheck:
        for number, body in enumerate(bodies):
            provider.answers[f"/{number}.jpg"] = Response(status_code=503) if body is None else Response(body)
        rows = [(hashlib.sha256(data).hexdigest(), f"{A}/{number}.jpg") for number, data in enumerate(stored)]
        images = pl.DataFrame(rows, schema=["image_id", "source_url"], orient="row")
        settings = ImageSettings(allowed_addresses=("127.0.0.0/8",))
        return check_sources(images, settings, HttpSettings(hosts={"*": provider.address}))

    return run


def pictures(start: int = 0) -> list[bytes]:
    return [jpeg() + bytes([number]) for number in range(start, start + 8)]


def test_what_the_sources_serve_is_what_is_stored(checked):
    found = checked(pictures(), pictures())
    assert (found.asked, found.answered, found.changed, found.problem) == (8, 8, [], None)


def test_pictures_of_another_museum_are_found(checked):
    found = checked(pictures(), pictures(start=100))
    assert found.problem is not None
    assert found.problem.startswith("8 of 8 images asked again are not what is stored")


def test_one_replaced_picture_is_a_providers_everyday_correction(checked):
    found = checked(pictures(), [*pictures()[:7], b"another"])
    assert (found.changed, found.problem) == ([f"{A}/7.jpg"], None)


def test_a_source_that_gives_no_answer_says_nothing(checked):
    found = checked(pictures(), [None] * 8)
    assert (found.answered, found.changed, found.problem) == (0, [], None)
