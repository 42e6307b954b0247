"""Faults: the same from the same seed, bounded, and each as described."""

import json
import time

import httpx
import pytest
from PIL import Image

from tests.support.fault_responses import png_bomb
from tests.support.faults import BY_NAME, FAULTS, Faults
from tests.support.museum_server import running
from tests.support.synthetic import SyntheticMuseum

SEARCH = "/record/v2/search.json"
RETRIED = (429, 499, 500, 502, 503, 504)


def page(client: httpx.Client, cursor: str, attempts: list[int]) -> dict:
    """One page as a careful client gets it: what is not a whole JSON answer is asked for again."""
    for attempt in range(12):
        attempts.append(attempt)
        try:
            answer = client.get(SEARCH, params={"query": "*", "rows": 10, "cursor": cursor, "sort": "europeana_id asc"})
            body = answer.json()
        except (httpx.TransportError, json.JSONDecodeError):
            continue
        if answer.status_code in RETRIED or body.get("code") in ("503-SA", "504-SA", "400-SC"):
            continue
        if body.get("nextCursor") == cursor and len(body.get("items", [])) == 10:
            continue  # stuck amid the walk
        return body
    raise AssertionError("never answered")


def walk(client: httpx.Client, attempts: list[int]) -> list[str]:
    ids, cursor = [], "*"
    while cursor:
        body = page(client, cursor, attempts)
        ids += [item["id"] for item in body.get("items", [])]
        following = body.get("nextCursor")
        cursor = following if following != cursor else None
    return list(dict.fromkeys(ids))


API_MODES = [fault.name for fault in FAULTS if {"api", "search", "cursor"} & set(fault.where)]


def test_there_are_at_least_fifteen_faults_of_apis_and_twenty_of_images():
    assert len(FAULTS) == len(BY_NAME)
    assert len([fault for fault in FAULTS if "image" not in fault.where or len(fault.where) > 1]) >= 15
    assert len([fault for fault in FAULTS if "image" in fault.where]) >= 20
    assert all(fault.description for fault in FAULTS)


@pytest.mark.parametrize("mode", API_MODES)
def test_a_careful_client_arrives_under_every_fault_of_the_search(mode):
    faults = Faults(seed=3, probability=1.0, modes=(mode,), slow_s=0.05)
    museum, attempts = SyntheticMuseum(37), []
    with running(museum, faults=faults) as address, httpx.Client(base_url=address, timeout=5) as client:
        assert walk(client, attempts) == [museum.record_id(at) for at in range(37)]
    assert faults.played[mode] >= 4  # each page was struck


def test_all_faults_together_meet_the_same_requests_again_under_the_same_seed():
    played = []
    for _ in range(2):
        faults, attempts = Faults(seed=11, probability=0.8, slow_s=0.02), []
        with (
            running(SyntheticMuseum(95), faults=faults) as address,
            httpx.Client(base_url=address, timeout=5) as client,
        ):
            assert len(walk(client, attempts)) == 95
        played.append((faults.played, attempts))
    assert played[0] == played[1]
    assert len(played[0][0]) >= 5


def test_the_key_in_the_url_does_not_change_a_requests_fate():
    def scope(query: bytes) -> dict:
        return {"type": "http", "method": "GET", "path": SEARCH, "query_string": query, "headers": []}

    faults = Faults(seed=1, probability=1.0)
    first = faults.next_fault(scope(b"query=x&wskey=a"), b"")
    again = Faults(seed=1, probability=1.0).next_fault(scope(b"wskey=b&query=x"), b"")
    assert first is again is not None


def test_429_tells_the_budget(museum):
    faults = Faults(probability=1.0, modes=("429",), reset_s=7)
    with running(museum, faults=faults) as address:
        answer = httpx.get(f"{address}{SEARCH}", params={"query": "*"})
    assert (answer.status_code, answer.json()["code"]) == (429, "429_limit_personal")
    assert answer.headers["RateLimit"] == '"personal";r=0;t=7'
    assert answer.headers["RateLimit-Policy"] == '"personal";q=1000;w=3600'


@pytest.fixture
def image(museum):
    """Path and header of an image that exists."""
    url = httpx.URL(next(iter(museum.media)))
    return url.raw_path.decode(), {"X-Original-Host": f"{url.scheme}://{url.netloc.decode()}"}


def struck(museum, image, mode: str, **options) -> httpx.Response:
    faults = Faults(probability=1.0, modes=(mode,), lasting=True, slow_s=0.2, **options)
    with running(museum, faults=faults) as address:
        return httpx.get(address + image[0], headers=image[1], timeout=5)


