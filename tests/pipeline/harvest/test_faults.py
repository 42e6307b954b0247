"""With every fault of the local museum switched on, and killed at random points, a harvest ends as a clean one does."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.pages import harvest_collection, refresh_collection
from pipeline.harvest.records import write_records
from pipeline.http import HttpClient
from pipeline.settings import HarvestSettings, HttpSettings
from tests.support.faults import BY_NAME, Faults
from tests.support.museum_server import running
from tests.support.synthetic import SyntheticMuseum

# The ways to go wrong that a walk through Europeana's Search API meets; SPARQL's are the vocabulary's.
MODES = (
    "429",
    "500",
    "502_html",
    "503",
    "503_sa_as_400",
    "504_sa_as_400",
    "html_as_200",
    "timeout",
    "reset",
    "reset_midway",
    "slow_body",
    "truncated_json",
    "bad_cursor",
    "repeated_cursor",
    "stuck_cursor",
    "empty_last_page",
    "duplicate_items",
    "drifting_total",
)
COLLECTIONS = ("furniture", "costume")
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)

# What a killed process runs: the same harvest, in a process of its own.
PROGRAM = """
import sys
from pathlib import Path
from tests.pipeline.harvest.test_faults import harvest_all
harvest_all(sys.argv[1], Path(sys.argv[2]), rows=int(sys.argv[3]), split_above=int(sys.argv[4]))
"""
ROOT = Path(__file__).parents[3]


def harvest_all(url: str, folder: Path, rows: int, split_above: int) -> None:
    """Harvest every collection; what is there already is gone on with."""
    settings = HarvestSettings(rows=rows, split_above=split_above, chains=4, as_of=AS_OF)
    http = HttpSettings(
        hosts={"*": url},
        requests_per_second=1e6,
        read_timeout_s=0.4,
        backoff_first_s=0.01,
        backoff_cap_s=0.05,
        attempts=8,
    )
    with EuropeanaClient(HttpClient(http, budgets=folder / "budgets"), settings, "a-canary-key") as client:
        for collection in COLLECTIONS:
            harvest_collection(client, collection, folder / "pages" / collection, settings)


def table(folder: Path) -> bytes:
    write_records(folder / "pages", folder / "records.parquet")
    return (folder / "records.parquet").read_bytes()


def clean(folder: Path, records: int, rows: int, split_above: int) -> bytes:
    with running(SyntheticMuseum(records)) as url:
        harvest_all(url, folder, rows, split_above)
    return table(folder)


def faults(*modes: str, **more) -> Faults:
    return Faults(seed=3, modes=modes or MODES, slow_s=0.6, reset_s=0, **more)


def test_there_are_at_least_fifteen_ways_to_go_wrong():
    assert len(set(MODES)) == len(MODES) == 18
    assert set(MODES) <= set(BY_NAME)
    search = {"api", "search", "cursor"}
    assert set(MODES) == {name for name, fault in BY_NAME.items() if search & set(fault.where)}


@pytest.mark.parametrize("mode", MODES)
def test_each_fault_alone_changes_nothing(mode, tmp_path):
    wanted = clean(tmp_path / "clean", 60, 10, 1000)
    schedule = faults(mode, probability=0.15 if mode == "429" else 0.6)
    with running(SyntheticMuseum(60), faults=schedule) as url:
        harvest_all(url, tmp_path / "faulty", 10, 1000)
    assert schedule.played[mode] > 0
    assert table(tmp_path / "faulty") == wanted


def killed_again_and_again(url: str, folder: Path, rows: int, split_above: int, kills: int, longest: float) -> int:
    """Start the harvest, kill it at a random moment, again and again, then let it end; how often it was killed."""
    moments, killed = random.Random(11), 0
    command = [sys.executable, "-c", PROGRAM, url, str(folder), str(rows), str(split_above)]
    while True:
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        seen = len(list(folder.rglob("page-*.json.gz")))
        if killed < kills:
            _wait_for_pages(process, folder, seen)
            time.sleep(moments.uniform(0.0, longest))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
                continue
        assert process.wait(timeout=600) == 0
        return killed


def _wait_for_pages(process: subprocess.Popen, folder: Path, seen: int) -> None:
    """Until the process has written something, so that kills fall into the walk and not into Python's start."""
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if len(list(folder.rglob("page-*.json.gz"))) != seen:
            return
        time.sleep(0.01)


def test_a_harvest_killed_twice_under_faults_ends_as_a_clean_one(tmp_path):
    wanted = clean(tmp_path / "clean", 600, 10, 100)
    schedule = faults(probability=0.2)
    with running(SyntheticMuseum(600), faults=schedule, latency_s=0.02) as url:
        killed = killed_again_and_again(url, tmp_path / "faulty", 10, 100, kills=2, longest=0.1)
    assert killed == 2
    assert table(tmp_path / "faulty") == wanted


@pytest.mark.long
def test_every_fault_and_twenty_kills_end_in_the_same_bytes(tmp_path):
    wanted = clean(tmp_path / "clean", 8_000, 10, 500)
    schedule = faults(probability=0.3)
    with running(SyntheticMuseum(8_000), faults=schedule, latency_s=0.05) as url:
        killed = killed_again_and_again(url, tmp_path / "faulty", 10, 500, kills=20, longest=0.5)
        print(f"killed {killed} times; faults played: {dict(schedule.played)}")
    assert killed == 20
    assert {mode for mode, times in schedule.played.items() if times} == set(MODES)
    assert table(tmp_path / "faulty") == wanted


def test_a_refresh_under_faults_brings_what_a_clean_one_brings(tmp_path):
    tables = []
    for name, schedule in (("clean", None), ("faulty", faults(probability=0.4))):
        folder = tmp_path / name
        with running(SyntheticMuseum(200)) as url:
            harvest_all(url, folder, 10, 1000)
        later = HarvestSettings(rows=10, as_of=datetime(2026, 2, 1, tzinfo=UTC))
        http = HttpSettings(hosts={}, requests_per_second=1e6, read_timeout_s=0.4, backoff_first_s=0.01)
        with running(SyntheticMuseum(260), faults=schedule) as url:
            mapped = http.model_copy(update={"hosts": {"*": url}})
            with EuropeanaClient(HttpClient(mapped), later, None) as client:
                refresh_collection(client, "furniture", folder / "pages" / "furniture", later)
        tables.append(table(folder))
    assert tables[0] == tables[1]
