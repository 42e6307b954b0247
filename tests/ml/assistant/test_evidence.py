"""Why a tag: the nearest pictures that carry it, with source and rights."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from ml.assistant.app import create_app
from ml.assistant.service import AssistantService
from ml.assistant.stored_features import NotDescribed, StoredFeatures
from tests.ml.assistant.conftest import vase_picture
from tests.ml.assistant.copper_vases import COPPER, RIGHTS, copper_desk


@pytest.fixture
def service(tmp_path, vocabulary, store) -> AssistantService:
    """A service with a dataset of three copper vases."""
    return copper_desk(tmp_path, vocabulary, store)


def evidence(client, image_id: str, **more) -> dict:
    """What speaks for copper."""
    answer = client.post(f"/api/tags/{COPPER}/evidence", json={"image_id": image_id, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_nearest_training_images_with_the_tag_come_first_with_holder_and_rights(client, uploaded):
    found = evidence(client, uploaded)
    assert [each["holder"] for each in found["images"]] == ["City Museum", "Museum of gold", "Museum of navy"]
    nearest, second = found["images"][:2]
    assert (nearest["title"], nearest["rights"], nearest["rights_uri"]) == ("Brown vase", "CC BY-SA 4.0", RIGHTS)
    assert nearest["page"] == "https://www.europeana.eu/item/1/brown"
    assert nearest["kind"] == "training"
    assert (second["title"], second["rights"]) == ("/1/gold", None)
    assert nearest["likeness"] > second["likeness"]
    assert (found["seen"], found["all"]) == (3, 3)
    assert client.get(f"/api/examples/{nearest['image_id']}").status_code == 200


def test_images_on_which_people_accepted_the_tag_count_too(client, uploaded):
    other = client.post("/api/images?who=anna&title=sienna.jpg", content=vase_picture("sienna")).json()["image"]
    step = {"who": "anna", "version": 0, "key": "key-00000001", "tag_id": COPPER, "action": "accept"}
    client.post(f"/api/images/{other['image_id']}/decisions", json=step)
    client.post(f"/api/images/{uploaded}/decisions", json={**step, "key": "key-00000002"})
    found = evidence(client, uploaded)["images"]
    assert uploaded not in [each["image_id"] for each in found]
    (decided,) = [each for each in found if each["kind"] == "decided"]
    assert (decided["title"], decided["holder"], decided["rights"]) == ("sienna.jpg", None, None)
    client.post(f"/api/images/{other['image_id']}/undo", json={"who": "anna", "version": 1, "key": "key-00000003"})
    assert "decided" not in [each["kind"] for each in evidence(client, uploaded)["images"]]


def page_client(service) -> TestClient:
    return TestClient(create_app(service), base_url="http://127.0.0.1:8760", headers={"x-assistant": "1"})


def stored_colours(service, n: int) -> StoredFeatures:
    """The dataset with `n` more copper vases, and the stored vectors of all its images; the last one is most alike."""
    more = [f"{number:064x}" for number in range(n)]
    first = next(iter(service.examples.locations.values()))
    service.examples.locations |= dict.fromkeys(more, first)
    known = list(service.examples.locations)
    angles = np.linspace(0.1, 1.5, len(known))[::-1]
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    return StoredFeatures(known, vectors, lambda jpeg: np.array([1.0, 0.0]), "test")


def test_all_training_images_with_the_tag_are_compared_by_the_stored_features(service):
    service._open_stored = lambda: stored
    stored = stored_colours(service, 200)
    with page_client(service) as client:
        own = client.post("/api/images?who=anna", content=vase_picture()).json()["image"]["image_id"]
        found = evidence(client, own)
    assert (found["seen"], found["all"]) == (203, 203)  # at most 64 before
    assert [each["image_id"] for each in found["images"]] == [f"{number:064x}" for number in range(199, 193, -1)]
    assert found["images"][0]["likeness"] == pytest.approx(np.cos(0.1), abs=1e-3)


def test_where_a_picture_cannot_be_described_as_the_stored_ones_the_model_compares(service):
    def refuse(jpeg: bytes):
        raise NotDescribed("no weights")

    stored = stored_colours(service, 0)
    stored._describe = refuse
    service._open_stored = lambda: stored
    with page_client(service) as client:
        own = client.post("/api/images?who=anna", content=vase_picture()).json()["image"]["image_id"]
        found = evidence(client, own)
    assert [each["holder"] for each in found["images"]] == ["City Museum", "Museum of gold", "Museum of navy"]


def test_nothing_speaks_for_a_tag_on_an_image_that_is_decided_blind(client, service):
    service.blind_share = 1.0
    blind = client.post("/api/images?who=anna", content=vase_picture("crimson")).json()["image"]["image_id"]
    assert evidence(client, blind) == {"images": [], "seen": 0, "all": 0, "confirmed": False}


def test_what_is_not_there_is_refused(client, uploaded):
    assert client.post("/api/tags/1/evidence", json={"image_id": uploaded}).status_code == 404
    assert client.post(f"/api/tags/{COPPER}/evidence", json={"image_id": "0" * 64}).status_code == 404
    body = {"image_id": uploaded, "model": "nothing"}
    assert client.post(f"/api/tags/{COPPER}/evidence", json=body).status_code == 404


def test_suggestions_say_how_many_of_ten_were_right_where_it_was_counted(client, uploaded):
    for answer in (
        client.get(f"/api/images/{uploaded}/suggestions").json(),
        client.post("/api/suggest", content=vase_picture()).json(),
    ):
        best = answer["facets"]["materials"]["tags"][0]
        assert (best["tag_id"], round(best["score"], 2), best["of_ten"]) == (COPPER, 0.99, 8)
        counted = [tag["of_ten"] for tag in answer["facets"]["materials"]["tags"]]
        assert counted == sorted(counted, reverse=True)
        assert {tag["of_ten"] for tag in answer["facets"]["subjects"]["tags"]} == {None}
    other = client.get(f"/api/images/{uploaded}/suggestions?model=softmax").json()
    assert {tag["of_ten"] for tag in other["facets"]["materials"]["tags"]} == {None}
