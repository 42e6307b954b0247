"""Records, entities, images and the thesaurus over HTTP."""

import hashlib
import io

import httpx
import pytest
from PIL import Image

from pipeline.sandbox.thumbnails import PLACEHOLDER, PLACEHOLDER_SHA256


def _at(url: str) -> tuple[str, dict[str, str]]:
    """Path and header for a URL of another host."""
    parsed = httpx.URL(url)
    return parsed.raw_path.decode(), {"X-Original-Host": f"{parsed.scheme}://{parsed.netloc.decode()}"}


@pytest.fixture
def item(museum):
    """A record with an image and concepts."""
    items = (museum.item(position) for position in range(len(museum)))
    return next(i for i in items if "edmConcept" in i and i.get("edmIsShownBy", [""])[0] in museum.media)


def test_a_record_tells_the_role_of_its_concepts(client, item):
    body = client.get(f"/record/v2{item['id']}.json").json()
    record = body["object"]
    assert (body["success"], record["about"], record["title"]) == (True, item["id"], item["title"])
    europeana, provider = record["proxies"]
    assert (europeana["europeanaProxy"], provider["europeanaProxy"]) == (True, False)
    assert provider["dcType"] == item["dcTypeLangAware"]
    assert {concept["about"] for concept in record["concepts"]} <= set(item["edmConcept"])
    assert all(isinstance(texts, list) for concept in record["concepts"] for texts in concept["prefLabel"].values())
    assert record["aggregations"][0]["edmIsShownBy"] == item["edmIsShownBy"][0]


def test_an_unchanged_record_is_not_sent_again(client, item):
    path = f"/record/v2{item['id']}.json"
    first = client.get(path)
    assert first.headers["ETag"].startswith('W/"')
    assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.get(path, headers={"If-Modified-Since": first.headers["Last-Modified"]}).status_code == 304
    assert client.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200


def test_an_unknown_record_is_a_404(client):
    answer = client.get("/record/v2/9200000/does_not_exist.json")
    assert (answer.status_code, answer.json()["error"]) == (404, "Invalid record identifier: /9200000/does_not_exist")


@pytest.mark.parametrize("path", ["concept/37", "concept/37.json", "concept/base/37", "concept/base/37.json"])
def test_an_entity_answers_under_both_spellings(client, path):
    entity = client.get(f"/entity/{path}").json()
    assert entity["id"] == "http://data.europeana.eu/concept/37"
    assert entity["exactMatch"] == ["http://vocab.getty.edu/aat/300037680"]
    assert entity["prefLabel"]["ca"] == "Mobiliari"


def test_entities_come_in_batches_without_the_unknown(client):
    uris = [f"http://data.europeana.eu/concept/{n}" for n in ("37", "base/41", "999999999")]
    page = client.post("/entity/retrieve", json=uris).json()
    assert (page["type"], page["total"]) == ("ResultPage", 2)
    assert [entity["id"].rpartition("/")[2] for entity in page["items"]] == ["37", "41"]


def test_resolving_leads_to_the_entity_or_to_a_404(client):
    found = client.get("/entity/resolve", params={"uri": "http://vocab.getty.edu/aat/300037680"})
    assert (found.status_code, found.headers["Location"]) == (301, "https://api.europeana.eu/entity/concept/37.json")
    missing = client.get("/entity/resolve", params={"uri": "http://vocab.getty.edu/aat/300000001"})
    assert (missing.status_code, missing.json()["action"]) == (404, "/entity/resolve")


