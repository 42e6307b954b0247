"""Images from other servers come through the guard, from IIIF manifests of both versions and from Europeana."""

import threading
import time
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ml.assistant.iiif import Picture, pictures_of
from ml.assistant.image_service import ImageService
from ml.assistant.limits import AssistantLimits
from ml.assistant.refusals import Busy
from ml.assistant.remote_images import NotFetched, RemoteImage, RemoteImages, image_of_record
from ml.assistant.service import READING_OTHERS
from pipeline.harvest.europeana import read_record
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings

VERSION_3 = {
    "type": "Manifest",
    "label": {"en": ["Album"]},
    "requiredStatement": {"label": {"en": ["Held by"]}, "value": {"en": ["Museum of Somewhere"]}},
    "items": [
        {
            "type": "Canvas",
            "label": {"none": [f"f. {n}"]},
            "items": [{"items": [{"body": {"id": url, "type": "Image"}}]}],
        }
        for n, url in enumerate(["https://iiif.example/one.jpg", "https://iiif.example/two.jpg"], start=1)
    ],
}
VERSION_2 = {
    "@type": "sc:Manifest",
    "label": "Album",
    "attribution": "Museum of Somewhere",
    "sequences": [
        {
            "canvases": [
                {
                    "label": "f. 1",
                    "images": [{"resource": {"@id": "x", "service": {"@id": "https://iiif.example/image/1/"}}}],
                }
            ]
        }
    ],
}


def test_a_manifest_of_version_3_names_its_images_in_order():
    assert list(pictures_of(VERSION_3)) == [
        Picture(None, "https://iiif.example/one.jpg", "Album · f. 1", "Museum of Somewhere"),
        Picture(None, "https://iiif.example/two.jpg", "Album · f. 2", "Museum of Somewhere"),
    ]


def test_a_manifest_of_version_2_with_an_image_service_is_asked_for_the_size_that_is_kept():
    (picture,) = pictures_of(VERSION_2)
    service = ImageService("https://iiif.example/image/1")
    assert picture == Picture(service, None, "Album · f. 1", "Museum of Somewhere")
    assert picture.addresses()[0] == "https://iiif.example/image/1/full/!1024,1024/0/default.jpg"


@pytest.mark.parametrize("odd", [[], {}, {"items": [None, 3, {"items": "x"}]}, {"sequences": {"canvases": [{}]}}])
def test_what_is_no_manifest_has_no_images(odd):
    try:
        assert list(pictures_of(odd)) == []
    except ValueError:
        assert not isinstance(odd, dict)


def test_a_europeana_record_gives_its_image_title_and_holder():
    record = read_record(
        {
            "object": {
                "about": "/2021/abc",
                "aggregations": [{"edmIsShownBy": "https://m.example/a.jpg", "edmDataProvider": {"def": ["M"]}}],
                "proxies": [{"dcTitle": {"en": ["A vase"]}}],
            }
        }
    )
    assert image_of_record(record) == RemoteImage("https://m.example/a.jpg", "A vase", "europeana", "/2021/abc", "M")


