"""A model with a memory learns from what people confirm at once, and unlearns it: by the stored decisions alone."""

import itertools
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import sqlalchemy as sa
from fastapi.testclient import TestClient
from PIL import Image

from ml.assistant.app import create_app
from ml.assistant.confirmed import Known
from ml.assistant.limits import AssistantLimits
from ml.assistant.opinions import begin_opinions, compare, read_conflicts, settle
from ml.assistant.ranking import disagreement
from ml.assistant.schema import images as images_table
from ml.assistant.service import AssistantService
from ml.assistant.store import Conflict, NewImage, NothingToUndo, Store
from ml.dataset.confirmed import NO_GROUP
from tests.ml.assistant.remembering.desk import (
    COPPER,
    GOLD,
    NEW_COLOUR,
    RIGHTS,
    SILVER,
    dataset_image,
    drawn,
    remembering_desk,
)
from tests.ml.torch_threads import one_thread  # noqa: F401

KEYS = (f"key-{number:08d}" for number in itertools.count())


@contextmanager
def client_of(service: AssistantService):
    with TestClient(create_app(service), base_url="http://127.0.0.1:8760", headers={"x-assistant": "1"}) as made:
        yield made


def add(client, *seeds: int) -> list[str]:
    """Images of the new colour, sent to the queue; their ids."""
    answers = [client.post("/api/images?who=anna", content=drawn(NEW_COLOUR, seed)).json() for seed in seeds]
    return [answer["image"]["image_id"] for answer in answers]


def decide(client, image_id: str, action: str, version: int = 0, tag: str = SILVER) -> None:
    step = {"who": "anna", "version": version, "key": next(KEYS), "tag_id": tag, "action": action}
    assert client.post(f"/api/images/{image_id}/decisions", json=step).status_code == 200


def undo(client, image_id: str, version: int = 1) -> None:
    step = {"who": "anna", "version": version, "key": next(KEYS)}
    assert client.post(f"/api/images/{image_id}/undo", json=step).status_code == 200


def suggested(client, image_id: str) -> dict[str, list[tuple[str, float]]]:
    """The suggestions with their scores, by facet, best first."""
    answer = client.get(f"/api/images/{image_id}/suggestions")
    assert answer.status_code == 200, answer.text
    return {
        facet: [(tag["tag_id"], tag["score"]) for tag in found["tags"]]
        for facet, found in answer.json()["facets"].items()
    }


def materials(client, image_id: str) -> list[str]:
    return [tag for tag, _ in suggested(client, image_id)["materials"]]


def test_ten_decisions_bring_a_new_tag_forward_and_undo_takes_them_back_whole(service):
    with client_of(service) as client:
        other, *images = add(client, *range(11))
        before = suggested(client, other)
        assert SILVER not in materials(client, other)[:5]
        for image_id in images:
            decide(client, image_id, "accept")
        began = time.process_time()
        assert SILVER in materials(client, other)[:5]
        assert (time.process_time() - began) / len(images) < 1
        for image_id in images:
            undo(client, image_id)
        assert suggested(client, other) == before


def test_a_rejected_tag_is_not_remembered_and_a_rejection_after_an_acceptance_takes_it_out(service):
    with client_of(service) as client:
        other, one, two = add(client, 0, 1, 2)
        before = suggested(client, other)
        decide(client, one, "reject")
        assert suggested(client, other) == before
        decide(client, two, "accept")
        assert suggested(client, other) != before
        decide(client, two, "reject", version=1)
        assert suggested(client, other) == before


def test_the_tags_above_an_accepted_tag_are_remembered_with_it(service):
    with client_of(service) as client:
        other, one = add(client, 0, 1)
        decide(client, one, "accept")
        suggested(client, other)
    (kept,) = service.confirmed._known.popitem()[1].kept.values()
    assert set(kept.tag_ids) == {SILVER, "300011014", "300010900"}  # silver, nonferrous metal, metal