def test_a_providers_image_answers_under_its_own_url(client, item, museum):
    path, headers = _at(item["edmIsShownBy"][0])
    answer = client.get(path, headers=headers)
    assert answer.content == museum.media[item["edmIsShownBy"][0]].read_bytes()
    assert answer.headers["Content-Type"] == "image/jpeg"
    again = client.get(path, headers=headers | {"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/no/such.jpg", headers=headers).status_code == 404


def test_a_path_of_an_api_on_a_providers_host_is_an_image(client):
    assert (
        client.get("/record/v2/search.json?query=*", headers={"X-Original-Host": "https://x.example"}).status_code
        == 404
    )


def test_a_thumbnail_is_at_most_as_wide_as_asked_and_never_enlarged(client, item, museum):
    url = item["edmIsShownBy"][0]
    with Image.open(museum.media[url]) as source:
        width = source.width
    for size, asked in (("w200", 200), ("w400", 400)):
        answer = client.get("/thumbnail/v2/url.json", params={"uri": url, "type": "IMAGE", "size": size})
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.width == min(asked, width)
        assert answer.headers["Cache-Control"] == "public, max-age=604800, must-revalidate"
        v3 = client.get(f"/thumbnail/v3/{asked}/{hashlib.md5(url.encode()).hexdigest()}.jpg")
        assert v3.content == answer.content
        assert client.get(v3.url, headers={"If-None-Match": v3.headers["ETag"]}).status_code == 304


def test_a_missing_thumbnail_is_a_placeholder_in_v2_and_a_404_in_v3(client):
    url = "http://gone.example/1.jpg"
    v2 = client.get("/thumbnail/v2/url.json", params={"uri": url, "type": "IMAGE"})
    assert (v2.status_code, v2.headers["Content-Type"], v2.content) == (200, "image/png", PLACEHOLDER)
    assert "ETag" not in v2.headers
    assert client.get(f"/thumbnail/v3/400/{hashlib.md5(url.encode()).hexdigest()}.jpg").status_code == 404


def test_the_placeholder_is_the_same_on_every_machine():
    assert PLACEHOLDER_SHA256 == "8f7cf64266ba3a39788d95ed97d9c856e5347c72f26ec5871c02920a88ca7ff1"
    with Image.open(io.BytesIO(PLACEHOLDER)) as image:
        assert (image.size, len(image.convert("RGB").getcolors())) == ((200, 200), 2)


def test_bad_thumbnail_requests_are_refused(client):
    assert client.get("/thumbnail/v2/url.json").status_code == 400
    assert client.get("/thumbnail/v2/url.json", params={"uri": "file:///etc/passwd"}).status_code == 400
    assert client.get("/thumbnail/v3/300/0").status_code == 400


QUERY = "SELECT ?l { aat:300037680 gvp:prefLabelGVP/xl:literalForm ?l }"


@pytest.mark.parametrize(
    "ask",
    [
        lambda c, q: c.get("/sparql", params={"query": q}),
        lambda c, q: c.post("/sparql", data={"query": q}),
        lambda c, q: c.post("/sparql", content=q, headers={"Content-Type": "application/sparql-query"}),
    ],
)
def test_the_thesaurus_answers_get_and_both_kinds_of_post_with_gettys_prefixes(client, ask):
    answer = ask(client, QUERY)
    assert answer.headers["Content-Type"] == "application/sparql-results+json"
    assert [row["l"]["value"] for row in answer.json()["results"]["bindings"]] == ["furniture"]


def test_the_thesaurus_answers_in_xml_when_asked(client):
    answer = client.get("/sparql", params={"query": QUERY}, headers={"Accept": "application/sparql-results+xml"})
    assert answer.text.startswith('<?xml version="1.0"?><sparql')
    assert '<literal xml:lang="en">furniture</literal>' in answer.text


def test_a_malformed_query_and_an_update_are_refused(client):
    assert client.get("/sparql", params={"query": "SELECT"}).status_code == 400
    assert client.post("/sparql", data={"query": "DELETE WHERE { ?s ?p ?o }"}).status_code == 400
    assert client.get("/sparql").status_code == 400


def test_plain_http_is_moved_to_https(client):
    answer = client.get("/sparql", params={"query": QUERY}, headers={"X-Original-Host": "http://vocab.getty.edu"})
    assert answer.status_code == 301
    assert answer.headers["Location"].startswith("https://vocab.getty.edu/sparql?query=SELECT")
