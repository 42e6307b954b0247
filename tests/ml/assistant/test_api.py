"""The API, one behaviour a test."""

import hashlib
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from ml.assistant.app import create_app
from ml.assistant.models import Models
from ml.assistant.schema import decisions, images, showings, steps
from ml.assistant.service import AssistantService
from ml.assistant.trained import ModelError
from ml.assistant.vocabulary import Term, with_alignment

BRONZE, SILVER, METAL, PORTRAITS = "300010957", "300011029", "300010900", "300015637"


def act(version: int, **values) -> dict:
    return {"who": "anna", "version": version, "key": f"key-{version:08d}", **values}


def test_an_image_gives_ten_tags_per_facet_best_first_with_their_paths(client, drawn_vase):
    answer = client.post("/api/suggest", content=drawn_vase()).json()
    assert {facet: len(found["tags"]) for facet, found in answer["facets"].items()} == {
        "object_types": 10,
        "materials": 10,
        "classifications": 10,
        "subjects": 6,
    }
    scores = [tag["score"] for tag in answer["facets"]["materials"]["tags"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["facets"]["materials"]["threshold"] == 0.7
    for tag in answer["facets"]["materials"]["tags"]:
        parent = answer["nodes"][tag["tag_id"]]["parent"]
        assert parent is None or parent in answer["nodes"]


def test_the_same_image_gives_the_same_suggestions(client, drawn_vase):
    picture = drawn_vase()
    assert client.post("/api/suggest", content=picture).json() == client.post("/api/suggest", content=picture).json()


def test_another_model_can_be_asked(client, drawn_vase):
    answer = client.post("/api/suggest?model=softmax&limit=3", content=drawn_vase()).json()
    assert answer["model"]["key"] == "softmax"
    assert len(answer["facets"]["materials"]["tags"]) == 3
    assert client.post("/api/suggest?model=gpt", content=drawn_vase()).status_code == 404


def test_a_model_of_another_network_is_a_sentence_without_the_machines_paths(client, service, drawn_vase):
    def damaged():
        raise ModelError("/home/me/models/softmax/weights.safetensors is of another network")

    service.models._loaders = {**service.models._loaders, "softmax": damaged}
    answer = client.post("/api/suggest?model=softmax", content=drawn_vase())
    assert (answer.status_code, answer.json()["error"]) == (503, "unusable_model")
    assert "/home" not in answer.text
    assert client.post("/api/suggest", content=drawn_vase()).status_code == 200


def test_a_store_that_does_not_answer_is_said_so(client, service, uploaded, monkeypatch):
    def locked(*_: object, **__: object) -> None:
        raise OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))

    monkeypatch.setattr(service.store, "decide", locked)
    body = act(0, tag_id=BRONZE, action="accept")
    answer = client.post(f"/api/images/{uploaded}/decisions", json=body)
    assert (answer.status_code, answer.json()["error"]) == (503, "store_away")
    monkeypatch.undo()
    assert client.post(f"/api/images/{uploaded}/decisions", json=body).status_code == 200


def test_an_upload_is_kept_under_its_hash_and_served_re_encoded(client, drawn_vase):
    data = drawn_vase(kind="PNG")
    answer = client.post("/api/images?who=anna&title=vase.png", content=data)
    image_id = hashlib.sha256(data).hexdigest()
    assert (answer.status_code, answer.json()["image"]["image_id"]) == (201, image_id)
    served = client.get(f"/api/images/{image_id}/picture")
    assert served.headers["content-type"] == "image/jpeg"
    assert served.content.startswith(b"\xff\xd8\xff")
    assert client.get(f"/api/images/{image_id}/thumbnail").status_code == 200


def test_a_decision_is_there_after_a_reload(client, uploaded):
    answer = client.post(
        f"/api/images/{uploaded}/decisions", json=act(0, tag_id=BRONZE, action="accept", clicks=2)
    ).json()
    assert answer["annotation"]["accepted"] == [BRONZE]
    assert METAL in answer["annotation"]["implied"]
    assert client.get(f"/api/images/{uploaded}").json()["annotation"] == answer["annotation"]