def test_a_picture_is_answered_as_if_its_own_group_were_not_remembered(service):
    """Its own decisions, and those on another page of its manifest."""
    first, second = (f"{number}{0:063d}" for number in range(2))
    for number, image_id in enumerate((first, second)):
        service._keep(drawn(NEW_COLOUR, number), NewImage(image_id, 160, 120, manifest="https://museum.example/book"))
    with client_of(service) as client:
        (other,) = add(client, 2)
        before = [suggested(client, image_id) for image_id in (first, other)]
        decide(client, first, "accept")
        decide(client, second, "accept")
        assert suggested(client, first) == before[0]
        assert suggested(client, other) != before[1]


def test_a_training_image_does_not_speak_for_its_own_tags(service):
    """Neither does the other one of its group; both are remembered."""
    suggester = service.models.get(None)
    assert suggester.group_of(dataset_image(0)) == suggester.group_of(dataset_image(1)) != NO_GROUP
    memory = suggester._scorer.members[0][0].memory
    with client_of(service) as client:
        client.post("/api/images/dataset", json={"split": "train", "count": 30, "who": "anna"})
        row = service.store.image(dataset_image(0))
        found = suggested(client, row.image_id)
        memory.closed[memory.groups == suggester.group_of(row.image_id)] ^= True
        memory.count()
        suggester.keep([], [])
        assert suggested(client, row.image_id) == found


def test_what_is_remembered_is_a_function_of_the_stored_decisions(service, storage, tmp_path, vocabulary):
    """After a restart, with or without the kept features, and whatever the order of the decisions."""
    with client_of(service) as client:
        other, *images = add(client, *range(5))
        for image_id in (*images[2:], *images[:2]):
            decide(client, image_id, "accept")
        undo(client, images[3])
        found = suggested(client, other)
    for cached in (True, False):
        if not cached:
            for file in (tmp_path / "desk").glob("features.sqlite*"):
                file.unlink()
        store = Store(str(service.store.engine.url))
        with client_of(remembering_desk(storage, tmp_path / "desk", vocabulary, store)) as client:
            assert suggested(client, other) == found
        store.close()


def test_two_desks_on_one_database_see_each_others_decisions(service, storage, tmp_path, vocabulary):
    store = Store(str(service.store.engine.url))
    second = remembering_desk(storage, tmp_path / "desk", vocabulary, store)
    with client_of(service) as here, client_of(second) as there:
        other, one, two = add(here, 0, 1, 2)
        before = suggested(there, other)
        decide(here, one, "accept")
        assert suggested(there, other) != before
        decide(there, two, "accept")
        assert suggested(here, other) == suggested(there, other)
        undo(there, one)
        undo(here, two)
        assert suggested(here, other) == suggested(there, other) == before
    store.close()


def test_decisions_and_questions_of_many_at_once_end_as_they_would_one_after_the_other(
    service, storage, tmp_path, vocabulary
):
    with client_of(service) as client:
        other, *images = add(client, *range(9))

        def work(image_id: str) -> None:
            for version, action in enumerate(("accept", "reject", "accept")):
                decide(client, image_id, action, version)
                assert suggested(client, other)
            if image_id in images[:4]:
                undo(client, image_id, 3)

        with ThreadPoolExecutor(8) as people:
            list(people.map(work, images))
        found = suggested(client, other)
    store = Store(str(service.store.engine.url))
    with client_of(remembering_desk(storage, tmp_path / "desk", vocabulary, store)) as again:
        assert suggested(again, other) == found
    store.close()


def test_what_takes_too_long_to_describe_is_remembered_while_no_one_waits(service):
    service.limits = replace(AssistantLimits(), remembering_s=1e-6)
    with client_of(service) as client:
        other, *images = add(client, *range(7))
        for image_id in images:
            decide(client, image_id, "accept")
        first = suggested(client, other)
        until = time.monotonic() + 30
        while len(service.confirmed._known.get(service.models.info(None).name, Known()).kept) < len(images):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert suggested(client, other) != first


def test_a_picture_that_is_gone_is_left_out(service, caplog):
    with client_of(service) as client:
        other, one, two = add(client, 0, 1, 2)
        decide(client, one, "accept")
        decide(client, two, "accept")
        service.pictures.file(one).write_bytes(b"")
        shutil.rmtree(service.pictures.file(two).parent)
        assert suggested(client, other)


