"""The same demo with its tables in a bucket, its runs in PostgreSQL, its steps on Ray: the same bytes in the end."""

import sqlite3
from pathlib import Path

import psycopg
import pyarrow.fs
import pytest

from assets.engine.project import ROOT
from pipeline.files import sha256_of
from tests.operations.services import (
    Postgres,
    dagster_home,
    environment,
    eufcc,
    final_hashes,
    free_port,
    object_store,
    ray_cluster,
    served_museum,
    storage_below,
)

pytestmark = pytest.mark.long


def test_tables_in_a_bucket(museum: Path, local_hashes: dict[str, str], tmp_path: Path):
    with object_store() as address:
        store = pyarrow.fs.S3FileSystem(
            access_key="key", secret_key="secret", endpoint_override=address, scheme="http", region="us-east-1",
            allow_bucket_creation=True,
        )  # fmt: skip
        store.create_dir("museum", recursive=True)
        given = {
            "EUFCC_STORAGE": "s3://museum/eufcc",
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "EUFCC_ALLOWED_HOSTS": address,
        }
        first = dagster_home(tmp_path / "first")
        done = eufcc(["demo"], environment(first, museum, **given))
        assert done.returncode == 0, done.stderr
        assert final_hashes(storage_below(first)) == local_hashes

        # Another machine, with nothing but the bucket: everything holds, and the release comes to it.
        second = dagster_home(tmp_path / "second")
        done = eufcc(["demo"], environment(second, museum, **given))
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if line.startswith("  ✓ ")]
        anew = [line for line in lines if "unchanged" not in line]
        assert len(lines) > 30
        assert anew == [], done.stderr
        report = storage_below(second) / "report" / "report.html"
        assert report.is_file()
        [release] = store.get_file_info(pyarrow.fs.FileSelector("museum/eufcc"))
        here = tmp_path / "release"
        pyarrow.fs.copy_files(f"{release.path}/release", str(here), source_filesystem=store)
        assert sha256_of(here) == local_hashes["release"]


def test_runs_in_postgresql(museum: Path, local_hashes: dict[str, str], tmp_path: Path):
    server = Postgres()
    try:
        home = dagster_home(tmp_path / "home", ROOT / "deploy" / "dagster.yaml")
        done = eufcc(["demo"], environment(home, museum, EUFCC_POSTGRES=server.for_dagster))
        assert done.returncode == 0, done.stderr
        assert final_hashes(storage_below(home)) == local_hashes
        with psycopg.connect(server.url) as database:
            ended = database.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall()
        assert ended == [("SUCCESS", 3)]
        assert not list(home.rglob("*.db")), "nothing of Dagster's lies on this disk"
    finally:
        server.stop()


def test_steps_on_ray(museum: Path, local_hashes: dict[str, str], tmp_path: Path):
    pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
    home, port = dagster_home(tmp_path / "home"), free_port()
    with ray_cluster(nodes=2) as given, served_museum(museum, port):
        given = environment(home, museum, MUSEUM_ADDRESS=f"http://127.0.0.1:{port}", **given)
        done = eufcc(["run", "benchmark"], given, seconds=1800)
        assert done.returncode == 0, done.stderr
    assert final_hashes(storage_below(home)) == local_hashes
    [events] = (home / "history" / "runs").glob("index.db")
    assert sqlite3.connect(events).execute("SELECT count(*) FROM event_logs").fetchone()[0] > 0
