"""Queues: which images, in which order, how many are left and for how long."""

import asyncio
import json
import time
from datetime import timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from ml.assistant.calibration import Calibration
from ml.assistant.queues import FEWEST, LONGEST_S, Queue, groups, seconds_each
from ml.assistant.ranking import margin
from ml.assistant.schema import images, rankings
from ml.assistant.store import NewImage, NoSuchImage, Store
from ml.assistant.suggest import FacetSuggestions

MODEL = "multilabel@abc123"


def image(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def queue(store) -> Store:
    """Six images of two providers, three collections and two batches, four of them ranked."""
    for number in range(6):
        provider, collection = ("Prado" if number % 2 else "MNAC"), f"collection {number // 2}"
        more = {"attribution": provider, "collection": collection, "batch": f"batch {number // 3}"}
        store.add_image(NewImage(image(number), 9, 9, title=f"{number}", added_by="anna", **more))
    values = {0: (0.9, None, 0), 1: (0.1, 0.2, 5), 3: (0.5, 0.8, 2), 4: (0.1, 0.5, 2)}
    with store.writing() as connection:
        for number, (how_sure, wrong, new) in values.items():
            row = {
                "image_id": image(number),
                "model": MODEL,
                "margin": how_sure,
                "disagreement": wrong,
                "new_tags": new,
            }
            connection.execute(sa.insert(rankings).values(row))
            connection.execute(sa.insert(rankings).values(row | {"model": "another", "margin": 1 - how_sure}))
    return store


def numbers(store: Store, chosen: Queue, **values) -> list[int]:
    values = {"state": None, "offset": 0, "limit": 100, **values}
    return [int(row.title) for row in chosen.rows(store, **values)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Queue(), [0, 1, 2, 3, 4, 5]),
        (Queue(provider="Prado"), [1, 3, 5]),
        (Queue(collection="collection 1"), [2, 3]),
        (Queue(batch="batch 1", provider="MNAC"), [4]),
        (Queue(batch="nowhere"), []),
        (Queue(order="uncertain", model=MODEL), [1, 4, 3, 0, 2, 5]),
        (Queue(order="disagreement", model=MODEL), [3, 4, 1, 0, 2, 5]),
        (Queue(order="new_tags", model=MODEL), [1, 3, 4, 0, 2, 5]),
        (Queue(order="uncertain", provider="Prado", model=MODEL), [1, 3, 5]),
        (Queue(order="uncertain"), [0, 1, 2, 3, 4, 5]),
    ],
    ids=["all", "provider", "collection", "two", "none", "uncertain", "disagreement", "new", "both", "no model"],
)
def test_images_are_chosen_and_ordered_and_each_knows_its_place(queue, chosen, expected):
    assert numbers(queue, chosen) == expected
    assert [chosen.place(queue, image(number), state=None) for number in expected] == list(range(len(expected)))
    assert numbers(queue, chosen, offset=1, limit=2) == expected[1:3]
    assert chosen.place(queue, "f" * 64, state=None) is None


def test_skipped_images_come_back_as_a_queue_of_their_own(queue, act):
    queue.move(image(1), "skip", act(0))
    queue.move(image(2), "done", act(0))
    assert numbers(queue, Queue(), state="skipped") == [1]
    assert Queue(provider="Prado").progress(queue) == {"open": 2, "done": 0, "skipped": 1, "all": 3, "left_s": None}
    queue.move(image(1), "reopen", act(1))
    assert numbers(queue, Queue(), state="skipped") == []


def test_the_estimate_is_the_median_of_the_latest_images_of_this_person(queue, act):
    def finish(number: int, took_s: float, who: str) -> None:
        opened = queue.clock() + timedelta(seconds=1 - took_s)  # the clock moves by a second at each look
        queue.move(image(number), "done", act(queue.annotation(image(number)).version, who=who, opened_at=opened))

    for number, took in enumerate([10, 20, 5_000, 30]):
        finish(number, took, "anna")
    assert seconds_each(queue) is None  # fewer than five
    finish(4, 40, "anna")
    assert seconds_each(queue, "anna") == pytest.approx(30, abs=1)
    assert seconds_each(queue, "berta") == pytest.approx(30, abs=1)  # of everyone, as nothing is known of berta
    for _ in range(FEWEST):
        finish(5, 2_000, "berta")
    assert seconds_each(queue, "berta") == LONGEST_S
    assert Queue().progress(queue, "anna")["left_s"] == 0


def test_groups_are_listed_the_latest_first_with_what_is_open(queue, act):
    queue.move(image(5), "done", act(0))
    found = groups(queue)
    assert [(each["key"], each["open"], each["all"]) for each in found["batches"]] == [
        ("batch 1", 2, 3),
        ("batch 0", 3, 3),
    ]
    assert [each["key"] for each in found["collections"]] == ["collection 2", "collection 1", "collection 0"]
    assert {each["key"] for each in found["providers"]} == {"Prado", "MNAC"}
    assert found["batches"][0]["added_by"] == "anna"


