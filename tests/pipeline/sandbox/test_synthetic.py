"""The museum for large tests."""

import httpx
import pytest

from pipeline.sandbox.query import QueryError, Search
from tests.support.museum_server import running
from tests.support.synthetic import KEYWORDS, SyntheticMuseum


def test_every_record_is_found_by_its_keyword_and_some_by_two():
    museum = SyntheticMuseum(1000)
    found = {word: {museum.record_id(at) for at in museum.find(Search(word))} for word in KEYWORDS}
    assert set().union(*found.values()) == {museum.record_id(at) for at in range(1000)}
    assert sum(map(len, found.values())) == 1100


def test_ids_and_updates_grow_with_the_position():
    museum = SyntheticMuseum(12_345)
    items = [museum.item(at) for at in (0, 9, 10, 12_344)]
    assert [item["id"] for item in items] == sorted(item["id"] for item in items)
    assert [item["timestamp_update"] for item in items] == sorted(item["timestamp_update"] for item in items)
    assert museum.position(items[3]["id"]) == 12_344


@pytest.mark.parametrize(
    ("window", "count"),
    [
        ("[* TO *]", 100),
        ("[2020-01-01T00:00:00Z TO 2020-01-01T00:10:00Z]", 11),
        ("[2020-01-01T00:00:00Z TO 2020-01-01T00:10:00Z}", 10),
        ("{2020-01-01T00:00:00Z TO 2020-01-01T00:09:30Z}", 9),
        ("[2020-01-01T01:00:00Z TO *]", 40),
        ("[2030-01-01 TO *]", 0),
    ],
)
def test_windows_of_update_are_exact(window, count):
    museum = SyntheticMuseum(100)
    slow = [at for at in range(100) if _inside(museum.item(at)["timestamp_update"], window)]
    assert list(museum.find(Search("*", (f"timestamp_update:{window}",), sort=(("europeana_id", False),)))) == slow
    assert len(slow) == count


def _inside(stamp: str, window: str) -> bool:
    low, high = window[1:-1].replace("Z", "").split(" TO ")
    at = stamp[:19]
    above = low == "*" or at > low or (window[0] == "[" and at == low)
    return above and (high == "*" or at < high or (window[-1] == "]" and at == high))


def test_what_it_cannot_know_is_refused_rather_than_guessed():
    with pytest.raises(QueryError):
        SyntheticMuseum(10).find(Search('DATA_PROVIDER:"x"'))


@pytest.mark.parametrize("preserialised", [False, True])
def test_it_is_walked_over_http_like_any_museum(preserialised):
    museum, ids, cursor = SyntheticMuseum(950), [], "*"
    with running(museum, preserialised=preserialised) as address, httpx.Client(base_url=address) as client:
        while cursor:
            params = {"query": "*", "rows": 100, "cursor": cursor, "profile": "rich", "sort": "europeana_id asc"}
            page = client.get("/record/v2/search.json", params=params, headers={"X-Api-Key": "k"}).json()
            ids += [item["id"] for item in page["items"]]
            assert page["items"][0]["link"].endswith("wskey=k")
            cursor = page.get("nextCursor")
        record = client.get(f"/record/v2{ids[5]}.json").json()["object"]
    assert ids == [museum.record_id(at) for at in range(950)]
    assert record["about"] == ids[5]
