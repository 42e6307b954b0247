"""Images from other servers come through the guard, from IIIF manifests of both versions and from Europeana."""

import threading
import time
from pathlib import Path

import httpx
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
from tests.support.iiif_server import serving

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
    async def busy():
        raise Busy(READING_OTHERS)

    service.remote_images = remote_images
    client.portal.call(remote_images.__aenter__)
    monkeypatch.setattr(service, "_place_at_a_decoder", busy)
    address = {"address": "https://iiif.example/manifest", "who": "anna"}
    answer = client.post("/api/images/address", json=address)
    assert (answer.status_code, answer.json()) == (503, {"error": "busy", "message": READING_OTHERS})
    assert answer.headers["retry-after"] == "2"
    assert service.refusals.counts["busy"] == 1
    client.portal.call(remote_images.__aexit__)


def test_where_only_some_pictures_found_the_desk_busy_the_answer_names_another_reason(
    client, service, remote_images, monkeypatch
):
    wait, asked = service._place_at_a_decoder, []

    async def busy_at_first():
        asked.append(None)
        if len(asked) == 1:
            raise Busy(READING_OTHERS)
        await wait()

    service.remote_images = remote_images
    client.portal.call(remote_images.__aenter__)
    monkeypatch.setattr(service, "_place_at_a_decoder", busy_at_first)
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
async def test_a_long_list_of_records_ends_in_time(remote_images, monkeypatch):
    def slow(record_id: str) -> RemoteImage:
        time.sleep(0.1)
        return RemoteImage(record_id)

    monkeypatch.setattr("ml.assistant.remote_images.FINDING_S", 0.3)
    monkeypatch.setattr(remote_images, "_of_record", slow)
    async with remote_images:
        assert len((await remote_images.find("/1/a")).images) == 1
        with pytest.raises(NotFetched) as refused:
            await remote_images.find("\n".join(f"/1/{number}" for number in range(20)))
    assert refused.value.code == "timeout"


@pytest.mark.anyio
async def test_behind_the_last_image_of_a_manifest_there_is_none(remote_images):
    async with remote_images:
        with pytest.raises(NotFetched) as refused:
            await remote_images.find("https://iiif.example/manifest", start=2)
    assert refused.value.code == "no_manifest"


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


def long_manifest(n: int) -> dict:
    """A manifest whose pictures are all the same bytes."""
    base = "https://iiif.example/canvas"
    canvases = [
        {
            "id": f"{base}/{number}",
            "type": "Canvas",
            "width": 4000,
            "height": 3000,
            "items": [{"items": [{"body": {"id": f"https://iiif.example/one.jpg?{number}", "type": "Image"}}]}],
        }
        for number in range(n)
    ]
    return {"id": "https://iiif.example/long", "type": "Manifest", "label": {"en": ["Long"]}, "items": canvases}


@pytest.fixture
def elsewhere(tmp_path, drawn_vase, service, client):
    """The service asks a server with these documents: elsewhere({"/path": document})."""

    class Elsewhere:
        def __init__(self, documents: dict, **limits: int):
            self.documents = documents

            async def answer(request):
                document = self.documents.get(request.url.path)
                colour = request.url.path.strip("/").removesuffix(".jpg")
                if document:
                    return JSONResponse(document)
                if colour == "nothing":  # an exception here would end connections that other requests are sent on
                    return Response(status_code=404)
                return Response(drawn_vase(colour), media_type="image/jpeg")

            self.serving = serving(Starlette(routes=[Route("/{path:path}", answer)]))
            http = HttpSettings(hosts={"*": self.serving.__enter__()})
            settings = {"limits": AssistantLimits(**limits), "http": http, "harvest": HarvestSettings()}
            images = ImageSettings(allowed_addresses=("127.0.0.0/8",))
            service.remote_images = RemoteImages(tmp_path / "in", images=images, **settings)
            client.portal.call(service.remote_images.__aenter__)

        def add(self, address: str, **values) -> httpx.Response:
            return client.post("/api/images/address", json={"address": address, "who": "anna", **values})

        def close(self):
            client.portal.call(service.remote_images.__aexit__)
            self.serving.__exit__(None, None, None)

    made = []

    def make(documents: dict, **limits: int) -> Elsewhere:
        made.append(Elsewhere(documents, **limits))
        return made[-1]

    yield make
    for each in made:
        each.close()


def manifest_of(name: str, colours: list[str]) -> dict:
    document = long_manifest(len(colours)) | {"id": f"https://iiif.example/{name}", "label": {"none": [name]}}
    for canvas, colour in zip(document["items"], colours, strict=True):
        canvas["id"] = f"https://iiif.example/{name}/{colour}"
        canvas["items"][0]["items"][0]["body"]["id"] = f"https://iiif.example/{colour}.jpg"
    return document


def test_a_manifest_of_5_000_canvases_is_added_in_parts_and_nothing_is_lost(elsewhere):
    colours = ["navy", "red", "gold", "gray", "teal"]
    other = elsewhere({"/long": long_manifest(5_000)}, most_from_manifest=2)
    answer = other.add("https://iiif.example/long").json()
    assert (answer["left"], answer["next"]) == (4_998, 2)
    other.documents = {"/five": manifest_of("five", colours)}
    parts, start = [], 0
    while start is not None:
        answer = other.add("https://iiif.example/five", start=start).json()
        parts.append(len(answer["images"]))
        start = answer["next"]
    assert parts == [2, 2, 1]


def test_a_collection_and_a_list_of_manifests_are_one_batch_each_with_their_canvases(elsewhere, client):
    one, two = manifest_of("one", ["navy", "red"]), manifest_of("two", ["gold"])
    listed = [
        {"id": "https://iiif.example/one", "type": "Manifest"},
        {"id": "https://iiif.example/two", "type": "Manifest"},
    ]
    collection = {"type": "Collection", "label": {"ca": ["Ceràmica"]}, "items": listed}
    other = elsewhere({"/all": collection, "/one": one, "/two": two, "/three": manifest_of("three", ["teal"])})
    added = other.add("https://iiif.example/all").json()["images"]
    assert {each["batch"] for each in added} == {added[0]["batch"]}
    assert [(each["manifest"], each["canvas"], each["collection"]) for each in added] == [
        ("https://iiif.example/one", "https://iiif.example/one/navy", "Ceràmica"),
        ("https://iiif.example/one", "https://iiif.example/one/red", "Ceràmica"),
        ("https://iiif.example/two", "https://iiif.example/two/gold", "Ceràmica"),
    ]
    assert (added[0]["canvas_width"], added[0]["canvas_height"]) == (4000, 3000)
    (batch,) = client.get("/api/queues").json()["batches"]
    assert (batch["collection"], batch["all"]) == ("Ceràmica", 3)
    listed = other.add("https://iiif.example/three\n\nhttps://iiif.example/nothing.jpg\n").json()
    assert [each["manifest"] for each in listed["images"]] == ["https://iiif.example/three"]
    assert [each["url"] for each in listed["problems"]] == ["https://iiif.example/nothing.jpg"]


def test_a_manifest_without_an_id_is_known_by_its_address(elsewhere):
    document = manifest_of("one", ["navy"])
    del document["id"]
    (image,) = elsewhere({"/one": document}).add("https://iiif.example/one").json()["images"]
    assert image["manifest"] == "https://iiif.example/one"


def test_a_list_of_too_many_addresses_is_a_sentence(elsewhere):
    answer = elsewhere({}).add("\n".join(f"https://iiif.example/{number}" for number in range(101)))
    assert (answer.status_code, answer.json()["error"]) == (422, "too_many")
    assert "Add them in parts" in answer.json()["message"]
