"""The Search API over HTTP."""

import itertools

import httpx
import pytest

from pipeline.sandbox.answers import Quota
from pipeline.sandbox.folder import MuseumFolder
from tests.support.museum_server import running

SEARCH = "/record/v2/search.json"


def search(client: httpx.Client, **params) -> dict:
    answer = client.get(SEARCH, params={"query": "*"} | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(client: httpx.Client, **params) -> list[str]:
    ids, cursor = [], "*"
    while cursor:
        page = search(client, cursor=cursor, **params)
        ids += [item["id"] for item in page.get("items", [])]
        cursor = page.get("nextCursor")
    return ids


def test_a_walk_by_cursor_meets_every_record_once_and_in_order(client, museum):
    ids = walk(client, rows=7, sort="europeana_id asc")
    assert ids == sorted(museum.index.ids)


def test_the_last_page_gives_no_cursor(client, museum):
    page = search(client, cursor="*", rows=100, query=f'europeana_id:"{museum.index.ids[0]}"')
    assert (page["itemsCount"], page["totalResults"], "nextCursor" in page) == (1, 1, False)


def test_rows_are_twelve_unless_asked_for_and_never_more_than_a_hundred(client):
    assert len(search(client)["items"]) == 12
    assert len(search(client, rows=500)["items"]) == 100


def test_no_rows_is_a_count(client, museum):
    page = search(client, rows=0)
    assert page["totalResults"] == len(museum)
    assert "itemsCount" not in page
    assert page["items"] == []


def test_the_callers_key_is_echoed_where_europeana_echoes_it(client):
    page = client.get(SEARCH, params={"query": "*", "rows": 1}, headers={"X-Api-Key": 'k"1'}).json()
    assert page["apikey"] == 'k"1'
    assert page["items"][0]["link"].endswith('.json?wskey=k"1')
    assert page["items"][0]["guid"].endswith('utm_campaign=k"1')


@pytest.mark.parametrize(
    ("params", "code", "error"),
    [
        ({}, None, "Required parameter 'query' missing"),
        ({"query": " "}, "400-SE", "Empty search query parameter"),
        ({"query": "(chair"}, "400-SA", "Invalid search query"),
        ({"query": "unheard_of:x"}, "400-SA", "Invalid search query"),
        ({"query": "*", "cursor": "nonsense"}, "400-SC", None),
        (
            {"query": "*", "cursor": "*", "start": 2},
            "400-SD",
            "Parameters 'start' and 'cursorMark' cannot be used together",
        ),
        ({"query": "*", "start": 990, "rows": 12}, "400-SL", None),
        ({"query": "*", "cursor": "*", "sort": "timestamp_update desc"}, "400-SA", "Invalid search query"),
        ({"query": "*", "profile": "facets", "facet": "TYPE", "f.YEAR.facet.limit": 5}, "400-SA", None),
    ],
)
def test_bad_requests_are_refused_with_europeanas_codes(client, params, code, error):
    answer = client.get(SEARCH, params=params)
    body = answer.json()
    assert (answer.status_code, body["success"], body.get("code")) == (400, False, code)
    assert error is None or body["error"] == error


def test_a_cursor_holds_only_for_its_own_order(client):
    cursor = search(client, cursor="*", rows=5, sort="europeana_id asc")["nextCursor"]
    answer = client.get(SEARCH, params={"query": "*", "cursor": cursor, "sort": "europeana_id desc"})
    assert answer.json()["code"] == "400-SC"


def test_a_word_finds_records_by_the_labels_of_their_concepts_in_any_language(client, museum):
    english, catalan = set(walk(client, query="furniture", rows=100)), set(walk(client, query="mobiliari", rows=100))
    linked = {
        record_id
        for record_id in museum.index.ids
        if any(uri.rpartition("/")[2] == "37" for uri in museum.item(museum.position(record_id)).get("edmConcept", []))
    }
    assert linked
    assert linked <= english & catalan  # by the entity's labels, whatever language the record is in


def test_accents_and_case_do_not_matter(client):
    assert walk(client, query="CERAMICA") == walk(client, query="ceràmica") != []


def test_filters_are_conditions(client, museum):
    items = [museum.item(position) for position in range(len(museum))]
    open_images = [
        item["id"]
        for item in items
        if item["type"] == "IMAGE" and "edmPreview" in item and "by-nc" not in item["rights"][0]
        and "rightsstatements" not in item["rights"][0]
    ]  # fmt: skip
    found = walk(client, rows=50, reusability="open", thumbnail="true", qf="TYPE:IMAGE", sort="europeana_id asc")
    assert found == sorted(open_images)
    assert len(found) < len(items)


def test_two_providers_in_two_refinements_are_alternatives(client):
    one = search(client, qf='DATA_PROVIDER:"Museum Zandhoek"', rows=0)["totalResults"]
    other = search(client, qf='DATA_PROVIDER:"Plankammer Hochfeld"', rows=0)["totalResults"]
    both = search(client, qf=['DATA_PROVIDER:"Museum Zandhoek"', 'DATA_PROVIDER:"Plankammer Hochfeld"'], rows=0)
    assert one > 0
    assert other > 0
    assert both["totalResults"] == one + other


def test_windows_of_update_partition_the_records(client, museum):
    bounds = ["*", "2026-03-01T00:00:00Z", "2026-06-15", "*"]
    parts = [
        search(client, query=f"timestamp_update:[{low} TO {high}{'}' if high != '*' else ']'}", rows=0)["totalResults"]
        for low, high in itertools.pairwise(bounds)
    ]
    assert sum(parts) == len(museum)
    assert all(parts)


def test_facets_count_what_was_found(client, museum):
    page = search(client, profile="rich,facets", facet="DATA_PROVIDER", rows=0)
    (facet,) = page["facets"]
    assert facet["name"] == "DATA_PROVIDER"
    assert sum(field["count"] for field in facet["fields"]) == len(museum)
    assert facet["fields"] == sorted(facet["fields"], key=lambda field: (-field["count"], field["label"]))
    few = search(client, profile="facets", facet="DATA_PROVIDER", rows=0, **{"f.DATA_PROVIDER.facet.limit": 2})
    assert few["facets"][0]["fields"] == facet["fields"][:2]


def test_profiles_give_fewer_fields(client):
    minimal, standard, rich = (
        search(client, profile=name, rows=1)["items"][0] for name in ("minimal", "standard", "rich")
    )
    assert "edmConcept" not in minimal
    assert "edmConcept" in standard
    assert "dcTypeLangAware" not in standard
    assert "dcTypeLangAware" in rich


def test_a_wrong_and_a_missing_key_are_refused_as_recorded(museum: MuseumFolder):
    with running(museum, api_key="right") as address, httpx.Client(base_url=address) as client:
        missing, wrong = (
            client.get(SEARCH, params={"query": "*"}),
            client.get(SEARCH, params={"query": "*", "wskey": "x"}),
        )
        right = client.get(SEARCH, params={"query": "*"}, headers={"X-Api-Key": "right"})
        entity, thumbnail = client.get("/entity/concept/37"), client.get("/thumbnail/v2/url.json?uri=http://x.y/z.jpg")
    assert (missing.status_code, missing.json()) == (
        401,
        {"success": False, "error": "Unauthorized", "message": "Invalid API key provided!", "code": "invalid_apikey"},
    )
    assert (wrong.status_code, wrong.json()) == (
        401,
        {
            "success": False,
            "error": "API key is invalid",
            "message": "Please register for an API key",
            "code": "401_key_invalid",
        },
    )
    assert (right.status_code, entity.status_code, thumbnail.status_code) == (200, 401, 200)


def test_the_rate_limit_is_told_and_kept(museum: MuseumFolder):
    quota = Quota(requests=2, window_s=100, clock=lambda: 1030.0)
    with running(museum, quota=quota) as address, httpx.Client(base_url=address) as client:
        answers = [client.get(SEARCH, params={"query": "*", "rows": 0}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"personal";r={left};t=70' for left in (1, 0, 0)]
    assert answers[2].headers["RateLimit-Policy"] == '"personal";q=2;w=100'
    assert "Retry-After" not in answers[2].headers
    assert answers[2].json()["code"] == "429_limit_personal"


def test_a_search_by_post_is_the_same_search(client):
    body = {"query": "furniture", "rows": 3, "profile": ["rich"], "qf": ["TYPE:IMAGE"], "reusability": ["open"]}
    params = {"query": "furniture", "rows": 3, "profile": "rich", "qf": "TYPE:IMAGE", "reusability": "open"}
    assert client.post(SEARCH, json=body).json() == client.get(SEARCH, params=params).json()