@pytest.mark.parametrize(
    ("mode", "status", "content_type", "begin"),
    [
        ("404", 404, "text/plain", b"Not Found"),
        ("410", 410, "text/plain", b"Gone"),
        ("403", 403, "text/plain", b"Forbidden"),
        ("html_as_jpeg", 200, "image/jpeg", b"<!DOCTYPE html>"),
        ("svg_as_jpeg", 200, "image/jpeg", b"<svg"),
        ("zero_bytes", 200, "image/jpeg", b""),
        ("wrong_type", 200, "text/html; charset=utf-8", b"\xff\xd8\xff"),
        ("pixel_bomb", 200, "image/png", b"\x89PNG"),
    ],
)
def test_faults_of_images_answer_as_described(museum, image, mode, status, content_type, begin):
    answer = struck(museum, image, mode)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, content_type)
    assert answer.content.startswith(begin)


@pytest.mark.parametrize("mode", ["reset", "timeout", "reset_midway", "huge_declared"])
def test_cut_connections_are_errors_of_the_transport(museum, image, mode):
    with pytest.raises(httpx.TransportError):
        struck(museum, image, mode)


def test_redirects_lead_where_no_client_should_follow(museum, image):
    assert struck(museum, image, "redirect_loop").headers["Location"] == image[1]["X-Original-Host"] + image[0]
    assert struck(museum, image, "redirect_inside").headers["Location"].startswith("http://169.254.169.254/")
    assert struck(museum, image, "redirect_to_file").headers["Location"] == "file:///etc/passwd"


def test_a_truncated_and_a_corrupted_image_announce_what_they_send(museum, image):
    whole = next(iter(museum.media.values())).read_bytes()
    half = struck(museum, image, "truncated_image").content
    assert half == whole[: len(whole) // 2]
    corrupted = struck(museum, image, "corrupted_image").content
    assert len(corrupted) == len(whole)
    assert corrupted != whole


def test_a_small_body_unpacks_to_eighty_megabytes(museum, image):
    faults = Faults(probability=1.0, modes=("gzip_bomb",), lasting=True)
    with (
        running(museum, faults=faults) as address,
        httpx.stream("GET", address + image[0], headers=image[1], timeout=20) as answer,
    ):
        raw = b"".join(answer.iter_raw())
    assert len(raw) < 200_000
    assert answer.headers["Content-Encoding"] == "gzip"


def test_a_pixel_bomb_declares_its_size_in_a_few_kilobytes():
    bomb = png_bomb(3_000)
    assert len(bomb) < 10_000
    assert (int.from_bytes(bomb[16:20], "big"), int.from_bytes(bomb[20:24], "big")) == (3_000, 3_000)


def test_an_endless_body_goes_on_until_the_client_leaves(museum, image):
    faults = Faults(probability=1.0, modes=("endless",), lasting=True)
    with (
        running(museum, faults=faults) as address,
        httpx.stream("GET", address + image[0], headers=image[1], timeout=10) as answer,
    ):
        received = 0
        for chunk in answer.iter_raw():
            received += len(chunk)
            if received > 20_000_000:
                break
    assert "Content-Length" not in answer.headers
    assert received > 20_000_000


def test_slow_answers_are_true_and_slow(museum, image):
    began = time.monotonic()
    answer = struck(museum, image, "slow_body")
    assert time.monotonic() - began >= 0.2
    assert answer.content == next(iter(museum.media.values())).read_bytes()


def test_lasting_faults_strike_again_and_passing_ones_do_not(museum, image):
    for lasting, statuses in ((True, [404] * 6), (False, None)):
        faults = Faults(probability=1.0, modes=("404",), lasting=lasting)
        with running(museum, faults=faults) as address, httpx.Client(base_url=address) as client:
            answers = [client.get(image[0], headers=image[1]).status_code for _ in range(6)]
        assert answers == statuses if statuses else (answers[0], answers[-1]) == (404, 200)


QUERY = {"query": "SELECT ?l { aat:300037680 gvp:prefLabelGVP/xl:literalForm ?l }"}


def test_the_thesaurus_moves_gives_up_and_sends_halves(museum):
    seen = {}
    for mode in ("301_to_https", "sparql_499", "sparql_half"):
        faults = Faults(probability=1.0, modes=(mode,), strikes=1)
        with running(museum, faults=faults) as address, httpx.Client(base_url=address) as client:
            seen[mode] = client.post("/sparql", data=QUERY)
            assert client.post("/sparql", data=QUERY).json()["results"]["bindings"][0]["l"]["value"] == "furniture"
    assert seen["301_to_https"].headers["Location"] == "https://vocab.getty.edu/sparql"
    assert seen["sparql_499"].status_code == 499
    assert seen["sparql_half"].status_code == 200
    with pytest.raises(json.JSONDecodeError):
        seen["sparql_half"].json()


def test_an_unknown_fault_is_named():
    with pytest.raises(ValueError, match=r"Unknown fault 'flood'; there are 429, 500"):
        Faults(modes=("flood",))


def test_images_keep_their_form_when_no_fault_strikes(museum, image):
    with running(museum, faults=Faults(probability=0.0)) as address:
        answer = httpx.get(address + image[0], headers=image[1])
    with Image.open(next(iter(museum.media.values()))) as picture:
        assert picture.format == "JPEG"
    assert answer.status_code == 200
