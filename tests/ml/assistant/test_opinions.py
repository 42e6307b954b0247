"""Second opinions: blind, in a log of their own, compared when both are done, settled by a reviewer, and used."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml.assistant.decisions import read_agreement, read_decisions, state_of
from ml.assistant.opinions import (
    MOST,
    NothingToSecond,
    begin_opinions,
    compare,
    opinion_id,
    read_conflicts,
    read_ratings,
    settle,
)
from ml.assistant.people import make_token
from ml.assistant.settled import counted_decisions
from ml.assistant.store import NewImage
from tests.ml.assistant.test_people import bearer, desk

BRONZE, SILVER, METAL, PORTRAITS = "300010957", "300011029", "300010900", "300015637"
SIDE_CHAIRS, CHAIRS = "300037896", "300037772"
KEYS = itertools.count()


@pytest.fixture
def decided(store, image_id, act, vocabulary):
    """Anna has finished an image; Berta has begun a second opinion on it. Returns the opinion's id."""
    showing = store.record_showing(image_id, "softmax", {"materials": [(SILVER, 0.9), (BRONZE, 0.4)]})
    store.decide(image_id, BRONZE, "accept", act(0, showing_id=showing), vocabulary)
    store.decide(image_id, PORTRAITS, "reject", act(1), vocabulary)
    store.move(image_id, "done", act(2))
    (opinion,) = begin_opinions(store, "berta", 5)
    return opinion


@pytest.fixture
def differing(store, decided, act, vocabulary):
    """Berta accepts silver and bronze, rejects nothing, and is done: they differ on silver."""
    by = {"who": "berta"}
    store.decide(decided, BRONZE, "accept", act(0, **by), vocabulary)
    store.decide(decided, SILVER, "accept", act(1, **by), vocabulary)
    store.move(decided, "done", act(2, **by))
    compare(store, vocabulary)
    return decided


def rows(store, **options) -> list[tuple]:
    return read_decisions(str(store.engine.url), **options).select("image_id", "tag_id", "accepted", "who").rows()


def test_a_second_opinion_is_a_log_of_its_own_that_no_queue_shows(store, image_id, decided):
    assert store.annotation(decided).verdicts == {}
    assert store.annotation(image_id).verdicts == {BRONZE: "accepted", PORTRAITS: "rejected"}
    assert [row.image_id for row in store.queue()] == [image_id]
    assert store.progress() == {"open": 0, "done": 1, "skipped": 0, "all": 1}
    assert {line[0] for line in rows(store)} == {image_id}


def test_nobody_seconds_themselves_and_an_image_has_at_most_three_further_opinions(store, image_id, act):
    store.move(image_id, "done", act(0))
    with pytest.raises(NothingToSecond):
        begin_opinions(store, "anna", 1)
    with ThreadPoolExecutor(8) as pool:  # in the same second
        outcomes = list(pool.map(lambda number: _taken(store, f"person {number}"), range(8)))
    assert sum(outcomes) == MOST
    assert len(store.queue()) == 1


def test_images_with_the_fewest_opinions_come_first_and_nobody_gets_one_twice(store, image_id, decided, act):
    other = store.add_image(NewImage("b" * 64, 640, 480)).image_id
    store.move(other, "done", act(0))
    assert begin_opinions(store, "carla", 1) == [opinion_id(other, "carla")]
    assert begin_opinions(store, "carla", 9) == [opinion_id(image_id, "carla")]
    with pytest.raises(NothingToSecond):
        begin_opinions(store, "carla", 9)


@pytest.fixture
def three(store, image_id, differing, act, vocabulary):
    """Carla, after Anna and Berta: she rejects bronze, on which both agree, and accepts silver as Berta does."""
    (opinion,) = begin_opinions(store, "carla", 5)
    store.decide(opinion, BRONZE, "reject", act(0, who="carla"), vocabulary)
    store.decide(opinion, SILVER, "accept", act(1, who="carla"), vocabulary)
    store.move(opinion, "done", act(2, who="carla"))
    assert compare(store, vocabulary) == 1
    return opinion


def test_each_further_opinion_is_compared_with_the_first(store, image_id, differing, three):
    found = [(each.second_id, each.tag_id, each.first, each.second) for each in read_ratings(store) if each.differs]
    assert found == [
        (differing, SILVER, False, True),
        (three, BRONZE, True, False),
        (three, SILVER, False, True),
    ]
    table, conflicts = read_agreement(str(store.engine.url))
    assert conflicts.select("tag_id", "first_by", "second_by").rows() == [
        (SILVER, "anna", "berta"),
        (BRONZE, "anna", "carla"),
        (SILVER, "anna", "carla"),
    ]
    assert table.row(0, named=True)["images"] == 1