def test_the_three_nearest_confirmed_pictures_are_told_with_source_and_rights(service):
    with client_of(service) as client:
        other, *images = add(client, *range(5))
        body = {"image_id": other}
        assert client.post(f"/api/tags/{SILVER}/evidence", json=body).json()["images"] == []
        for image_id in images:
            decide(client, image_id, "accept")
        found = client.post(f"/api/tags/{SILVER}/evidence", json=body).json()
        assert (found["confirmed"], found["all"], len(found["images"])) == (True, 4, 3)
        assert {each["kind"] for each in found["images"]} == {"decided"}
        likeness = [each["likeness"] for each in found["images"]]
        assert likeness == sorted(likeness, reverse=True)
        trained = client.post(f"/api/tags/{GOLD}/evidence", json=body).json()["images"]
        assert [each["kind"] for each in trained] == ["training"] * 3
        assert {(each["rights_uri"], each["page"].partition("/1/")[0]) for each in trained} == {
            (RIGHTS, "https://www.europeana.eu/item")
        }
        softmax = client.post(f"/api/tags/{GOLD}/evidence", json=body | {"model": "multilabel"})
        assert softmax.status_code == 404 or softmax.json()["confirmed"] is False


def test_pictures_of_the_same_group_and_of_those_kept_apart_do_not_speak_for_a_tag(service):
    with client_of(service) as client:
        client.post("/api/images/dataset", json={"split": "train", "count": 30, "who": "anna"})
        own, same = dataset_image(0), dataset_image(1)
        decide(client, own, "accept", tag=COPPER)
        decide(client, same, "accept", tag=COPPER)
        found = client.post(f"/api/tags/{COPPER}/evidence", json={"image_id": own}).json()
        assert not {own, same} & {each["image_id"] for each in found["images"]}
        assert found["all"] == 6 - 1  # of the six training images of copper, the second is of the group


def test_the_order_by_what_contradicts_the_record_does_not_see_the_record_itself(service):
    """A training image's stated tags are in the memory: they must not confirm themselves."""
    suggester = service.models.get(None)
    seen: list[int] = []
    asked = suggester._scorer.scores
    suggester._scorer.scores = lambda picture, group: seen.append(group) or asked(picture, group)
    image = dataset_image(0)
    with client_of(service) as client:
        client.post("/api/images/dataset", json={"split": "train", "count": 30, "who": "anna"})
        jpeg = service.pictures.file(image)
        disagreement(suggester, image, Image.open(jpeg), [GOLD], None, service.vocabulary.terms)
    assert seen == [suggester.group_of(image)]


def test_following_the_store_step_by_step_ends_where_reading_it_anew_does(service, vocabulary, act):
    """Decisions, undo, second opinions, and what reviewers settle, in a drawn order."""
    rng, store = random.Random(0), service.store
    images = [store.add_image(NewImage(f"{n}{0:063d}", 9, 9)).image_id for n in range(4)]
    for image_id in images:
        service.pictures.keep(image_id, drawn(NEW_COLOUR, 0))
    followed = Known()
    for _ in range(50):
        with suppress(Conflict, NothingToUndo):
            row = rng.choice(store_rows(store))
            by = act(row.version, who=row.added_by or rng.choice(("anna", "berta")))
            kind = rng.choice(("accept", "accept", "reject", "withdraw", "undo", "done", "reopen"))
            if kind == "undo":
                store.undo(row.image_id, by)
            elif kind in ("done", "reopen"):
                store.move(row.image_id, kind, by)
            else:
                store.decide(row.image_id, rng.choice((SILVER, GOLD, COPPER)), kind, by, vocabulary)
        if rng.random() < 0.2:
            with suppress(Exception):
                begin_opinions(store, rng.choice(("cleo", "dora")), 1)
        compare(store, vocabulary)
        for conflict in read_conflicts(store):
            if conflict.settled is None and rng.random() < 0.3:
                rating = conflict.rating
                settle(store, rating.image_id, rating.tag_id, rng.random() < 0.5, "eva", 0, next(KEYS))
        service.confirmed._read(followed)
        anew = Known()
        service.confirmed._read(anew)
        assert followed.wanted == anew.wanted
    assert np.unique([len(holds.tag_ids) for holds in followed.wanted.values()]).size


def store_rows(store: Store):
    with store.engine.connect() as connection:
        return connection.execute(sa.select(images_table)).all()
