"""What Europeana is asked, with which key, and what its answers become."""

import json

import httpx
import pytest

from pipeline.harvest.entities import europeana_concept
from pipeline.harvest.europeana import EuropeanaClient, Window
from pipeline.http import GaveUp, HttpClient, Refused, WrongKey
from pipeline.settings import HarvestSettings, HttpSettings
from tests.pipeline.harvest.conftest import KEY, SmallEuropeana, client_of, cursor_at

CONCEPT = "http://data.europeana.eu/concept/"


def test_a_search_asks_for_open_images_by_cursor_in_the_order_of_ids(europeana):
    page = client_of(europeana).search("furniture")
    assert europeana.searches == [
        {
            "query": "furniture",
            "qf": ["TYPE:IMAGE"],
            "reusability": "open",
            "thumbnail": "true",
            "sort": "europeana_id asc",
            "rows": "10",
            "profile": "rich",
            "cursor": "*",
        }
    ]
    assert (page.total, len(page.items), page.next_cursor) == (35, 10, cursor_at(10))


def test_a_cursor_arrives_as_it_was_given(europeana):
    assert cursor_at(20) == "+//+MjA="
    client_of(europeana).search("furniture", cursor_at(20))
    assert europeana.cursors() == ["+//+MjA="]


def test_translations_are_further_words():
    europeana = SmallEuropeana(1)
    client_of(europeana, keyword_translations={"furniture": ("Möbel", '"mobles antics"')}).search("furniture")
    assert europeana.searches[0]["query"] == '(furniture) OR (Möbel) OR ("mobles antics")'


def test_a_window_becomes_refinements(europeana):
    window = Window(
        created_from="2020-01-01T00:00:00.000Z",
        updated_from="2024-01-01T00:00:00.000Z",
        updated_before="2025-01-01T00:00:00.000Z",
        provider='The "Museum"',
        without_providers=("A", "B"),
    )
    client_of(europeana).count("*", window)
    assert europeana.searches[0]["query"] == '(*:*) AND NOT DATA_PROVIDER:("A" OR "B")'
    assert europeana.searches[0]["qf"] == [
        "TYPE:IMAGE",
        "timestamp_created:[2020-01-01T00:00:00.000Z TO *]",
        "timestamp_update:[2024-01-01T00:00:00.000Z TO 2025-01-01T00:00:00.000Z}",
        'DATA_PROVIDER:"The \\"Museum\\""',
    ]


def test_a_count_fetches_no_record(europeana):
    assert client_of(europeana).count("furniture") == 35
    assert europeana.searches[0]["rows"] == "0"
    assert "cursor" not in europeana.searches[0]


def test_the_key_goes_in_a_header_to_the_api_alone(europeana):
    seen = []

    def watched(request):
        seen.append((request.url.host, request.headers.get("x-api-key"), KEY in str(request.url)))
        return europeana(request)

    client = client_of(watched)
    client.search("furniture")
    client.http.get("https://vocab.getty.edu/sparql?query=a&rows=1&cursor=*")
    assert seen == [("api.europeana.eu", KEY, False), ("vocab.getty.edu", None, False)]


def test_a_page_as_it_is_kept_holds_no_key(europeana):
    page = client_of(europeana).search("furniture")
    assert KEY not in page.body
    assert json.loads(page.body)["apikey"] == "REDACTED"
    assert json.loads(page.body)["items"][0]["link"].endswith("?wskey=REDACTED")


def test_a_missing_key_is_said_before_anything_is_asked(europeana):
    with pytest.raises(WrongKey, match=r"EUROPEANA_API_KEY is not set: put your Europeana API key into"):
        client_of(europeana, key=None).search("furniture")
    assert europeana.searches == []


def test_a_local_museum_needs_no_key(europeana):
    http = HttpClient(HttpSettings(hosts={"*": "http://127.0.0.1:9"}), transport=httpx.MockTransport(europeana))
    assert EuropeanaClient(http, HarvestSettings(rows=10), None).count("x") == 35


def test_a_key_that_was_copied_badly_is_not_shown(europeana):
    with pytest.raises(WrongKey) as failure:
        client_of(europeana, key="secret key\nwith more").search("furniture")
    assert "secret" not in str(failure.value)
    assert europeana.searches == []


