"""A closer view: tiles of uploads, of image services through the guard, and services and pictures that are hostile."""

import io
import itertools
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.assistant.limits import AssistantLimits
from ml.assistant.remote_images import RemoteImage
from ml.assistant.store import NewImage
from ml.assistant.tile_service import NoTiles, base_in, tile_service
from tests.ml.assistant.image_servers import other_museums, red
from tests.pipeline.images.pictures import png_chunk


def zoom(client, image_id: str) -> dict:
    """What there is to see of an image."""
    return client.post(f"/api/images/{image_id}/zoom").json()


def tile(client, image_id: str, place: str) -> Image.Image:
    """A tile, decoded."""
    answer = client.get(f"/api/images/{image_id}/tiles/{place}")
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def upload(client, data: bytes) -> str:
    """The id of an image in the queue."""
    return client.post("/api/images?who=anna", content=data).json()["image"]["image_id"]


def test_a_picture_larger_than_the_shown_one_is_kept_in_tiles_at_its_full_size(client):
    image_id = upload(client, red(0, 6_000, 2_000))
    assert client.get(f"/api/images/{image_id}").json()["image"]["width"] == 3_072
    described = zoom(client, image_id)
    assert {name: described[name] for name in ("source", "width", "height", "tile_side", "problem")} == {
        "source": "kept", "width": 6_000, "height": 2_000, "tile_side": 512, "problem": None,
    }  # fmt: skip
    assert described["factors"] == [1, 2, 4, 8, 16]
    assert tile(client, image_id, "1/11/3").size == (6_000 - 11 * 512, 2_000 - 3 * 512)
    assert tile(client, image_id, "16/0/0").size == (375, 125)
    left, right = (tile(client, image_id, f"1/{column}/0").getpixel((100, 100))[0] for column in (1, 10))
    assert left < 60 < 180 < right
    for nowhere in ("1/12/0", "3/0/0", "32/0/0"):
        assert client.get(f"/api/images/{image_id}/tiles/{nowhere}").status_code == 404


def test_a_small_picture_is_its_own_closer_view(client, uploaded):
    assert zoom(client, uploaded) == {
        "source": "picture", "width": 640, "height": 480, "tile_side": None, "factors": [], "host": None,
        "problem": None,
    }  # fmt: skip


def test_a_picture_above_the_limit_is_kept_smaller_and_with_the_limit_0_not_at_all(client, service):
    service.zoom._limits = AssistantLimits(kept_pixels=3_000_000)
    described = zoom(client, upload(client, red(0, 4_000, 3_000)))
    assert (described["width"], described["height"]) == (2_000, 1_500)
    service.zoom._limits = AssistantLimits(kept_pixels=0)
    assert zoom(client, upload(client, red(0.1, 4_000, 3_000)))["source"] == "picture"


def huge_png(width: int, height: int) -> bytes:
    """A PNG of one grey, however large, in few bytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(b"\0" + b"\x7f" * width) for _ in range(min(height, 20))) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "reason"), [((30_000, 30_000), "too_many_pixels"), ((1, 30_000), "too_small"), ((30_000, 1), "too_small")]
)
def test_a_picture_too_large_or_too_narrow_is_refused_in_a_sentence(client, size, reason):
    answer = client.post("/api/images?who=anna", content=huge_png(*size))
    assert answer.json()["error"] == reason
    assert answer.json()["message"].endswith(".")
    assert client.get("/api/queue").json()["images"] == []


def test_a_narrow_picture_of_30_000_px_is_cut_into_tiles(client):
    image_id = upload(client, red(0, 30_000, 40))
    described = zoom(client, image_id)
    assert (described["source"], described["width"], described["height"]) == ("kept", 30_000, 40)
    assert tile(client, image_id, "64/0/0").size == (469, 1)


@pytest.fixture
def museums(client, service, tmp_path: Path):
    """Other museums' image server, and a way to add one of its pictures by the name of the picture."""
    with other_museums(tmp_path) as (museum, remote):
        client.portal.call(remote.__aenter__)
        service.remote_images = remote

        def add(name: str) -> str:
            address = f"http://iiif.example/iiif/{name}/full/1024,/0/default.jpg"
            row = client.portal.call(service.add_remote_image, RemoteImage(address, name), "anna")
            return row.image_id

        yield museum, add
        client.portal.call(remote.__aexit__)