def test_the_margin_follows_the_calibrated_score():
    facets = {
        "materials": FacetSuggestions([("300010957", 0.9), ("300011029", 0.2)], {}, 0.7),
        "subjects": FacetSuggestions([("300015637", 0.5)], {}, 0.7),
    }
    assert margin(facets, None) == pytest.approx((0.8 + 0.0) / 2)
    worth = {"materials": Calibration(np.array([0.0, 1.0]), np.array([0.0, 0.5]))}  # .9 is right in 45 of 100
    assert margin(facets, worth) == pytest.approx((0.1 + 0.0) / 2)
    assert margin({}, None) is None


@pytest.fixture
def several(client, drawn_vase, service) -> list[str]:
    """Four pictures; the record of the last states a tag, and the third is decided blind."""
    colours = ("saddlebrown", "navy", "darkgreen", "crimson")
    ids = [
        client.post(f"/api/images?who=anna&title={colour}&batch=one", content=drawn_vase(colour)).json()["image"][
            "image_id"
        ]
        for colour in colours
    ]
    with service.store.writing() as connection:
        connection.execute(
            sa.update(images).where(images.c.image_id == ids[3]).values(stated=json.dumps(["300010957"]))
        )
        connection.execute(sa.update(images).where(images.c.image_id == ids[2]).values(blind=True))
    return ids


def ranked(client, order: str) -> dict:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        answer = client.get(f"/api/queue?order={order}").json()
        if answer["ranking"]["ranked"] == answer["ranking"]["all"]:
            return answer
        time.sleep(0.02)
    raise AssertionError(answer["ranking"])


def test_a_queue_in_the_models_order_is_ranked_in_the_background(client, several, service):
    assert client.get("/api/queue").json()["ranking"] is None
    answer = ranked(client, "uncertain")
    assert answer["ranking"] == {"ranked": 3, "all": 3}
    with service.store.engine.connect() as connection:
        rows = {row.image_id: row for row in connection.execute(sa.select(rankings))}
    assert set(rows) == {several[0], several[1], several[3]}  # not the blind one
    assert [each["image_id"] for each in answer["images"]] == [
        *sorted(rows, key=lambda each: rows[each].margin),
        several[2],
    ]
    for image_id in rows:
        shown = client.get(f"/api/images/{image_id}/suggestions").json()["facets"]
        best = [facet["tags"][0]["score"] for facet in shown.values()]
        assert rows[image_id].margin == pytest.approx(sum(abs(2 * each - 1) for each in best) / len(best), rel=1e-4)
        sure = {tag["tag_id"] for facet in shown.values() for tag in facet["tags"] if tag["score"] >= 0.7}
        assert rows[image_id].new_tags == len(sure - ({"300010957"} if image_id == several[3] else set()))
    assert rows[several[0]].disagreement is None
    assert 0 <= rows[several[3]].disagreement <= 1
    assert ranked(client, "disagreement")["images"][0]["image_id"] == several[3]


def test_a_link_opens_the_page_of_the_queue_that_holds_the_image(client, several):
    answer = client.get(f"/api/queue?limit=2&at={several[3]}").json()
    assert (answer["offset"], [each["image_id"] for each in answer["images"]]) == (2, several[2:])
    elsewhere = client.get(f"/api/queue?limit=2&provider=nobody&at={several[3]}").json()
    assert (elsewhere["offset"], elsewhere["images"]) == (0, [])


def test_the_progress_after_a_decision_is_that_of_the_same_queue(client, several, drawn_vase):
    client.post("/api/images?who=anna&batch=two", content=drawn_vase("orange"))
    body = {"who": "anna", "version": 0, "key": "key-00000001", "kind": "done"}
    after = client.post(f"/api/images/{several[0]}/state?batch=one", json=body).json()["progress"]
    assert (after["done"], after["all"]) == (1, 4)
    assert [(each["key"], each["open"]) for each in client.get("/api/queues").json()["batches"]] == [
        ("two", 1),
        ("one", 3),
    ]


def test_ranking_goes_on_where_a_picture_is_gone(client, several, service):
    service.pictures.file(several[0]).unlink()
    assert ranked(client, "new_tags")["ranking"] == {"ranked": 3, "all": 3}


def test_a_ranking_that_fails_is_logged_and_tried_again_when_the_order_is_asked_for_again(
    client, several, service, caplog
):
    file = service.pictures.file(several[0])
    whole = file.read_bytes()
    file.write_bytes(b"damaged")
    client.get("/api/queue?order=uncertain")
    wait_until = time.monotonic() + 10
    while "could not be ranked" not in caplog.text and time.monotonic() < wait_until:
        time.sleep(0.02)
    assert "UnidentifiedImageError" in caplog.text
    file.write_bytes(whole)
    assert ranked(client, "uncertain")["ranking"] == {"ranked": 3, "all": 3}


def test_stopping_a_ranking_leaves_nothing_running(service):
    async def start_and_stop():
        async with service:
            service.ranking.start()
        return asyncio.all_tasks()

    assert len(asyncio.run(start_and_stop())) == 1
    with pytest.raises(NoSuchImage):
        service.store.image("0" * 64)