def test_a_key_that_europeana_does_not_know_says_where_it_came_from():
    answer = httpx.Response(401, json={"success": False, "error": "API key is invalid", "code": "401_key_invalid"})
    with pytest.raises(WrongKey, match="does not accept the key in EUROPEANA_API_KEY") as failure:
        client_of(lambda _: answer).search("furniture")
    assert KEY not in str(failure.value)


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "totalResults": 1},
        {"success": True},
        {"success": True, "totalResults": 1, "items": "x"},
        {"success": True, "totalResults": 3, "itemsCount": 3, "items": [{"id": "/1/a"}]},
        [1],
    ],
)
def test_json_that_is_no_search_answer_is_asked_for_again_and_then_given_up(body):
    answers = []

    def answer(request):
        answers.append(request)
        return httpx.Response(200, json=body)

    with pytest.raises(GaveUp, match="broken body"):
        client_of(answer).search("furniture")
    assert len(answers) == 3


def entity(number: int, **more) -> dict:
    return {
        "id": f"{CONCEPT}{number}",
        "type": "Concept",
        "prefLabel": {"en": f"concept {number}"},
        "exactMatch": [f"http://vocab.getty.edu/aat/3000{number:05d}"],
        **more,
    }


class Entities:
    """An Entity API with concepts 1 to 99; 50 was merged into 51."""

    def __init__(self, batches: bool = True) -> None:
        self.batches = batches
        self.requests: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if request.url.path == "/entity/retrieve":
            if not self.batches:
                return httpx.Response(404, json={"error": "no such path"})
            numbers = [int(uri.rpartition("/")[2]) for uri in json.loads(request.content)]
            found = [entity(number) for number in numbers if number < 100 and number != 50]
            return httpx.Response(200, json={"type": "ResultPage", "total": len(found), "items": found})
        number = int(request.url.path.rpartition("/")[2])
        if number == 50:
            return httpx.Response(301, headers={"Location": "/entity/concept/51.json"})
        if number >= 100:
            return httpx.Response(404, json={"success": False, "error": "No entity found"})
        return httpx.Response(200, json=entity(number))


@pytest.mark.parametrize("batches", [True, False])
def test_concepts_are_found_in_either_spelling_and_unknown_ones_left_out(batches):
    concepts = client_of(Entities(batches)).concepts(
        [f"{CONCEPT}base/7", f"{CONCEPT}7", f"{CONCEPT}120", "http://vocab.getty.edu/aat/300037772"]
    )
    assert [concept.uri for concept in concepts] == [f"{CONCEPT}7"]
    assert concepts[0].labels == {"en": "concept 7"}
    assert concepts[0].exact_match == ("http://vocab.getty.edu/aat/300000007",)
    assert concepts[0].close_match == ()


def test_concepts_are_asked_for_in_batches():
    api = Entities()
    assert len(client_of(api).concepts([f"{CONCEPT}{number}" for number in range(100) if number != 50])) == 99
    assert api.requests == ["POST /entity/retrieve"] * 2


def test_a_merged_concept_keeps_the_uri_that_records_use():
    [concept] = client_of(Entities()).concepts([f"{CONCEPT}50"])
    assert concept.uri == f"{CONCEPT}50"
    assert concept.exact_match == ("http://vocab.getty.edu/aat/300000051",)


def test_an_entity_api_that_refuses_is_not_taken_for_no_concept():
    with pytest.raises(Refused, match="HTTP 403"):
        client_of(lambda _: httpx.Response(403)).concepts([f"{CONCEPT}1"])


@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("http://data.europeana.eu/concept/base/47", f"{CONCEPT}47"),
        ("https://data.europeana.eu/concept/47/", f"{CONCEPT}47"),
        (" http://data.europeana.eu/concept/47", f"{CONCEPT}47"),
        ("http://data.europeana.eu/agent/47", None),
        ("http://data.europeana.eu/concept/47/../x", None),
    ],
)
def test_spellings_of_europeana_concepts(uri, canonical):
    assert europeana_concept(uri) == canonical


def test_a_record_that_is_not_there_is_none():
    missing = httpx.Response(404, json={"success": False, "error": "Invalid record identifier: /1/x"})
    assert client_of(lambda _: missing).record("/1/x") is None


def test_a_text_that_is_no_id_never_becomes_a_path():
    with pytest.raises(ValueError, match="is not a Europeana id"):
        client_of(lambda _: httpx.Response(200)).record("/../admin/x y")