def test_what_one_of_three_contradicts_counts_only_when_it_is_settled(store, image_id, three):
    assert rows(store) == [(image_id, PORTRAITS, False, "anna")]
    settle(store, image_id, SILVER, True, "rita", 0, "key-settled-1")
    settle(store, image_id, BRONZE, False, "rita", 0, "key-settled-2")
    assert sorted(rows(store)) == [
        (image_id, BRONZE, False, "rita"),
        (image_id, SILVER, True, "rita"),
        (image_id, PORTRAITS, False, "anna"),
    ]
    assert all(each.settled is not None for each in read_conflicts(store))


def test_exports_of_all_images_show_no_first_opinion_to_who_gives_the_second(service, people, drawn_vase):
    with desk(service) as client:
        sent = client.post("/api/images?batch=desk", content=drawn_vase(), headers=people["anna"]).json()["image"]
        step = body(0, tag_id=BRONZE, action="accept")
        client.post(f"/api/images/{sent['image_id']}/decisions", json=step, headers=people["anna"])
        client.post(f"/api/images/{sent['image_id']}/state", json=body(1, kind="done"), headers=people["anna"])
        begun = client.post("/api/opinions", json={}, headers=people["berta"]).json()["images"]
        found = {who: client.get("/api/export", headers=people[who]).text for who in ("anna", "berta")}
        pages = {who: client.get("/iiif/manifest?batch=desk", headers=people[who]).text for who in ("anna", "berta")}
    assert len(begun) == 1
    assert (BRONZE in found["anna"], BRONZE in found["berta"]) == (True, False)
    assert (BRONZE in pages["anna"], BRONZE in pages["berta"]) == (True, False)


def _taken(store, who: str) -> int:
    try:
        return len(begin_opinions(store, who, 3))
    except NothingToSecond:
        return 0


def test_two_finished_opinions_are_compared_on_what_was_shown_or_decided(store, image_id, differing):
    assert [(each.tag_id, each.first, each.second) for each in read_ratings(store)] == [
        (BRONZE, True, True),
        (SILVER, False, True),  # Anna was shown it and left it alone
        (PORTRAITS, False, False),
    ]
    (conflict,) = read_conflicts(store)
    assert (conflict.rating.image_id, conflict.rating.tag_id, conflict.settled) == (image_id, SILVER, None)


def test_a_tag_above_an_accepted_one_applies(store, image_id, decided, act, vocabulary):
    store.decide(decided, BRONZE, "accept", act(0, who="berta"), vocabulary)
    store.decide(decided, METAL, "accept", act(1, who="berta"), vocabulary)
    store.move(decided, "done", act(2, who="berta"))
    compare(store, vocabulary)
    assert {each.tag_id: each.differs for each in read_ratings(store)}[METAL] is False


def test_a_log_that_changes_is_compared_again(store, image_id, differing, act, vocabulary):
    assert compare(store, vocabulary) == 0
    store.move(image_id, "reopen", act(3))
    assert read_ratings(store) == []
    store.decide(image_id, SILVER, "accept", act(4), vocabulary)
    store.move(image_id, "done", act(5))
    assert compare(store, vocabulary) == 1
    assert read_conflicts(store) == []


def test_training_takes_what_is_agreed_and_what_is_settled(store, image_id, differing):
    url = str(store.engine.url)
    before = state_of(url)
    assert rows(store) == [(image_id, BRONZE, True, "anna"), (image_id, PORTRAITS, False, "anna")]
    settle(store, image_id, SILVER, False, "carla", 0, "key-00000001")
    assert state_of(url) != before
    assert sorted(rows(store)) == [
        (image_id, BRONZE, True, "anna"),
        (image_id, SILVER, False, "carla"),
        (image_id, PORTRAITS, False, "anna"),
    ]
    settle(store, image_id, SILVER, True, "dora", 1, "key-00000002")
    assert (image_id, SILVER, True, "dora") in rows(store)
    assert rows(store, second_opinions="first") == [
        (image_id, BRONZE, True, "anna"),
        (image_id, PORTRAITS, False, "anna"),
    ]
    assert {line.tag_id for line in counted_decisions(store, [image_id])[image_id]} == {BRONZE, SILVER, PORTRAITS}


def test_until_both_are_done_the_first_opinion_counts(store, image_id, decided, act, vocabulary):
    store.decide(decided, SILVER, "accept", act(0, who="berta"), vocabulary)
    assert rows(store) == [(image_id, BRONZE, True, "anna"), (image_id, PORTRAITS, False, "anna")]


def test_the_figures_and_the_list_of_differences(store, image_id, differing):
    settle(store, image_id, SILVER, True, "carla", 0, "key-00000001")
    agreement, conflicts = read_agreement(str(store.engine.url))
    assert agreement.row(0, named=True)["agreement"] == pytest.approx(2 / 3, abs=1e-5)
    assert conflicts.to_dicts() == [
        {
            "image_id": image_id,
            "tag_id": SILVER,
            "facet": "materials",
            "first": False,
            "second": True,
            "first_by": "anna",
            "second_by": "berta",
            "settled": True,
            "settled_by": "carla",
        }
    ]


