"""IIIF manifests as institutions write them: every picture comes, at a size that its service offers."""

import copy
import json
import random
import time
from typing import Any

import pytest

from ml.assistant.iiif import Picture, members_of, pictures_of, text_of
from ml.assistant.image_service import ImageService, service_of, sizes_of
from ml.assistant.limits import AssistantLimits
from ml.assistant.remote_images import NotFetched, RemoteImages
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings
from tests.support.iiif_server import Museum, Offered, as_bytes, serving

HOST = "https://library.example"
LEVEL = "http://iiif.io/api/image/2/level{}.json"
LEAF = f"{HOST}/pic/leaf.jpg"


def manifest(*bodies: Any, **more: Any) -> dict[str, Any]:
    """A manifest of version 3 with one canvas for each body."""
    canvases = [
        {"type": "Canvas", "items": [{"type": "AnnotationPage", "items": [{"motivation": "painting", "body": body}]}]}
        for body in bodies
    ]
    return {"type": "Manifest", "label": {"en": ["Herbal"]}, "items": canvases, **more}


def urls(document: Any) -> list[str]:
    return [picture.addresses()[0] for picture in pictures_of(document)]


@pytest.mark.parametrize(
    "body",
    [
        LEAF,
        {"id": LEAF, "type": "Image"},
        {"@id": LEAF, "@type": "dctypes:Image", "service": {}},
        {"id": LEAF, "format": "image/png"},
        {"id": LEAF, "type": "Image", "service": [{"id": f"{HOST}/find", "type": "SearchService2"}]},
        {"type": "Choice", "items": [{"id": LEAF, "type": "Image"}, {"id": f"{HOST}/uv.jpg", "type": "Image"}]},
        {"@type": "oa:Choice", "item": [f"{HOST}/uv.jpg"], "default": {"@id": LEAF, "@type": "dctypes:Image"}},
        {"@type": "oa:Choice", "default": "rdf:nil", "item": [{"@id": LEAF}]},
        {"type": "SpecificResource", "source": LEAF, "selector": {"region": "0,0,5,5"}},
        {"id": f"{HOST}/s/1", "@type": "oa:SpecificResource", "full": {"@id": LEAF, "@type": "dctypes:Image"}},
        [{"type": "TextualBody", "value": "leaf"}, {"id": f"{HOST}/t.txt"}, {"id": LEAF, "type": "Image"}],
        [f"{HOST}/sound.mp3", {"id": f"{HOST}/v.mp4", "type": "Video"}, LEAF],
    ],
)
def test_a_body_gives_its_picture(body):
    assert urls(manifest(body)) == [LEAF]


@pytest.mark.parametrize(
    "canvas",
    [
        {"items": [{"type": "Annotation", "body": {"id": LEAF, "type": "Image"}}]},
        {"images": {"resource": {"@id": LEAF}}},
        {"images": [{"motivation": "painting", "body": LEAF}]},
        {"thumbnail": LEAF},
        {"thumbnail": [{"id": LEAF, "type": "Image"}], "items": [{"items": []}]},
        {"items": [{"items": [{"motivation": "supplementing", "body": f"{HOST}/x.jpg"}, {"body": LEAF}]}]},
    ],
)
def test_a_canvas_gives_one_picture_in_either_version_and_in_mixtures(canvas):
    assert urls({"type": "Manifest", "items": [canvas]}) == [LEAF]
    assert urls({"@type": "sc:Manifest", "sequences": [{"canvases": [canvas]}]}) == [LEAF]
    assert urls({"items": [{"type": "Sequence", "items": [canvas]}]}) == [LEAF]


@pytest.mark.parametrize(
    "label",
    [
        "Herbal",
        ["", "Herbal"],
        {"la": [], "de": [" "], "en": ["Herbal"]},
        {"@value": "Herbal", "@language": "en"},
        [{"@value": ""}, {"@value": "Herbal"}],
    ],
)
def test_a_label_is_its_first_text(label):
    assert text_of(label) == "Herbal"


@pytest.mark.parametrize(
    "holder",
    [
        {"attribution": ["", "Herbarium"]},
        {"requiredStatement": {"value": {"none": [""], "en": ["Herbarium"]}}},
        {"provider": [{"type": "Agent", "label": {"fr": [""], "en": ["Herbarium"]}}]},
    ],
)
def test_the_holder_is_the_attribution(holder):
    assert [picture.attribution for picture in pictures_of(manifest(LEAF, **holder))] == ["Herbarium"]