def test_an_old_version_is_answered_with_what_changed(client, uploaded):
    client.post(f"/api/images/{uploaded}/decisions", json=act(0, tag_id=BRONZE, action="accept"))
    answer = client.post(
        f"/api/images/{uploaded}/decisions",
        json={**act(0, tag_id=SILVER, action="accept"), "who": "berta", "key": "another-key"},
    )
    assert answer.status_code == 409
    assert answer.json()["annotation"]["accepted"] == [BRONZE]
    assert [(step["who"], step["changes"][0]["tag_id"]) for step in answer.json()["since"]] == [("anna", BRONZE)]


def test_undo_takes_back_the_latest_step(client, uploaded):
    client.post(f"/api/images/{uploaded}/decisions", json=act(0, tag_id=BRONZE, action="accept"))
    assert client.post(f"/api/images/{uploaded}/undo", json=act(1)).json()["annotation"]["accepted"] == []
    assert client.post(f"/api/images/{uploaded}/undo", json=act(2)).status_code == 409


def test_an_image_that_is_done_counts_as_progress(client, uploaded):
    answer = client.post(f"/api/images/{uploaded}/state", json=act(0, kind="done")).json()
    assert answer["progress"] == {"open": 0, "done": 1, "skipped": 0, "all": 1, "left_s": None}


def test_a_blind_image_gets_no_suggestions(client, drawn_vase, service):
    service.blind_share = 1.0
    image_id = client.post("/api/images?who=anna", content=drawn_vase()).json()["image"]["image_id"]
    answer = client.get(f"/api/images/{image_id}/suggestions").json()
    assert (answer["blind"], answer["facets"], answer["showing_id"]) == (True, {}, None)


def test_the_tree_opens_level_by_level(client):
    roots = client.get("/api/tree/materials").json()["nodes"]
    assert METAL in [node["tag_id"] for node in roots]
    below = client.get(f"/api/tags/{METAL}/children").json()["nodes"]
    assert [node["labels"]["en"] for node in below] == ["iron", "nonferrous metal"]
    assert client.get(f"/api/tags/{BRONZE}").json()["path"][0]["tag_id"] == METAL


def test_search_finds_by_any_language_without_accents(client):
    for query, tag in (("retrat", PORTRAITS), ("PORTRÀ", PORTRAITS), ("portretten", PORTRAITS), ("bronce", BRONZE)):
        hits = client.get("/api/search", params={"q": query, "lang": "ca"}).json()["hits"]
        assert tag in [hit["tag_id"] for hit in hits], query


def test_what_is_no_image_is_refused_with_a_reason(client, drawn_vase):
    for data, status, code in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "svg"),
        (b"%PDF-1.7", 415, "pdf"),
        (drawn_vase()[:2000], 422, "truncated"),
        (b"", 400, "empty"),
    ):
        answer = client.post("/api/images?who=anna", content=data)
        assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert client.post("/api/images?who=a", content=b"x", headers={"content-type": "text/html"}).status_code == 415


