"""A full disk, read-only storage, a damaged file, a jumping clock, two runs at once: nothing corrupt, one sentence."""

import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan
from assets.engine.project import ROOT, Project
from pipeline.images.duplicates.near_duplicates import _unit_vectors
from pipeline.settings import full
from pipeline.tables import TOMBSTONES
from tests.operations.services import (
    EUFCC,
    dagster_home,
    environment,
    eufcc,
    final_hashes,
    free_port,
    served_museum,
    storage_below,
)

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def tombstones(rows: int) -> dg.AssetsDefinition:
    """A table of that many rows that zstd cannot make small: 32 random bytes each."""
    numbers = np.random.default_rng(rows).integers(0, 256, (rows, 32), dtype=np.uint8)
    frame = pl.DataFrame({"record_id": [row.tobytes().hex() for row in numbers]})

    def tombstones() -> pl.DataFrame:
        """Random ids."""
        return frame.with_columns(withdrawn_at=pl.lit(WHEN), reason=pl.lit("gone"))

    return stage_asset(AssetPlan("harvest", code=(), outside=lambda project: str(rows)))(tombstones)


def run(asset: dg.AssetsDefinition, storage: Path) -> str | None:
    """Materialize it; the sentence of its failure, or None."""
    done = dg.materialize([asset], resources={"project": Project(full(), storage)}, raise_on_error=False)
    if done.success:
        return None
    [failure] = [event for event in done.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None, failure.step_failure_data.error
    return told.description


def stored(storage: Path) -> int:
    """Rows of the stored table, all of them read."""
    assert not list(storage.rglob("*.part")), "a temporary file was left"
    return TOMBSTONES.read(storage / "tombstones.parquet").height


@contextmanager
def disk(place: Path, megabytes: int) -> Iterator[None]:
    """A disk of that size; skips the test where this user may not mount one."""
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a disk of its own needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


HUNGRY = """
import resource, sys
from pathlib import Path
import dagster as dg
from assets.cli.app import _failure
from assets.engine.project import Project
from pipeline.settings import full
from tests.operations.test_trouble import hungry, stored, tombstones

storage = Path(sys.argv[1])
assert dg.materialize([tombstones(1_000)], resources={"project": Project(full(), storage)}).success
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize:"))
resource.setrlimit(resource.RLIMIT_AS, ((used + 500_000) * 1024,) * 2)  # as `ulimit -v`
done = dg.materialize([hungry(sys.argv[2])], resources={"project": Project(full(), storage)}, raise_on_error=False)
print(*filter(None, map(_failure, done.all_events)), stored(storage), sep="|")
"""


def hungry(library: str) -> dg.AssetsDefinition:
    """A table that is made with 4 GB of memory."""

    def tombstones() -> pl.DataFrame:
        """What the library is asked for, and nothing of it."""
        if library == "numpy":
            np.ones(500_000_000)
        elif library == "arrow":
            pa.allocate_buffer(4_000_000_000)
        else:
            torch.ones(500_000_000, dtype=torch.float64)
        return pl.DataFrame()

    return stage_asset(AssetPlan("harvest", code=(), outside=lambda project: library))(tombstones)


@pytest.mark.long
@pytest.mark.parametrize("library", ["numpy", "arrow", "torch"])
def test_memory_that_ends(library: str, tmp_path: Path):
    """One sentence names the stage, and the table of before is whole."""
    command = [sys.executable, "-c", HUNGRY, tmp_path / "storage", library]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    sentence, rows = done.stdout.strip().split("|")
    assert sentence.startswith("tombstones: The memory is used up (")
    assert sentence.endswith("then start the same run again: what was made before is intact.")
    assert rows == "1000"


def test_a_full_disk(tmp_path: Path):
    with disk(tmp_path / "disk", 1):
        storage = tmp_path / "disk" / "storage"
        assert run(tombstones(1_000), storage) is None
        sentence = run(tombstones(40_000), storage)
        assert sentence is not None
        assert sentence.startswith("The disk is full or a file has reached its size limit")
        assert sentence.endswith("make room, then start the same run again: what was made before is intact.")
        assert stored(storage) == 1_000
        subprocess.run(["mount", "-o", "remount,size=32m", tmp_path / "disk"], check=True)
        assert run(tombstones(40_000), storage) is None
        assert stored(storage) == 40_000


def test_vectors_that_the_temporary_folder_has_no_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """They are kept in a mapped file: without its room, writing into it would kill the process."""
    column = pl.Series([[0.5] * 2_048] * 600, dtype=pl.Array(pl.Float32, 2_048))
    frame = pl.DataFrame({"image_id": [f"{number:03d}" for number in range(600)], "vector": column})
    with disk(tmp_path / "disk", 4):
        monkeypatch.setattr(tempfile, "tempdir", f"{tmp_path / 'disk'}")
        with pytest.raises(OSError, match="No space left"):
            _unit_vectors(frame["image_id"], [frame])
        vectors, described = _unit_vectors(frame["image_id"][200:], [frame])
        assert (vectors.shape, described.all()) == ((400, 2_048), True)
        del vectors  # its file is on the disk
        assert not list((tmp_path / "disk").iterdir())


def test_a_file_size_limit(tmp_path: Path):
    assert run(tombstones(1_000), tmp_path) is None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        sentence = run(tombstones(40_000), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sentence is not None
    assert sentence.startswith("The disk is full or a file has reached its size limit")
    assert stored(tmp_path) == 1_000
    assert run(tombstones(40_000), tmp_path) is None
    assert stored(tmp_path) == 40_000


def test_read_only_storage(tmp_path: Path):
    with disk(tmp_path / "disk", 8):
        storage = tmp_path / "disk" / "storage"
        assert run(tombstones(1_000), storage) is None
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        sentence = run(tombstones(2_000), storage)
        assert sentence is not None
        assert sentence.startswith("The storage cannot be written")
        assert "Read-only file system" in sentence
        assert stored(storage) == 1_000


def test_half_a_parquet_file(tmp_path: Path):
    assert run(tombstones(1_000), tmp_path) is None
    table = tmp_path / "tombstones.parquet"
    table.write_bytes(table.read_bytes()[:-100])

    @stage_asset(AssetPlan("curation", code=(), writes=("corrections",)))
    def reader(tombstones: pl.DataFrame) -> pl.DataFrame:
        """Reads them."""
        return tombstones

    sentence = run(reader, tmp_path)
    assert sentence is not None
    assert sentence.startswith("tombstones is not what was stored")
    assert f"delete {table}" in sentence
    table.unlink()
    assert run(tombstones(1_000), tmp_path) is None
    assert stored(tmp_path) == 1_000


@pytest.mark.long
def test_a_clock_that_jumps(museum: Path, local_hashes: dict[str, str], tmp_path: Path):
    faketime = shutil.which("faketime")
    assert faketime, "faketime is not installed: apt-get install faketime"
    home, port = dagster_home(tmp_path / "home"), free_port()
    with served_museum(museum, port):
        given = environment(home, museum, MUSEUM_ADDRESS=f"http://127.0.0.1:{port}")
        # A year ahead while pages and images come, then back in the present: nothing waits, nothing differs.
        ahead = subprocess.run(
            [faketime, "-f", "+400d", *EUFCC, "run", "dataset"],
            env=given, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert ahead.returncode == 0, ahead.stderr
        back = eufcc(["run", "benchmark"], given)
        assert back.returncode == 0, back.stderr
    assert final_hashes(storage_below(home)) == local_hashes


@pytest.mark.long
def test_two_runs_of_one_job_at_once(museum: Path, local_hashes: dict[str, str], tmp_path: Path):
    home, port = dagster_home(tmp_path / "home"), free_port()
    with served_museum(museum, port):
        given = environment(home, museum, MUSEUM_ADDRESS=f"http://127.0.0.1:{port}")
        command = [sys.executable, "-m", "assets.cli", "run", "benchmark"]
        both = []
        for _ in range(2):
            both.append(subprocess.Popen(command, env=given, cwd=ROOT, stderr=subprocess.PIPE, text=True))
            time.sleep(1)
        ends = [(process.communicate(timeout=900)[1], process.returncode) for process in both]
        for told, code in ends:
            if code != 0:
                complaints = [line for line in told.splitlines() if "✗" in line and "check " not in line]
                assert len(complaints) == 1, told
                assert "another run" in complaints[0]
                assert "Traceback" not in told
        again = eufcc(["run", "benchmark"], given)
        assert again.returncode == 0, again.stderr
    assert final_hashes(storage_below(home)) == local_hashes


@pytest.mark.long
def test_a_command_killed_in_a_pool_keeps_nobody_waiting(museum: Path, local_hashes: dict[str, str], tmp_path: Path):
    home = dagster_home(tmp_path / "home")
    given = environment(home, museum)
    log, database = tmp_path / "log", home / "history" / "runs" / "index.db"
    with log.open("w") as said:
        first = subprocess.Popen([*EUFCC, "demo"], env=given, cwd=ROOT, stderr=said, stdout=said)
        until, at_work = time.monotonic() + 300, []
        while not at_work and time.monotonic() < until and first.poll() is None:
            time.sleep(0.2)
            if database.exists():
                with sqlite3.connect(database) as read:
                    tables = read.execute("SELECT name FROM sqlite_master WHERE name = 'concurrency_slots'").fetchall()
                    places = "SELECT step_key FROM concurrency_slots WHERE step_key = 'make_features'"
                    at_work = read.execute(places).fetchall() if tables else []
        first.kill()
        first.wait()
    assert at_work, log.read_text()
    again = eufcc(["demo"], given, seconds=600)
    assert again.returncode == 0, again.stderr
    assert final_hashes(storage_below(home)) == local_hashes
