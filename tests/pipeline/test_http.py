"""Requests are repeated when that may help, wait when the server says so, and never show a key."""

import base64
import json
import logging
import threading
import traceback
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from pipeline.http import GaveUp, HttpClient, Refused, Unreachable, WrongKey, mapped
from pipeline.rate_limit import Budget, RateLimit, read_rate_limit
from pipeline.redaction import redact
from pipeline.settings import HttpSettings

KEY = "cAnary/key+42="
URL = "https://api.europeana.eu/record/v2/search.json"
JSON = {"Accept": "application/json"}


class FakeClock:
    """A clock that moves when something sleeps, and keeps the sleeps."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Script:
    """A server that gives the listed answers, one a request, and the last one for ever."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A response can be read once; its stream can be read again.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)


def client(script: Script, clock: FakeClock | None = None, **settings) -> HttpClient:
    settings = {"requests_per_second": 1e15, "attempts": 4, **settings}
    return HttpClient(HttpSettings(**settings), transport=httpx.MockTransport(script), clock=clock or FakeClock())


def ok() -> httpx.Response:
    return httpx.Response(200, json={"success": True})


def error(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"success": False, "error": "told", "code": code})


@pytest.mark.parametrize(
    "first",
    [
        httpx.Response(499),
        httpx.Response(500, json={"error": "Internal server error"}),
        httpx.Response(502, html="<html>Bad Gateway</html>"),
        httpx.Response(503),
        httpx.Response(504),
        error(400, "503-SA"),
        error(400, "504-SA"),
        httpx.Response(200, html="<html>Please wait</html>"),
        httpx.Response(200, content=b'{"success": true, "items": [{"id"'),
        httpx.ConnectError("connection refused"),
        httpx.ReadError("reset by peer"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    ],
    ids=lambda first: getattr(first, "status_code", type(first).__name__),
)
def test_what_may_pass_is_asked_again(first):
    script = Script(first, ok())
    assert client(script).get(URL, headers=JSON).json() == {"success": True}
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "answer", [error(400, "400-SC"), error(400, "400-SA"), httpx.Response(404), httpx.Response(405)]
)
def test_what_will_not_pass_is_refused_at_once(answer):
    script = Script(answer, ok())
    with pytest.raises(Refused) as refusal:
        client(script).get(URL, headers=JSON)
    assert refusal.value.status == answer.status_code
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        error(400, "401_key_invalid"),
        error(400, "401_key_disabled"),
        error(401, "invalid_apikey"),
        error(400, "400-AM"),
        httpx.Response(401, json={"apikey": "test", "success": False, "error": "Invalid API key"}),
    ],
)
def test_a_key_that_is_not_accepted_is_said_at_once(answer):
    script = Script(answer)
    with pytest.raises(WrongKey, match="does not accept the API key"):
        client(script).get(URL, headers={**JSON, "X-Api-Key": KEY})
    assert len(script.requests) == 1


def test_a_server_that_stays_broken_is_given_up_in_one_sentence():
    clock = FakeClock()
    with pytest.raises(GaveUp) as failure:
        client(Script(httpx.Response(502)), clock, backoff_first_s=1.0, backoff_cap_s=3.0).get(URL)
    assert str(failure.value) == f"{URL} gives no usable answer after 4 attempts: HTTP 502; try again later."
    waits = clock.slept
    assert len(waits) == 3
    assert 0.5 <= waits[0] <= 1.0
    assert 1.0 <= waits[1] <= 2.0
    assert 1.5 <= waits[2] <= 3.0  # the cap


def test_no_network_says_where_it_wanted_to_go():
    hosts = {"https://api.europeana.eu": "http://127.0.0.1:1"}
    with pytest.raises(Unreachable, match=r"api.europeana.eu/.* \(at http://127.0.0.1:1\) is not reached after 4"):
        client(Script(httpx.ConnectError("[Errno 111] Connection refused")), hosts=hosts).get(URL)