def test_too_large_an_upload_is_refused_before_it_is_read(client, service):
    answer = client.post("/api/images?who=anna", content=b"\xff" * (service.limits.max_upload_bytes + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")

    def pieces():
        for _ in range(30):
            yield b"\xff" * 1_000_000

    assert client.post("/api/images?who=anna", content=pieces()).status_code == 413


def test_a_page_of_another_origin_is_refused(client, uploaded):
    body = act(0, tag_id=BRONZE, action="accept")
    address = f"/api/images/{uploaded}/decisions"
    assert client.post(address, json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post(address, json=body, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    del client.headers["x-assistant"]
    assert client.post(address, json=body).status_code == 403
    assert client.get(f"/api/images/{uploaded}").json()["annotation"]["version"] == 0


def test_another_host_name_is_refused_on_loopback(client):
    assert client.get("/api/about", headers={"host": "rebound.example"}).status_code == 421


def test_every_answer_carries_the_security_headers(client):
    for address in ("/", "/api/about", "/api/images/xyz", "/nothing"):
        headers = client.get(address).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_ids_never_become_paths(client):
    for image_id in ("..%2f..%2fetc%2fpasswd", "a" * 63, "A" * 64, "../" * 20):
        assert client.get(f"/api/images/{image_id}/picture").status_code in (404, 422)
    for name in ("../app.py", "..%2fapp.py", "%2e%2e/store.py", "/etc/passwd"):
        assert client.get(f"/page/{name}").status_code == 404


def everything_kept(service) -> dict[str, object]:
    """Every row of every table, and every file with its time."""
    tables = (images, showings, steps, decisions)
    with service.store.engine.connect() as connection:
        rows = {table.name: connection.execute(table.select()).all() for table in tables}
    files = {file: file.stat().st_mtime_ns for file in service.pictures.folder.rglob("*") if file.is_file()}
    return {**rows, "files": files}


def test_get_writes_nothing(client, service, uploaded):
    paths = client.get("/openapi.json").json()["paths"]
    values = {"image_id": uploaded, "tag_id": BRONZE, "facet": "materials", "project_id": "softmax.materials"}
    values |= {"factor": 1, "column": 0, "row": 0}
    asked = {"q": "por", "prefix": "por", "manifest": "https://iiif.example/manifest"}
    before = everything_kept(service)
    for path in (path for path, methods in paths.items() if "get" in methods):
        assert client.get(path.format(**values), params=asked).status_code in (200, 404), path
    for kind in ("csv", "edm", "webannotation", "lido"):
        assert client.get(f"/api/export?machine=true&format={kind}").status_code == 200
    assert everything_kept(service) == before
    shown = client.post(f"/api/images/{uploaded}/suggestions").json()
    assert shown["showing_id"]
    assert len(everything_kept(service)["showings"]) == 1


def test_the_status_counts_what_was_refused(client):
    client.get("/api/about", headers={"host": "rebound.example"})
    client.get("/api/about", headers={"origin": "http://evil.example"})
    status = client.get("/api/status").json()
    assert {code: n for code, n in status["refused"].items() if n} == {"wrong_host": 1, "foreign_page": 1}
    assert status["in_work"] == {"decoders": 0, "model": 0, "addresses": 0}


def test_openapi_describes_every_address(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/suggest", "/api/images/{image_id}/decisions", "/api/search"} <= set(paths)


def test_tags_of_the_published_files_are_asked_for_and_decided_by_their_paths(tmp_path, store, image_id):
    seat, chair = "object_types: moble", "object_types: moble | cadira d'or"
    tags = [Term(seat, "object_types"), Term(chair, "object_types", (seat,), {"ca": "cadira"}, in_model=True)]
    vocabulary = with_alignment(tags, {chair: "300037772"}, ())
    models, folder = Models({}, [], None), tmp_path / "published"
    service = AssistantService(vocabulary=vocabulary, models=models, store=store, folder=folder)
    page = {"base_url": "http://127.0.0.1:8760", "headers": {"x-assistant": "1"}}
    with TestClient(create_app(service), **page) as client:
        below = client.get(f"/api/tags/{quote(seat)}/children").json()["nodes"]
        assert [node["tag_id"] for node in below] == [chair]
        assert client.get(f"/api/tags/{quote(chair)}").json()["uri"] == "http://vocab.getty.edu/aat/300037772"
        decision = {"who": "anna", "version": 0, "key": "key-00000001", "tag_id": chair, "action": "accept"}
        assert client.post(f"/api/images/{image_id}/decisions", json=decision).status_code == 200
        for odd in ("object_types: a\nb", "object types: a", "x" * 30, f"object_types: {'a' * 1_001}"):
            assert client.post(f"/api/images/{image_id}/decisions", json={**decision, "tag_id": odd}).status_code == 422
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(decisions.c.tag_id)).scalars().all() == [chair]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "picture"),
        ("GET", "thumbnail"),
        ("GET", "suggestions"),
        ("POST", "suggestions"),
    ],
)
def test_a_picture_that_is_missing_on_the_disk_is_told_in_a_sentence(client, service, uploaded, method, path):
    for file in (service.pictures.file(uploaded), service.pictures.thumbnail(uploaded)):
        file.unlink()
    answer = client.request(method, f"/api/images/{uploaded}/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"] == "no_picture"
    assert answer.json()["message"] == "The picture of this image is missing in the assistant's folder."
    assert client.get(f"/api/images/{uploaded}").status_code == 200  # its decisions are still there
    assert client.get("/api/export?machine=true").status_code == 200