@pytest.mark.parametrize(
    ("described", "sizes"),
    [
        ({"profile": LEVEL.format(2), "width": 4000, "height": 2000}, ["1024,", "!1024,1024", "full", "max"]),
        ({"profile": LEVEL.format(1), "width": 2000, "height": 4000}, ["512,", "full", "max"]),
        ({"profile": [LEVEL.format(1), {"maxWidth": 400}], "width": 2000, "height": 1000}, ["400,", "full", "max"]),
        ({"profile": LEVEL.format(2), "width": 700, "height": 900}, ["full", "max"]),
        ({"profile": LEVEL.format(0)}, ["full", "max"]),
        (
            {"profile": [LEVEL.format(0), {"supports": ["sizeByW"]}], "width": 2048, "height": 9},
            ["1024,", "!1024,1024"],
        ),
        ({"type": "ImageService3", "profile": "level0"}, ["max"]),
        (
            {
                "type": "ImageService3",
                "profile": "level0",
                "sizes": [{"width": w, "height": w} for w in (100, 9000, 1200, 600)],
            },
            ["1200,1200", "600,600", "max"],
        ),
        ({"profile": {"@id": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level0"}}, ["full"]),
    ],
)
def test_a_size_is_requested_that_the_level_offers(described, sizes):
    assert sizes_of(service_of(described, HOST))[: len(sizes)] == sizes


def test_versions_name_the_quality_differently():
    old = service_of({"profile": "http://library.stanford.edu/iiif/image-api/compliance.html#level1"}, f"{HOST}/i")
    assert Picture(old, None).addresses()[0] == f"{HOST}/i/full/1024,/0/native.jpg"
    assert Picture(ImageService(f"{HOST}/i", 3, 0), None).addresses() == (f"{HOST}/i/full/max/0/default.jpg",)


def test_the_image_service_is_found_among_others():
    login = {"@id": f"{HOST}/in", "profile": "http://iiif.io/api/auth/1/login"}
    image = {"@id": f"{HOST}/i/7/info.json", "profile": LEVEL.format(2), "width": 900, "height": 900}
    assert urls(manifest({"id": LEAF, "service": [login, image]})) == [f"{HOST}/i/7/full/full/0/default.jpg"]


def test_a_collection_lists_its_members():
    assert members_of({"@type": "sc:Collection", "manifests": [{"@id": f"{HOST}/1"}], "next": f"{HOST}/p2"}) == [
        f"{HOST}/1",
        f"{HOST}/p2",
    ]
    assert members_of(manifest(LEAF)) == []


@pytest.fixture
def museum(tmp_path):
    """museum(documents, static, services): the museum, and the way to it."""
    opened = []

    def made(documents: dict[str, Any], static: Any = (), services: Any = None) -> tuple[Museum, RemoteImages]:
        served = Museum(as_bytes(documents), static, services or {})
        opened.append(serving(served))
        images = ImageSettings(allowed_addresses=("127.0.0.0/8",))
        http = HttpSettings(hosts={"*": opened[-1].__enter__()})
        limits = AssistantLimits(max_upload_bytes=300_000, most_from_manifest=20)
        return served, RemoteImages(tmp_path / "in", limits=limits, images=images, http=http, harvest=HarvestSettings())

    yield made
    for each in opened:
        each.__exit__(None, None, None)


@pytest.mark.anyio
@pytest.mark.parametrize("api", ["1.1", "2", "3"])
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("sides", [(640, 480), (5000, 2500)])
async def test_the_first_request_is_one_that_the_service_offers(museum, api, level, sides):
    base = f"{HOST}/iiif/{api}/{level}"
    sizes = () if api == "1.1" else ((320, 240), sides)
    offered = Offered(api, level, *sides, sizes=sizes, without=("!w,h",))
    bare = {"@id": base}
    served, remote = museum({f"{HOST}/m": manifest({"id": LEAF, "service": bare})}, (), {base: offered})
    async with remote:
        (image,) = (await remote.find(f"{HOST}/m")).images
        await remote.fetch(image.source_url)
    assert served.asked[1:] == [f"{base}/info.json", image.source_url]


@pytest.mark.anyio
async def test_collections_are_read_once_each_in_their_order(museum):
    volume = [f"{HOST}/pic/volume {n}.jpg" for n in (1, 2, 3)]
    documents = {
        f"{HOST}/all": {"type": "Collection", "items": [{"id": f"{HOST}/a", "type": "Collection"}, f"{HOST}/3"]},
        f"{HOST}/a": {"@type": "sc:Collection", "members": [f"{HOST}/1", f"{HOST}/all", f"{HOST}/2", f"{HOST}/gone"]},
        **{f"{HOST}/{n}": manifest(url) for n, url in enumerate(volume, start=1)},
    }
    _, remote = museum(documents, volume)
    async with remote:
        found = [image.source_url for image in (await remote.find(f"{HOST}/all")).images]
        assert found == [volume[0], volume[1], f"{HOST}/gone", volume[2]]
        with pytest.raises(NotFetched, match="could not be fetched"):
            await remote.fetch(f"{HOST}/gone")
        assert await remote.fetch(volume[0])


@pytest.mark.anyio
async def test_a_collection_has_a_limit(museum):
    pages = {f"{HOST}/{n}": {"type": "Collection", "manifests": [f"{HOST}/{n + 1}"], "items": []} for n in range(200)}
    served, remote = museum(pages)
    async with remote:
        with pytest.raises(NotFetched) as refused:
            await remote.find(f"{HOST}/0")
    assert refused.value.code == "no_manifest"
    assert len(served.asked) == 5
    wide = {f"{HOST}/w": {"type": "Collection", "manifests": [f"{HOST}/{n}" for n in range(300)]}}
    _, remote = museum(wide | {f"{HOST}/{n}": manifest() for n in range(300)})
    async with remote:
        with pytest.raises(NotFetched) as refused:
            await remote.find(f"{HOST}/w")
    assert refused.value.code == "too_many"


def test_another_size_is_asked_for_where_the_best_is_refused(client, service, museum):
    base = f"{HOST}/i/9"
    body = {"id": f"{base}/full/max/0/default.jpg", "type": "Image", "service": LYING | {"id": base}}
    served, remote = museum({f"{HOST}/m": manifest(body)}, (), {base: Offered("3", 0, 3000, 3000)})
    service.remote_images = remote
    client.portal.call(remote.__aenter__)
    answer = client.post("/api/images/address", json={"address": f"{HOST}/m", "who": "anna"}).json()
    client.portal.call(remote.__aexit__)
    assert [image["source_url"] for image in answer["images"]] == [f"{base}/full/max/0/default.jpg"]
    assert served.asked[1:3] == [f"{base}/full/1024,/0/default.jpg", f"{base}/full/!1024,1024/0/default.jpg"]


LYING = {"type": "ImageService3", "profile": "level2", "width": 3000, "height": 3000}
SEED = {
    "@context": "http://iiif.io/api/presentation/3/context.json",
    "type": "Manifest",
    "label": {"en": ["Herbal"]},
    "provider": [{"label": {"en": ["Herbarium"]}}],
    "sequences": [
        {"canvases": [{"images": [{"resource": {"@id": LEAF, "service": {"@id": HOST, "profile": ["x"]}}}]}]}
    ],
    "items": [
        {
            "type": "Canvas",
            "thumbnail": [{"id": LEAF}],
            "items": [
                {"items": [{"body": {"type": "Choice", "items": [{"id": LEAF, "service": [dict(LYING, id=HOST)]}]}}]}
            ],
        }
    ],
    "manifests": [{"@id": HOST}],
    "requiredStatement": {"value": {"en": ["x"]}},
}
ODD = [None, True, -1, 1e300, "", " ", "\x00", "//x", "http://[", "https://x/\ud800", [], {}, [[]], [None], {"@id": 3}]


def mutated(document: Any, chance: random.Random) -> Any:
    """The document with a few of its values replaced, moved, wrapped or removed."""
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, 6)):
        place: Any = changed
        while isinstance(place, dict | list) and place:
            name = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[name]
            if chance.random() < 0.3 or not isinstance(inner, dict | list) or not inner:
                odd = [*ODD, [inner, inner], {"items": inner}, {"type": "Collection", "items": inner}, LYING, SEED]
                place[name] = copy.deepcopy(chance.choice(odd))
                break
            place = inner
    return changed


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_no_manifest_crashes_or_hangs_the_reader(count):
    chance = random.Random(17)
    for _ in range(count):
        document = mutated(SEED, chance)
        info = mutated(LYING, chance)
        started = time.monotonic()
        members_of(document)
        if not isinstance(document, dict):
            continue
        for picture in pictures_of(document):
            infos = {picture.service.base: info} if picture.service else {}
            assert all(address.lower().startswith("http") for address in picture.addresses(infos))
            assert len(picture.title) <= 300
        assert time.monotonic() - started < 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"items": NaN}', '{"a":' * 2_000 + "1" + "}" * 2_000, "[]", "3", "\ufeff{}"]
)
async def test_what_is_no_manifest_is_a_sentence(museum, text):
    served, remote = museum({})
    served.documents = {f"{HOST}/m": text.encode()}
    async with remote:
        with pytest.raises(NotFetched) as refused:
            await remote.find(f"{HOST}/m")
    assert refused.value.code == "no_manifest"


def test_a_manifest_deeper_than_python_reads_is_refused(museum, client, service):
    deep = json.dumps(manifest(LEAF)).replace('"Herbal"', "[" * 900 + "]" * 900)
    served, remote = museum({}, [LEAF])
    served.documents = {f"{HOST}/m": deep.encode()}
    service.remote_images = remote
    client.portal.call(remote.__aenter__)
    answer = client.post("/api/images/address", json={"address": f"{HOST}/m", "who": "anna"})
    client.portal.call(remote.__aexit__)
    assert answer.status_code in (201, 422)


@pytest.fixture
def anyio_backend():
    return "asyncio"