def test_a_body_that_drips_for_ever_is_cut_off():
    clock = FakeClock()

    class Dripping(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                clock.time += 50.0
                yield b"."

    script = Script(httpx.Response(200, stream=Dripping()))
    with pytest.raises(GaveUp, match="no whole answer within 180 s"):
        client(script, clock).get(URL)


def test_a_body_without_end_is_refused():
    with pytest.raises(Refused, match="more than 10 bytes"):
        client(Script(httpx.Response(200, content=b"x" * 11)), max_body_bytes=10).get(URL)


def test_a_check_of_the_body_can_ask_again():
    def whole(response) -> None:
        if not response.text.endswith("</sparql>"):
            raise ValueError("half an answer")

    script = Script(httpx.Response(200, text="<sparql><res"), httpx.Response(200, text="<sparql></sparql>"))
    assert client(script).get("https://vocab.getty.edu/sparql", check=whole).text == "<sparql></sparql>"


def limited(remaining: int, seconds: int, status: int = 429) -> httpx.Response:
    return httpx.Response(
        status,
        headers={
            "RateLimit-Policy": '"personal";q=1000;w=3600',
            "RateLimit": f'"personal";r={remaining};t={seconds}',
        },
        json={},
    )


def test_after_429_it_sleeps_until_the_window_ends_and_a_second():
    clock = FakeClock()
    script = Script(limited(0, 1234), limited(0, 7), ok())
    client(script, clock, attempts=1).get(URL)
    assert clock.slept == [1235.0, 8.0]


def test_a_429_without_the_header_waits_for_the_next_full_hour():
    clock = FakeClock(now=3600.0 * 100 + 1800.0)
    client(Script(httpx.Response(429), ok()), clock).get(URL)
    assert clock.slept == [1801.0]


def test_a_429_without_end_is_given_up():
    with pytest.raises(GaveUp, match="HTTP 429 again after 2 waits"):
        client(Script(limited(0, 1)), attempts=1, rate_limit_waits=2).get(URL)


def test_when_nothing_is_left_it_waits_before_asking():
    clock = FakeClock()
    script = Script(limited(1, 100, status=200), limited(0, 100, status=200), ok())
    speaker = client(script, clock)
    speaker.get(URL)
    speaker.get(URL)
    assert clock.slept == []
    speaker.get(URL)
    assert clock.slept == [pytest.approx(101.0)]


@pytest.mark.parametrize(
    ("header", "limit"),
    [
        ('"personal";r=12;t=345', RateLimit(12, 345.0)),
        ('"personal"; r=12; t=345', RateLimit(12, 345.0)),
        ('"minute";r=5;t=10, "hour";r=2;t=3000', RateLimit(2, 3000.0)),
        ("r=1;t=2", None),
        ("limit=100, remaining=50, reset=5", None),
        ("", None),
        (None, None),
    ],
)
def test_the_rate_limit_header_is_read(header, limit):
    assert read_rate_limit(header) == limit


def test_requests_keep_their_distance():
    clock = FakeClock()
    speaker = client(Script(ok()), clock, requests_per_second=4.0)
    for _ in range(5):
        speaker.get(URL)
    assert clock.slept == [pytest.approx(0.25)] * 4


def test_budgets_in_one_folder_are_one_budget(tmp_path: Path):
    clock = FakeClock()
    one, two = (Budget("server\nkey", 2.0, clock, tmp_path) for _ in range(2))
    one.take()
    two.take()
    assert clock.slept == [pytest.approx(0.5)]
    one.refused(RateLimit(0, 60.0))
    two.take()
    assert clock.slept[1] == pytest.approx(61.0)
    Budget("server\nother key", 2.0, clock, tmp_path).take()
    assert len(clock.slept) == 2
    assert "key" not in "".join(file.name + file.read_text() for file in tmp_path.iterdir())


def test_a_budget_file_half_written_counts_as_none(tmp_path: Path):
    clock = FakeClock()
    Budget("name", 1.0, clock, tmp_path).take()
    [file] = tmp_path.iterdir()
    file.write_bytes(b'{"next_slot": 10')
    Budget("name", 1.0, clock, tmp_path).take()
    assert clock.slept == []


def test_threads_share_the_budget(tmp_path: Path):
    clock = FakeClock()
    budget = Budget("name", 10.0, clock, tmp_path)
    threads = [threading.Thread(target=lambda: [budget.take() for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() - 1_000_000.0 >= 99 / 10.0 - 1e-6


def test_hosts_are_mapped_and_the_original_is_told():
    hosts = {"https://api.europeana.eu": "http://127.0.0.1:8765", "*": "http://127.0.0.1:9"}
    assert mapped("https://api.europeana.eu/record/v2/search.json?query=a%20b", hosts) == (
        "http://127.0.0.1:8765/record/v2/search.json?query=a%20b",
        {"X-Original-Host": "https://api.europeana.eu"},
    )
    assert mapped("http://media.example:81/x.jpg", hosts) == (
        "http://127.0.0.1:9/x.jpg",
        {"X-Original-Host": "http://media.example:81"},
    )
    assert mapped("http://127.0.0.1:9/x", hosts) == ("http://127.0.0.1:9/x", {})
    assert mapped("https://other.example/x", {}) == ("https://other.example/x", {})


def test_a_redirect_is_not_followed_unless_asked():
    script = Script(httpx.Response(301, headers={"Location": "https://evil.example/"}), ok())
    with pytest.raises(Refused, match=r"redirects to https://evil\.example/"):
        client(script).get(URL, headers={"X-Api-Key": KEY})
    assert len(script.requests) == 1


def test_a_key_does_not_follow_a_redirect_to_another_host():
    script = Script(httpx.Response(301, headers={"Location": "https://evil.example/"}), ok())
    with pytest.raises(Refused, match="not followed"):
        client(script).get(URL, headers={"X-Api-Key": KEY}, redirects=True)
    assert len(script.requests) == 1


def test_a_redirected_post_keeps_its_body():
    moved = httpx.Response(301, headers={"Location": "https://vocab.getty.edu/sparql"})
    script = Script(moved, ok())
    client(script).post("http://vocab.getty.edu/sparql", data={"query": "ASK {}"}, redirects=True)
    first, second = script.requests
    assert (str(second.url), second.method) == ("https://vocab.getty.edu/sparql", "POST")
    assert second.content == first.content == b"query=ASK+%7B%7D"


def test_redirects_without_end_are_refused():
    script = Script(httpx.Response(301, headers={"Location": URL}))
    with pytest.raises(Refused, match="more than 5 times"):
        client(script).get(URL, redirects=True)


SPELLINGS = [
    KEY,
    quote(KEY, safe=""),
    quote(quote(KEY, safe=""), safe=""),
    base64.b64encode(KEY.encode()).decode(),
    base64.urlsafe_b64encode(KEY.encode()).decode(),
    base64.b64encode(f"u:{KEY}".encode()).decode(),
    base64.b64encode(f"us:{KEY} and more".encode()).decode(),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_redacted_in_every_spelling(spelling):
    shown = redact(f"before {spelling} after", [KEY])
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "REDACTED" in shown
    assert spelling not in shown


def test_echoes_go_even_when_the_key_is_not_known():
    text = (
        '{"apikey": "abc", "link": "https://api.europeana.eu/record/1/2.json?wskey=abc&x=1",'
        ' "guid": "https://www.europeana.eu/item/1/2?utm_source=api&utm_medium=api&utm_campaign=abc",'
        ' "edmIsShownAt": ["http://museum.example/1?utm_campaign=europeana&apikey=theirs"]}'
    )
    shown = json.loads(redact(text))
    assert shown["apikey"] == "REDACTED"
    assert shown["link"] == "https://api.europeana.eu/record/1/2.json?wskey=REDACTED&x=1"
    assert shown["guid"].endswith("utm_campaign=REDACTED")
    assert shown["edmIsShownAt"] == ["http://museum.example/1?utm_campaign=europeana&apikey=theirs"]


def test_an_ordinary_word_as_a_key_does_not_rewrite_the_data():
    assert redact('{"apikey":"test","title":"a test piece"}', ["test"]) == (
        '{"apikey":"REDACTED","title":"a test piece"}'
    )


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"error": f"bad {KEY}", "code": "400-SA"}),
        httpx.Response(401, json={"error": f"key {KEY} unknown"}),
        httpx.Response(301, headers={"Location": f"https://x.example/?wskey={quote(KEY, safe='')}"}),
        httpx.ConnectError(f"cannot connect with {KEY}"),
    ],
)
def test_no_exception_shows_the_key(answer):
    with pytest.raises(Exception) as failure:  # noqa: PT011
        client(Script(answer)).get(URL, headers={"X-Api-Key": KEY})
    shown = "".join(traceback.format_exception(failure.value)) + repr(failure.value.args)
    assert not [spelling for spelling in SPELLINGS if spelling in shown.replace(f'KEY = "{KEY}"', "")]


def test_the_log_of_the_http_library_shows_no_key(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore.http11"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    client(Script(ok())).get(URL, params={"wskey": KEY}, headers={"X-Api-Key": KEY})
    logging.getLogger("httpcore.http11").debug("send_request_headers %r", [(b"X-Api-Key", KEY.encode())])
    assert "HTTP Request: GET" in caplog.text
    assert not [spelling for spelling in SPELLINGS if spelling in caplog.text]
