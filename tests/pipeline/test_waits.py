"""Waits for servers are told, and a server that never answers is not waited for for long."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pipeline import waits
from pipeline.http import GaveUp, HttpClient, Unreachable
from pipeline.http_errors import NoFirstAnswer
from pipeline.settings import HttpSettings
from pipeline.waits import Patience

URL = "https://api.europeana.eu/record/v2/search.json"
SERVER = "https://api.europeana.eu"


class Clock:
    """Moves when something sleeps."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Away:
    """A server that cannot be connected to: each try takes ten seconds; `answers` come first."""

    def __init__(self, clock: Clock, *answers: httpx.Response) -> None:
        self.clock, self.answers, self.tries = clock, list(answers), 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            return self.answers.pop(0)
        self.tries += 1
        self.clock.sleep(10)
        raise httpx.ConnectTimeout("timed out")


def client(away: Away, patience: Patience | None, **settings: Any) -> HttpClient:
    transport = httpx.MockTransport(away)
    return HttpClient(HttpSettings(**settings), transport=transport, clock=away.clock, patience=patience)


def test_a_server_that_never_answered_is_given_up_within_a_minute():
    away = Away(clock := Clock())
    with pytest.raises(
        NoFirstAnswer, match=r"has not answered once in \d\d s: ConnectTimeout.*`eufcc doctor`"
    ) as error:
        client(away, Patience(None, 60.0)).get(URL)
    assert 20 <= clock.time - 1_000_000 < 60 + 10  # this server does not know that its last try has a deadline
    assert not error.value.transient  # no retry of the step makes it ten minutes again


@pytest.mark.parametrize("patience", [None, Patience()], ids=["none", "--wait"])
def test_without_that_limit_every_try_is_made(patience: Patience | None):
    away = Away(clock := Clock())
    with pytest.raises(Unreachable, match="after 8 attempts"):
        client(away, patience).get(URL)
    assert (away.tries, clock.time > 1_000_060) == (8, True)


@pytest.mark.parametrize("answer", [httpx.Response(200), httpx.Response(503)], ids=["good", "busy"])
def test_a_server_that_answered_once_may_be_away_for_longer(answer: httpx.Response):
    away = Away(Clock(), answer)
    with client(away, Patience(None, 60.0)) as http:
        if answer.status_code == 200:
            http.get(URL)
        with pytest.raises(Unreachable) as error:
            http.get(URL)
    assert not isinstance(error.value, NoFirstAnswer)
    assert away.tries == (8 if answer.status_code == 200 else 7)


def test_an_hour_of_a_used_up_limit_is_no_silence_of_the_server(tmp_path):
    """A run before has used up the window: the first request starts when it ends, and has its minute then."""
    clock, told = Clock(), []
    limited = httpx.Response(429, headers={"RateLimit": '"personal";r=0;t=3000'})
    transport = httpx.MockTransport(lambda request: limited if clock.time < 1_003_000 else httpx.Response(200))
    for _ in range(2):
        patience = Patience(told.append, 60.0)
        with HttpClient(HttpSettings(), transport=transport, clock=clock, budgets=tmp_path, patience=patience) as http:
            assert http.get(URL).status == 200
    assert len(told) == 1
    assert told[0].startswith(f"{SERVER} takes no more requests for now (its limit, or ours); goes on at ")


def test_each_long_wait_is_told_with_the_try_and_the_time():
    told: list[str] = []
    away = Away(Clock())
    with pytest.raises(Unreachable):
        client(away, Patience(told.append), attempts=4).get(URL, headers={"X-Api-Key": "cAnary42"})
    assert [line.partition(";")[2].partition(" at ")[0] for line in told] == [f" try {n} of 4" for n in (2, 3, 4)]
    assert all(line.startswith(f"{SERVER} gives no usable answer (ConnectTimeout timed out)") for line in told)
    assert "cAnary42" not in "".join(told)


@pytest.mark.parametrize("hosts", [{}, {"*": "http://anna:s3cret-word@127.0.0.1:9"}], ids=["asked", "mapped"])
def test_no_password_of_an_address_is_told(hosts: dict[str, str]):
    away, told = Away(Clock()), list[str]()
    address = URL if hosts else URL.replace("//", "//anna:s3cret-word@")
    with client(away, Patience(told.append), attempts=4, hosts=hosts) as http, pytest.raises(Unreachable) as error:
        http.get(address)
    assert told
    assert "s3cret" not in "".join((*told, str(error.value)))


def test_short_waits_are_not_told():
    told: list[str] = []
    transport = httpx.MockTransport(lambda request: httpx.Response(503))
    settings = HttpSettings(attempts=3, backoff_first_s=0.5)
    http = HttpClient(settings, transport=transport, clock=Clock(), patience=Patience(told.append))
    with http, pytest.raises(GaveUp):
        http.get(URL)
    assert told == []


def test_threads_that_wait_for_one_server_tell_it_once():
    told: list[str] = []
    patience = Patience(told.append)
    for until in (100.0, 101.0, 104.9, 99.0, 106.0):
        patience.say("a", "is away", until, "try 2")
    patience.say("b", "is away", 100.0, "try 2")
    patience.say("a", "is busy", 100.0, "try 2")
    assert [line.partition(";")[0] for line in told] == ["a is away", "a is away", "b is away", "a is busy"]


@pytest.fixture
def mute() -> Iterator[str]:
    """A server on loopback that takes a connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()


def test_a_server_that_takes_the_connection_and_is_mute_is_told_and_given_up(mute: str, monkeypatch):
    monkeypatch.setattr(waits, "SILENT_S", 0.1)
    told: list[str] = []
    began = time.monotonic()
    with HttpClient(HttpSettings(), patience=Patience(told.append, 1.0)) as http, pytest.raises(NoFirstAnswer):
        http.get(mute)
    assert time.monotonic() - began < 10  # where a read may take 60 s
    assert told[0].startswith(f"{mute} has not answered yet; given up at ")


def test_a_server_without_time_for_its_first_answer_is_given_up(mute: str):
    settings = HttpSettings(attempts=2)
    with (
        HttpClient(settings, patience=Patience(None, 0.0)) as http,
        pytest.raises(NoFirstAnswer, match="the whole answer took too long"),
    ):
        http.get(mute)
