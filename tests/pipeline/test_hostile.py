"""Thousands of answers as fuzzers make them: no run ends, every outcome is typed, memory stays below its limit."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import psutil
import pytest

from assets.engine.project import ROOT
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.http import HttpClient, HttpError
from pipeline.images.fetch import fetch_images
from pipeline.images.reasons import is_declared
from pipeline.images.wanted import WANTED
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings, VocabularySettings
from pipeline.tables import FETCHES
from pipeline.vocabulary.getty import GettySource

STATES = {"fetched", "unchanged", "failed", "rejected"}
MEMORY_MB = 400  # beyond what the process had before: 32 answers of at most 5 MB, their decoders' pipes, tables
HOSTS = 40
LONGEST_SENTENCE = 25_000  # characters; an address that is redirected to has 20,000


class Skipping:
    """A clock whose sleeps take no time."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return time.time() + self.slept

    def sleep(self, seconds: float) -> None:
        assert seconds <= 3 * 3600, "somebody is made to wait for more than a window of requests"
        self.slept += seconds


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """The address of the hostile server, a process of its own, so that its memory is not counted."""
    command = [sys.executable, "-m", "tests.pipeline.hostile"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@contextmanager
def within_memory(most_mb: float, what: str) -> Iterator[None]:
    """Fails if this process takes more memory than that beyond what it has; prints the figures of the run."""
    me = psutil.Process()
    before, highest, over = me.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], me.memory_info().rss)

    watcher, started = threading.Thread(target=watch, daemon=True), time.monotonic()
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    used_mb = (highest[0] - before) / 1e6
    print(f"{what}: peak RSS {highest[0] / 1e6:.0f} MB (+{used_mb:.0f} MB), {time.monotonic() - started:.0f} s")
    assert used_mb < most_mb


def few_or_many(few: int, many: int) -> list:
    """A number of answers for `make test`, and one for `make test-long`."""
    return [pytest.param(few, id=f"{few}"), pytest.param(many, id=f"{many}", marks=pytest.mark.long)]


@pytest.mark.parametrize("answers", few_or_many(150, 5_000))
def test_every_image_is_a_typed_row(hostile: str, tmp_path: Path, answers: int):
    urls = [(f"/a/{n}", 0, f"http://h{n % HOSTS}.example/{n}", None) for n in range(answers)]
    wanted = pl.DataFrame(urls, schema=WANTED, orient="row")
    images = ImageSettings(
        allowed_addresses=("127.0.0.1/32",), attempts=1, timeout_s=3.0, max_bytes=5_000_000, max_pixels=1_000_000
    )
    http = HttpSettings(hosts={"*": hostile}, backoff_first_s=0.01, backoff_cap_s=0.05)
    with within_memory(MEMORY_MB, f"{answers} images"):
        summary = fetch_images(wanted, tmp_path, images, http)
    fetches = FETCHES.read(tmp_path / "fetches.parquet")
    print(summary.states, summary.reasons)
    assert set(fetches["url"]) == set(wanted["url"])
    assert set(fetches["state"]) <= STATES
    assert [reason for reason in summary.reasons if not is_declared(reason)] == []
    untyped = fetches.filter(pl.col("state").is_in(["failed", "rejected"]), pl.col("reason").is_null())
    assert untyped.is_empty()
    assert summary.states["fetched"] > answers / 50  # honest answers among them get through
    refreshed = fetch_images(wanted, tmp_path, images, http, refresh=True)
    assert sum(refreshed.states.values()) == answers


@pytest.mark.parametrize("answers", few_or_many(50, 2_000))
def test_every_answer_of_an_api_is_read_or_a_typed_error(hostile: str, tmp_path: Path, answers: int):
    settings = HttpSettings(
        hosts={"*": hostile}, attempts=2, requests_per_second=1e9, total_timeout_s=2.0, read_timeout_s=1.0,
        max_body_bytes=5_000_000, max_json_values=200_000, rate_limit_waits=2,
    )  # fmt: skip
    outcomes: Counter[str] = Counter()
    with within_memory(MEMORY_MB, f"{answers} answers of APIs"), HttpClient(settings, clock=Skipping()) as http:
        for number in range(answers):
            outcomes[outcome(http, number, tmp_path)] += 1
    print(dict(outcomes))
    assert outcomes["read"] > 0
    assert sum(outcomes.values()) == answers
    assert outcomes["endless sentence"] == 0


def outcome(http: HttpClient, number: int, folder: Path) -> str:
    """What one of our clients makes of the answer with this number."""
    api = f"https://n{number}.example"
    client = EuropeanaClient(http, HarvestSettings(api=api), None)
    vocabulary = VocabularySettings(sparql_endpoint=f"{api}/sparql")
    asked = (
        lambda: client.search("*").ids,
        lambda: client.record("/1/a"),
        lambda: client.concepts(["http://data.europeana.eu/concept/1"]),
        lambda: client.providers("*"),
        lambda: GettySource(http, vocabulary, folder / f"{number}").concepts(["300000001"]),
        lambda: client.bounds("*", None, "timestamp_created"),
    )
    try:
        asked[number % len(asked)]()
    except HttpError as error:
        return type(error).__name__ if len(str(error)) < LONGEST_SENTENCE else "endless sentence"
    return "read"
