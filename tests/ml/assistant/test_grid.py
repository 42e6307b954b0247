"""Many images at once: what a grid holds, and that one decision on many is as many steps and one undo."""

import numpy as np
import pytest

from ml.assistant.likeness import Likeness, likeness
from ml.assistant.together import state_of_tag, verdicts_of
from tests.ml.assistant.conftest import vase_picture

COPPER, NONFERROUS, METAL = "300011020", "300011014", "300010900"
COLOURS = ("navy", "saddlebrown", "blue", "gold")


@pytest.fixture
def batch(client) -> dict[str, str]:
    """Four images of one batch and one of another, by colour."""
    ids = {}
    for number, colour in enumerate((*COLOURS, "darkblue")):
        address = f"/api/images?who=anna&title={colour}&batch=batch-{number // 4}"
        ids[colour] = client.post(address, content=vase_picture(colour)).json()["image"]["image_id"]
    return ids


def grid(client, image_id: str, of: str, tag: str = COPPER, **more) -> dict:
    """What a grid holds."""
    answer = client.post("/api/grid", json={"image_id": image_id, "of": of, "tag_id": tag, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def decide(client, versions: dict[str, int], action: str = "accept", key: str = "together-1", **more) -> dict:
    """One decision on these images."""
    body = {"who": "anna", "key": key, "tag_id": COPPER, "action": action, "images": versions, **more}
    answer = client.post("/api/grid/decisions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_grid_of_a_batch_has_its_images_in_order_and_what_holds_for_the_tag(client, batch):
    first = [batch[colour] for colour in COLOURS]
    assert decide(client, {first[1]: 0})["saved"] == {first[1]: 1}
    found = grid(client, first[0], "batch")
    assert [(image["image_id"], image["verdict"]) for image in found["images"]] == [
        (first[0], None), (first[1], "accepted"), (first[2], None), (first[3], None),
    ]  # fmt: skip
    assert (found["seen"], found["all"]) == (4, 4)
    above = [image["verdict"] for image in grid(client, first[0], "batch", METAL)["images"]]
    assert above == [None, "implied", None, None]
    assert len(grid(client, first[0], "batch", offset=3)["images"]) == 1


def test_images_like_this_one_come_by_the_models_features_the_most_alike_first(client, batch):
    found = grid(client, batch["navy"], "like")
    titles = [image["title"] for image in found["images"]]
    assert titles[:3] == ["navy", "darkblue", "blue"]
    likenesses = [image["likeness"] for image in found["images"]]
    assert likenesses == sorted(likenesses, reverse=True)
    assert likenesses[0] == pytest.approx(1, abs=1e-3)
    assert (found["seen"], found["all"]) == (5, 5)
    assert client.post("/api/grid", json={"image_id": "f" * 64, "of": "like", "tag_id": COPPER}).status_code == 404
    unknown = {"image_id": batch["navy"], "of": "like", "tag_id": COPPER, "model": "nothing"}
    assert client.post("/api/grid", json=unknown).status_code == 404


def test_a_picture_whose_file_is_missing_is_not_compared(client, service, batch):
    service.pictures.file(batch["blue"]).unlink()
    found = grid(client, batch["navy"], "like")
    assert "blue" not in [image["title"] for image in found["images"]]
    assert (found["seen"], found["all"]) == (4, 5)
    body = {"image_id": batch["blue"], "of": "like", "tag_id": COPPER}
    assert client.post("/api/grid", json=body).json()["error"] == "no_picture"


def test_images_decided_blind_are_in_no_grid(client, service, batch):
    service.blind_share = 1.0
    blind = client.post("/api/images?who=anna&batch=batch-0", content=vase_picture("crimson")).json()["image"]
    for of in ("batch", "like"):
        assert blind["image_id"] not in [image["image_id"] for image in grid(client, batch["navy"], of)["images"]]


def test_one_decision_on_many_is_a_step_of_each_and_one_undo(client, store, batch):
    versions = {batch[colour]: 0 for colour in COLOURS}
    answer = decide(client, versions, clicks=5)
    assert answer == {"saved": dict.fromkeys(versions, 1), "unchanged": [], "problems": []}
    logs = {image_id: store.log(image_id) for image_id in versions}
    assert {(len(log), log[0].who, log[0].step.changes[0].tag_id) for log in logs.values()} == {(1, "anna", COPPER)}
    assert decide(client, versions) == {"saved": {}, "unchanged": list(versions), "problems": []}  # sent again
    body = {"who": "anna", "key": "together-2", "images": answer["saved"]}
    assert client.post("/api/grid/undo", json=body).json()["saved"] == dict.fromkeys(versions, 2)
    assert all(verdicts == {} for verdicts in verdicts_of(store, versions).values())


def test_what_somebody_else_has_changed_is_told_and_the_others_are_saved(client, batch, store):
    navy, gold = batch["navy"], batch["gold"]
    step = {"who": "berta", "version": 0, "key": "key-berta-1", "tag_id": METAL, "action": "reject"}
    assert client.post(f"/api/images/{navy}/decisions", json=step).status_code == 200
    answer = decide(client, {navy: 0, gold: 0, "e" * 64: 0})
    assert answer["saved"] == {gold: 1}
    assert answer["problems"] == [
        {"image_id": navy, "error": "conflict", "message": "Changed meanwhile by berta."},
        {"image_id": "e" * 64, "error": "no_such_image", "message": "There is no such image in the queue."},
    ]
    later = {**step, "version": 1, "key": "key-berta-2"}
    assert client.post(f"/api/images/{gold}/decisions", json=later).status_code == 200
    undone = client.post("/api/grid/undo", json={"who": "anna", "key": "together-3", "images": answer["saved"]}).json()
    assert [problem["error"] for problem in undone["problems"]] == ["conflict"]
    assert verdicts_of(store, [gold])[gold] == {METAL: "rejected"}


MANY = {f"{number:064x}": 0 for number in range(201)}


@pytest.mark.parametrize("images", [{}, {"x": 0}, {"a" * 64: -1}, MANY], ids=["none", "no id", "no version", "many"])
def test_impossible_choices_are_refused(client, images):
    body = {"who": "anna", "key": "together-1", "tag_id": COPPER, "action": "accept", "images": images}
    assert client.post("/api/grid/decisions", json=body).status_code == 422


def test_what_holds_for_a_tag_follows_from_those_around_it(vocabulary):
    assert state_of_tag({COPPER: "accepted"}, COPPER, vocabulary) == "accepted"
    assert state_of_tag({COPPER: "accepted"}, METAL, vocabulary) == "implied"
    assert state_of_tag({METAL: "rejected"}, COPPER, vocabulary) == "excluded"
    assert state_of_tag({NONFERROUS: "rejected"}, METAL, vocabulary) is None


async def nothing(image_id: str, jpeg: bytes, model: str) -> np.ndarray:
    """Fails: everything is known."""
    raise AssertionError(image_id)


async def as_numbers(image_id: str, jpeg: bytes, model: str) -> np.ndarray:
    """Two numbers, of unit length."""
    return np.array([0.6, 0.8] if jpeg == b"a" else [1.0, 0.0])


@pytest.fixture
def anyio_backend():
    """asyncio alone, as the assistant runs on it."""
    return "asyncio"


@pytest.mark.anyio
async def test_features_are_computed_once_and_within_their_time(tmp_path):
    file = tmp_path / "features.sqlite"
    pictures = {"a": lambda: b"a", "b": lambda: b"b"}
    first = Likeness(file, as_numbers)
    assert list(await first.features(pictures, "m", "m@1", budget_s=-1)) == ["a"]
    both = await first.features(pictures, "m", "m@1", budget_s=9)
    assert likeness(both["a"], both) == {"a": pytest.approx(1, abs=1e-3), "b": pytest.approx(0.6, abs=1e-3)}
    again = await Likeness(file, nothing).features(pictures, "m", "m@1", budget_s=9)
    assert {each: vector.tolist() for each, vector in again.items()} == {
        each: vector.tolist() for each, vector in both.items()
    }
    with pytest.raises(AssertionError):  # another version of the model knows nothing yet
        await Likeness(file, nothing).features(pictures, "m", "m@2", budget_s=9)