def test_without_a_database_there_is_nothing_to_agree_on(tmp_path):
    agreement, conflicts = read_agreement(f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert agreement.is_empty()
    assert conflicts.is_empty()


@pytest.fixture
def people(service, store) -> dict[str, dict]:
    names = {"anna": "cataloguer", "berta": "cataloguer", "eva": "cataloguer", "carla": "reviewer"}
    return {name: bearer(make_token(store, name, role)) for name, role in names.items()}


def body(version: int, **values) -> dict:
    return {"version": version, "key": f"key-{next(KEYS):08d}", **values}


def test_each_opinion_is_kept_from_the_other_until_both_are_done(service, store, people, drawn_vase):
    with desk(service) as client:
        image = client.post("/api/images", content=drawn_vase(), headers=people["anna"]).json()["image"]["image_id"]
        decide = lambda at, who, version, tag: client.post(  # noqa: E731
            f"/api/images/{at}/decisions", json=body(version, tag_id=tag, action="accept"), headers=people[who]
        )
        done = lambda at, who, version: client.post(  # noqa: E731
            f"/api/images/{at}/state?second=true", json=body(version, kind="done"), headers=people[who]
        )
        decide(image, "anna", 0, BRONZE)
        nothing = client.post("/api/opinions", json={"count": 1}, headers=people["berta"])
        assert (nothing.status_code, nothing.json()["error"]) == (409, "nothing_to_second")
        done(image, "anna", 1)
        (begun,) = client.post("/api/opinions", json={"count": 5}, headers=people["berta"]).json()["images"]
        opinion = begun["image_id"]
        assert client.get(f"/api/images/{opinion}/picture", headers=people["berta"]).status_code == 200
        suggested = client.post(f"/api/images/{opinion}/suggestions", headers=people["berta"]).json()
        assert suggested["facets"]["materials"]["tags"]
        first_hidden = client.get(f"/api/images/{image}", headers=people["berta"])
        assert (first_hidden.status_code, first_hidden.json()["error"]) == (403, "opinion_open")
        for who in ("anna", "eva"):
            assert client.get(f"/api/images/{opinion}", headers=people[who]).status_code == 403
            assert decide(opinion, who, 0, SILVER).status_code == 403
        of_batch = {"image_id": image, "of": "batch", "tag_id": BRONZE}
        grid = lambda who, **values: client.post("/api/grid", json=of_batch | values, headers=people[who])  # noqa: E731
        assert [each["image_id"] for each in grid("anna").json()["images"]] == [image]
        assert grid("berta").json()["images"] == []
        assert grid("berta", image_id=opinion).status_code == 403
        together = body(0, tag_id=SILVER, action="accept", images={image: 2})
        assert client.post("/api/grid/decisions", json=together, headers=people["berta"]).status_code == 403
        own = client.get("/api/queue?second=true", headers=people["berta"]).json()
        assert ([each["image_id"] for each in own["images"]], own["progress"]["open"]) == ([opinion], 1)
        assert client.get("/api/queue?second=true", headers=people["eva"]).json()["images"] == []
        assert client.get("/api/queues", headers=people["berta"]).json()["second"]["open"] == 1
        decide(opinion, "berta", 0, SILVER)
        assert done(opinion, "berta", 1).json()["progress"]["done"] == 1
        assert client.get(f"/api/images/{image}", headers=people["berta"]).status_code == 200


def test_a_reviewer_settles_what_differs_and_two_reviewers_do_not_overwrite_each_other(
    service, people, image_id, differing
):
    with desk(service) as client:
        assert client.get("/api/conflicts", headers=people["anna"]).status_code == 403
        found = client.get("/api/conflicts", headers=people["carla"]).json()
        assert found["open"] == 1
        (image,) = found["images"]
        (tag,) = image["tags"]
        assert (image["first_by"], image["second_by"]) == ("anna", "berta")
        assert (tag["node"]["tag_id"], tag["first"], tag["second"], tag["settled"]) == (SILVER, False, True, None)
        assert [row["facet"] for row in found["agreement"]] == ["all", "materials", "subjects"]
        send = lambda who, **values: client.post(  # noqa: E731
            f"/api/images/{image_id}/settlements",
            json={"tag_id": SILVER, "accepted": True, "key": f"key-{next(KEYS):08d}", **values},
            headers=people[who],
        )
        assert send("berta").status_code == 403
        assert send("carla", tag_id=BRONZE).json()["error"] == "no_conflict"
        first = send("carla", key="key-0000000a")
        assert first.json()["tag"]["settled"]["who"] == "carla"
        assert send("carla", key="key-0000000a").json() == first.json()  # repeated
        late = send("carla", accepted=False)
        assert (late.status_code, late.json()["error"]) == (409, "settled")
        assert send("carla", accepted=False, number=1).json()["tag"]["settled"]["accepted"] is False
        assert client.get("/api/conflicts", headers=people["carla"]).json()["images"] == []
        assert len(client.get("/api/conflicts?settled=true", headers=people["carla"]).json()["images"]) == 1


def test_an_image_added_again_keeps_both_opinions(store, image_id, differing):
    store.add_image(NewImage(image_id, 1, 1))
    assert len(read_ratings(store)) == 3


def test_other_images_do_not_tell_the_first_opinion_as_evidence(service, people, drawn_vase):
    """Berta has to second the image that Anna tagged; the evidence for the same tag on another image leaves it out."""
    with desk(service) as client:
        image, other = (
            client.post("/api/images", content=drawn_vase(colour), headers=people["anna"]).json()["image"]["image_id"]
            for colour in ("navy", "blue")
        )
        step = body(0, tag_id=BRONZE, action="accept")
        client.post(f"/api/images/{image}/decisions", json=step, headers=people["anna"])
        client.post(f"/api/images/{image}/state", json=body(1, kind="done"), headers=people["anna"])
        client.post("/api/opinions", json={"count": 1}, headers=people["berta"])
        evidence = {
            who: client.post(f"/api/tags/{BRONZE}/evidence", json={"image_id": other}, headers=people[who]).json()
            for who in ("eva", "berta")
        }
    assert [each["image_id"] for each in evidence["eva"]["images"]] == [image]
    assert evidence["berta"] == {"images": [], "seen": 0, "all": 0, "confirmed": False}


def test_the_exports_of_one_image_keep_its_opinions_apart(service, people, image_id, decided):
    with desk(service) as client:
        status = {
            (who, at): client.get(f"/api/export?image_id={at}", headers=people[who]).status_code
            for who in ("anna", "berta", "carla")
            for at in (image_id, decided)
        }
    assert status == {
        ("anna", image_id): 200, ("anna", decided): 403,
        ("berta", image_id): 403, ("berta", decided): 200,
        ("carla", image_id): 200, ("carla", decided): 200,
    }  # fmt: skip


def test_a_reviewer_sees_a_second_opinion_and_decides_nothing_in_it(service, store, people, decided):
    with desk(service) as client:
        send = lambda what, **values: client.post(  # noqa: E731
            f"/api/images/{decided}/{what}", json=body(0, **values), headers=people["carla"]
        )
        assert client.get(f"/api/images/{decided}", headers=people["carla"]).status_code == 200
        answers = [send("decisions", tag_id=SILVER, action="accept"), send("undo"), send("state", kind="done")]
        answers.append(client.post(f"/api/images/{decided}/suggestions", headers=people["carla"]))
    assert [answer.json()["error"] for answer in answers] == ["opinion_of_another"] * 4
    assert store.log(decided) == []


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in the grid"])
def test_what_changes_after_both_are_done_is_compared_at_once(service, store, people, image_id, differing, together):
    """Anna takes silver too, without reopening the image: training takes it, though no reviewer has looked since."""
    with desk(service) as client:
        step = body(3, tag_id=SILVER, action="accept")
        path = f"/api/images/{image_id}/decisions"
        if together:
            path, step = "/api/grid/decisions", step | {"images": {image_id: 3}}
        assert client.post(path, json=step, headers=people["anna"]).status_code == 200
    assert [each.tag_id for each in read_ratings(store) if each.first and each.second] == [BRONZE, SILVER]
    assert read_conflicts(store) == []


def test_opinions_that_were_finished_just_before_a_crash_are_compared_at_the_start(
    service, store, people, decided, act, vocabulary
):
    store.decide(decided, SILVER, "accept", act(0, who="berta"), vocabulary)
    store.move(decided, "done", act(1, who="berta"))
    with desk(service) as client:
        assert client.get("/api/conflicts", headers=people["carla"]).json()["open"] == 2


def test_a_settlement_is_answered_also_where_an_opinion_is_reopened_just_then(
    service, store, people, image_id, differing, act, monkeypatch
):
    def settled_and_reopened(*arguments):
        settle(*arguments)
        store.move(image_id, "reopen", act(3))

    monkeypatch.setattr("ml.assistant.api.opinions.settle", settled_and_reopened)
    with desk(service) as client:
        answer = client.post(
            f"/api/images/{image_id}/settlements",
            json={"tag_id": SILVER, "accepted": True, "key": "key-0000000b"},
            headers=people["carla"],
        )
    assert answer.json()["tag"]["settled"]["who"] == "carla"
