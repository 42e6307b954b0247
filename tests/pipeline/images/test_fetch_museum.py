"""Fetching a whole museum: faults that pass and kills leave no trace, faults that last have a typed reason."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from pipeline.files import sha256_of
from pipeline.images.fetch import fetch_images
from pipeline.settings import HttpSettings, ImageSettings
from pipeline.tables import FETCHES
from tests.support.faults import FAULTS, IMAGE, Faults
from tests.support.museum_server import running


@pytest.fixture(scope="session")
def museum(drawn_museum) -> Path:
    return drawn_museum(60)


def originals(museum: Path) -> pl.DataFrame:
    """Everything that media.csv lists, by its own URL."""
    urls = sorted(pl.read_csv(museum / "media.csv")["url"])
    rows = [(f"/m/{number:04d}", 0, url, None) for number, url in enumerate(urls)]
    return pl.DataFrame(rows, schema=["record_id", "view", "url", "fallback_url"], orient="row")


def fetched_from(address: str, museum: Path, folder: Path, read_timeout_s: float = 0.4, **given):
    images = ImageSettings(
        allowed_addresses=("127.0.0.0/8",), timeout_s=10.0, max_bytes=5_000_000, attempts=6, rows_per_shard=20, **given
    )
    http = HttpSettings(hosts={"*": address}, backoff_first_s=0.01, backoff_cap_s=0.05, read_timeout_s=read_timeout_s)
    return fetch_images(originals(museum), folder, images, http, retry_now=True)


def test_under_faults_that_pass_the_images_are_those_of_a_quiet_day(museum: Path, tmp_path: Path):
    with running(museum) as address:
        quiet = fetched_from(address, museum, tmp_path / "quiet")
    with running(museum, faults=Faults(seed=3, probability=0.5, slow_s=1.0)) as address:
        stormy = fetched_from(address, museum, tmp_path / "stormy")
    assert stormy.requests > quiet.requests
    assert sha256_of(tmp_path / "quiet" / "images") == sha256_of(tmp_path / "stormy" / "images")


def test_every_lasting_fault_has_a_typed_reason(museum: Path, tmp_path: Path):
    lasting = tuple(fault.name for fault in FAULTS if fault.lasting and IMAGE in fault.where)
    faults = Faults(seed=5, probability=0.7, modes=lasting, lasting=True, slow_s=0.2)
    with running(museum, faults=faults) as address:
        summary = fetched_from(address, museum, tmp_path, read_timeout_s=10.0)
    assert summary.usable + sum(summary.reasons.values()) == summary.wanted
    assert summary.states.get("failed", 0) == 0
    assert len(summary.reasons) >= 8, summary.reasons


KILLED = """
import sys
from pathlib import Path
from tests.pipeline.images.test_fetch_museum import fetched_from
fetched_from(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), connections=2)
"""


def asked_so_far(folder: Path) -> int:
    """How many URLs the ledger of a run knows an outcome of."""
    file = folder / "cache" / "images.sqlite"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as ledger:
        try:
            return ledger.execute("SELECT count(*) FROM fetches WHERE state <> 'failed'").fetchone()[0]
        except sqlite3.OperationalError:  # being made
            return 0


def killed_at_random(museum: Path, folder: Path, kills: int) -> int:
    """Run the fetcher against a slow museum, ended by SIGKILL so many times, each at a random moment after it got on;
    returns how many kills hit it at work."""
    draw = random.Random(7)
    root = Path(__file__).parents[3]
    hits = 0
    with running(museum, latency_s=0.1, faults=Faults(seed=1, probability=0.3, slow_s=0.6)) as address:
        for _ in range(kills):
            before = asked_so_far(folder)
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, address, museum, folder],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
                start_new_session=True,
            )
            while process.poll() is None and asked_so_far(folder) <= before:
                time.sleep(0.02)
            time.sleep(draw.uniform(0.0, 0.5))
            hits += process.poll() is None
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        fetched_from(address, museum, folder)
    return hits


def test_killed_twice_the_images_are_those_of_an_undisturbed_run(museum: Path, tmp_path: Path):
    with running(museum) as address:
        fetched_from(address, museum, tmp_path / "calm")
    assert killed_at_random(museum, tmp_path / "killed", kills=2) == 2
    assert sha256_of(tmp_path / "calm" / "images") == sha256_of(tmp_path / "killed" / "images")


@pytest.mark.long
def test_killed_at_twenty_random_points_the_images_are_those_of_an_undisturbed_run(drawn_museum, tmp_path: Path):
    museum = drawn_museum(400)
    with running(museum) as address:
        fetched_from(address, museum, tmp_path / "calm")
    hits = killed_at_random(museum, tmp_path / "killed", kills=20)
    assert hits >= 15  # the last ones may come after the end
    assert sha256_of(tmp_path / "calm" / "images") == sha256_of(tmp_path / "killed" / "images")
    states = [
        FETCHES.read(tmp_path / name / "fetches.parquet").select("url", "state", "reason", "content_sha256").sort("url")
        for name in ("calm", "killed")
    ]
    assert states[0].equals(states[1])