@pytest.mark.parametrize(("name", "width", "height"), [("scroll", 20_000, 1_600), ("wall", 30_000, 30_000)])
def test_a_picture_of_an_image_service_is_seen_by_its_tiles_of_which_only_those_in_view_are_fetched(
    client, museums, name, width, height
):
    museum, add = museums
    image_id = add(name)
    described = zoom(client, image_id)
    assert (described["source"], described["width"], described["height"]) == ("service", width, height)
    assert described["host"] == "iiif.example"
    museum.asked.clear()
    assert tile(client, image_id, "1/39/3").size == (min(512, width - 39 * 512), min(512, height - 3 * 512))
    assert museum.asked == [f"19968,1536,{min(512, width - 19968)},{min(512, height - 1536)}"]
    across, down = tile(client, image_id, "64/0/0").size
    assert (across, abs(down - height / 64) <= 1) == (-(-width // 64), True)
    assert museum.asked[-1] == "full"
    assert client.get(f"/api/images/{image_id}/tiles/1/90/0").status_code == 404


@pytest.mark.parametrize("name", ["liar", "page", "flood"])
def test_a_service_that_lies_about_its_tiles_is_named_and_asked_no_more(client, service, museums, name):
    museum, add = museums
    image_id = add(name)
    assert zoom(client, image_id)["source"] == "service"
    museum.asked.clear()
    answers = [client.get(f"/api/images/{image_id}/tiles/1/{column}/0") for column in (1, 2)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert {answer.json()["error"] for answer in answers} == {"wrong_tile"}
    assert "iiif.example" in answers[0].json()["message"]
    assert len(museum.asked) == 1
    described = zoom(client, image_id)
    assert (described["source"], described["width"]) == ("picture", 1_024)
    assert described["problem"] == answers[0].json()
    remembered = service.zoom._services[image_id]
    assert (remembered.__traceback__, remembered.__context__) == (None, None), "the frames of a request are kept"


def test_many_tiles_at_once_ask_for_the_description_of_a_service_a_few_times_at_most(client, service, museums):
    museum, add = museums
    image_id, museum.pause_s = add("scroll"), 0.2
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: client.get(f"/api/images/{image_id}/tiles/1/{row}/0"), range(16)))
    assert [answer.status_code for answer in answers] == [200] * 16
    assert museum.described <= service.limits.tiles_at_once


@pytest.mark.parametrize(("name", "error"), [("shapeless", "another_picture"), ("mute", "http_404")])
def test_a_service_whose_description_cannot_be_used_leaves_the_kept_picture(client, museums, name, error):
    image_id = museums[1](name)
    described = zoom(client, image_id)
    assert (described["source"], described["problem"]["error"]) == ("picture", error)


def test_without_fetching_no_server_is_asked(client, service, museums):
    museum, add = museums
    image_id = add("scroll")
    service.remote_images = None
    museum.asked.clear()
    assert zoom(client, image_id)["source"] == "picture"
    assert client.get(f"/api/images/{image_id}/tiles/1/0/0").status_code == 404
    assert museum.asked == []


def test_a_dataset_image_is_fetched_at_its_full_size_from_its_provider(client, service, store, museums, tmp_path):
    museum, _ = museums
    data = red(0, 256, 256)
    service.pictures.keep("d" * 64, data)
    store.add_image(NewImage("d" * 64, 256, 256, "a wall", source="dataset", record_id="/1/a"))
    service.records = tmp_path / "records.parquet"
    address = "http://museum.example/iiif/wall/0,0,3000,3000/3000,3000/0/default.jpg"
    pl.DataFrame({"record_id": ["/1/b", "/1/a"], "image_url": ["http://x.example/", address]}).write_parquet(
        service.records
    )
    described = zoom(client, "d" * 64)
    assert (described["source"], described["width"], described["height"]) == ("kept", 3_000, 3_000)
    assert tile(client, "d" * 64, "1/5/5").size == (440, 440)
    museum.asked.clear()
    assert zoom(client, "d" * 64) == described
    assert museum.asked == []  # the tiles are kept


INFO = {"protocol": "http://iiif.io/api/image", "profile": "level2", "width": 3_000, "height": 1_000}


def test_tiles_are_requested_as_the_image_api_writes_them():
    three = tile_service({**INFO, "type": "ImageService3"}, "https://iiif.example/a")
    assert three.tile(2, 1, 0) == ("https://iiif.example/a/1024,0,1024,1000/512,500/0/default.jpg", 512, 500)
    assert three.tile(8, 0, 0) == ("https://iiif.example/a/full/375,125/0/default.jpg", 375, 125)
    two = tile_service({**INFO, "profile": ["http://iiif.io/api/image/2/level1.json"]}, "https://iiif.example/a")
    assert two.tile(1, 5, 1) == ("https://iiif.example/a/2560,512,440,488/440,/0/default.jpg", 440, 488)
    one = {**INFO, "profile": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level2"}
    assert tile_service(one, "https://iiif.example/a").tile(1, 0, 0)[0].endswith("/0,0,512,512/512,/0/native.jpg")


@given(st.integers(1, 40_000), st.integers(1, 40_000), st.sampled_from((128, 256, 512, 1_000)), st.data())
def test_the_tiles_of_a_factor_cover_the_picture_once_and_none_is_larger_than_its_side(width, height, side, data):
    info = {**INFO, "type": "ImageService3", "width": width, "height": height, "tiles": [{"width": side}]}
    service = tile_service(info, "https://iiif.example/a")
    factor = data.draw(st.sampled_from(service.factors))
    across, down = (-(-length // (side * factor)) for length in (width, height))
    assert not service.has(factor, across, 0)
    assert not service.has(factor, 0, down)
    if across * down > 400:
        return
    covered = 0
    for column, row in itertools.product(range(across), range(down)):
        address, tile_width, tile_height = service.tile(factor, column, row)
        assert service.has(factor, column, row)
        assert 1 <= tile_width <= side
        assert 1 <= tile_height <= side
        region = address.split("/")[-4]
        _, _, w, h = (0, 0, width, height) if region == "full" else map(int, region.split(","))
        covered += w * h
    assert covered == width * height


def test_a_service_that_cannot_cut_is_asked_for_the_tiles_that_it_lists():
    listed = {**INFO, "profile": "level0", "tiles": [{"width": 256, "scaleFactors": [1, 4, 2, 8]}]}
    service = tile_service(listed, "https://iiif.example/a")
    assert (service.side, service.factors) == (256, (1, 2, 4, 8))
    for unusable in ([], [{"width": 256, "scaleFactors": [2, 4]}], [{"width": 256, "height": 128}], [{"width": 9_000}]):
        with pytest.raises(NoTiles):
            tile_service({**INFO, "profile": "level0", "tiles": unusable}, "https://iiif.example/a")


@pytest.mark.parametrize("info", [None, [], {}, {"width": 3}, {**INFO, "width": 900_000_000}, {**INFO, "height": "x"}])
def test_what_describes_no_picture_has_no_tiles(info):
    with pytest.raises(NoTiles):
        tile_service(info, "https://iiif.example/a")


def test_the_address_of_a_service_is_found_in_that_of_its_picture():
    assert base_in("https://iiif.example/x/y/full/!1024,1024/0/default.jpg") == "https://iiif.example/x/y"
    for other in (None, "https://iiif.example/a.jpg", "https://iiif.example/a/0,0,5,5/full/0/default.jpg"):
        assert base_in(other) is None