@pytest.fixture
def remote_images(tmp_path: Path, drawn_vase):
    """A server that stands for all others, and the way to it."""
    app = Starlette(
        routes=[
            Route("/manifest", lambda _: JSONResponse(VERSION_3)),
            Route("/moved", lambda _: RedirectResponse("https://iiif.example/one.jpg")),
            Route("/inward", lambda _: RedirectResponse("http://169.254.169.254:22/latest/meta-data")),
            Route("/one.jpg", lambda _: Response(drawn_vase("navy"), media_type="image/jpeg")),
            Route("/two.jpg", lambda _: Response(b"<html>gone</html>", media_type="image/jpeg")),
            Route("/large", lambda _: Response(b"\xff" * 400_000)),
            Route("/page", lambda _: Response("<html>")),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server has ended"
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield made(tmp_path, HttpSettings(hosts={"*": address}), allowed=("127.0.0.0/8",))
    server.should_exit = True
    thread.join()


def made(folder: Path, http: HttpSettings, allowed: tuple[str, ...] = ()) -> RemoteImages:
    images = ImageSettings(allowed_addresses=allowed)
    limits = AssistantLimits(max_upload_bytes=300_000, most_from_manifest=5, max_manifest_bytes=300_000)
    return RemoteImages(folder / "in", limits=limits, images=images, http=http, harvest=HarvestSettings())


def test_a_manifest_fills_the_queue_and_says_what_it_could_not_take(client, service, remote_images):
    address = {"address": "https://iiif.example/manifest", "who": "anna"}
    assert client.post("/api/images/address", json=address).status_code == 403  # the assistant asks nobody by default
    service.remote_images = remote_images
    client.portal.call(remote_images.__aenter__)
    answer = client.post("/api/images/address", json=address).json()
    assert [(image["title"], image["attribution"]) for image in answer["images"]] == [
        ("Album · f. 1", "Museum of Somewhere")
    ]
    assert answer["problems"] == [{"url": "https://iiif.example/two.jpg", "error": "html"}]
    client.portal.call(remote_images.__aexit__)


def test_where_every_picture_found_the_desk_busy_the_answer_says_when_to_try_again(
    client, service, remote_images, monkeypatch
):
    async def busy(data: bytes):
        raise Busy(READING_OTHERS)

    service.remote_images = remote_images
    client.portal.call(remote_images.__aenter__)
    monkeypatch.setattr(service, "decode", busy)
    address = {"address": "https://iiif.example/manifest", "who": "anna"}
    answer = client.post("/api/images/address", json=address)
    assert (answer.status_code, answer.json()) == (503, {"error": "busy", "message": READING_OTHERS})
    assert answer.headers["retry-after"] == "2"
    assert service.refusals.counts["busy"] == 1
    client.portal.call(remote_images.__aexit__)


def test_where_only_some_pictures_found_the_desk_busy_the_answer_names_another_reason(
    client, service, remote_images, monkeypatch
):
    decode, asked = service.decode, []

    async def busy_at_first(data: bytes):
        asked.append(data)
        if len(asked) == 1:
            raise Busy(READING_OTHERS)
        return await decode(data)

    service.remote_images = remote_images
    client.portal.call(remote_images.__aenter__)
    monkeypatch.setattr(service, "decode", busy_at_first)
    answer = client.post("/api/images/address", json={"address": "https://iiif.example/manifest", "who": "anna"})
    assert (answer.status_code, answer.json()["error"]) == (422, "html")
    assert [each["error"] for each in answer.json()["problems"]] == ["busy", "html"]
    client.portal.call(remote_images.__aexit__)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "code"), [("page", "no_manifest"), ("large", "too_large"), ("nothing", "http_404"), ("inward", "bad_port")]
)
async def test_a_bad_address_is_a_sentence(remote_images, path, code):
    async with remote_images:
        with pytest.raises(NotFetched) as refused:
            await remote_images.find(f"https://iiif.example/{path}")
    assert refused.value.code == code


@pytest.mark.anyio
async def test_a_redirect_is_followed_and_checked(remote_images):
    async with remote_images:
        assert (await remote_images.fetch("https://iiif.example/moved")).startswith(b"\xff\xd8\xff")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://127.0.0.1/manifest", "private_address"),
        ("http://[::ffff:10.0.0.1]/", "private_address"),
        ("file:///etc/passwd", "bad_scheme"),
        ("http://user@iiif.example/", "bad_url"),
        ("http://iiif.example:8760/", "bad_port"),
    ],
)
async def test_the_inside_is_never_asked(tmp_path, address, code):
    async with made(tmp_path, HttpSettings(), allowed=("127.0.0.0/8",)) as without_host_map:
        with pytest.raises(NotFetched) as refused:
            await without_host_map.find(address)
    assert refused.value.code == code


@pytest.fixture
def anyio_backend():
    return "asyncio"
