"""Time travel: splits of earlier days come back byte for byte after two refreshes, from what the history kept."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.engine.project import ROOT
from pipeline.files import sha256_of
from pipeline.sandbox.render import render_museum
from pipeline.settings import full as full_settings
from tests.assets.conftest import KEY, full
from tests.support.museum_server import running

pytestmark = pytest.mark.long
IMAGES = 160
CLOSED = {"*": "http://127.0.0.1:9"}  # nobody listens there
SETTINGS = {
    "FEATURES__EXTRACTORS": ["random-inception"],
    "FEATURES__IMAGE_SIZE": 75,
    "IMAGES__SLICES": 2,
    "IMAGES__ALLOWED_ADDRESSES": ["127.0.0.0/8"],
    "SPLITS__KID_SUBSET": 20,
    "SPLITS__BOOTSTRAP": 2,
    "SPLITS__MIN_TEST_IMAGES": dict.fromkeys(full_settings().splits.min_test_images, 1),
}


class Storage:
    """A home, and the commands on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        (home / "dagster.yaml").write_bytes((ROOT / "dagster_home" / "dagster.yaml").read_bytes())

    def environment(self, hosts: dict[str, str], **more: Any) -> dict[str, str]:
        return os.environ | full(hosts, **SETTINGS, **more) | {"DAGSTER_HOME": str(self.home)}

    def harvested(self, museum: Path, mode: str, jobs: tuple[str, ...] = ("dataset", "splits")) -> str:
        """Harvest in that mode and run the jobs after it; the hash of the splits."""
        with running(museum, api_key=KEY) as address:
            program = [sys.executable, str(Path(__file__).with_name("refreshed.py")), mode, *jobs]
            given = self.environment({"*": address})
            done = subprocess.run(program, env=given, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-3_000:]
        return sha256_of(self.place / "splits.parquet")

    def eufcc(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command without network."""
        command = [sys.executable, "-m", "assets.cli", *words]
        given = self.environment(CLOSED, **more)
        return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=300, check=False)

    @property
    def place(self) -> Path:
        (place,) = (self.home / "storage").glob("full-*")
        return place

    def again(self, name: str) -> Path:
        (file,) = (self.place / "as_of").glob(f"*{name}/splits.parquet")
        return file


def change(museum: Path, numbers: range) -> None:
    """These records are updated now, and show what is in the museum's first picture; one of them has gone."""
    lines = (museum / "records.jsonl").read_text(encoding="utf-8").splitlines()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    first = json.loads(lines[0])
    shows = {name: first[name] for name in ("edmIsShownBy", "edmPreview", "edmConcept") if name in first}
    for number in numbers:
        lines[number] = json.dumps(json.loads(lines[number]) | shows | {"timestamp_update": now}, ensure_ascii=False)
    (museum / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_splits_of_earlier_days_come_back_to_the_byte(tmp_path: Path):
    museum, storage = tmp_path / "museum", Storage(tmp_path / "home")
    render_museum(museum, images=IMAGES)
    first = storage.harvested(museum, "complete")
    change(museum, range(1, 9))
    second = storage.harvested(museum, "refresh")
    change(museum, range(20, 32))
    third = storage.harvested(museum, "refresh")
    assert len({first, second, third}) == 3
    tables = {file.name: sha256_of(file) for file in storage.place.glob("*.parquet")}

    listed = storage.eufcc("history")
    assert [line.split()[1] for line in listed.stdout.splitlines()[1:]] == [one[:12] for one in (first, second, third)]
    for one in (first, second, third):
        done = storage.eufcc("run", "splits", "--as-of", one[:12])
        assert done.returncode == 0, done.stderr
        assert "✓ splits" in done.stderr
        assert f"the same to the byte as on that day: sha256 {one}" in done.stderr
        assert sha256_of(storage.again(one[:12])) == one
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    assert f"sha256 {third}" in storage.eufcc("run", "splits", "--as-of", today).stderr
    assert {file.name: sha256_of(file) for file in storage.place.glob("*.parquet")} == tables

    then = pl.read_parquet(storage.again(first[:12]))
    record = then.filter(pl.col("split") == "train")["record_id"][0]
    takedowns = tmp_path / "takedowns.txt"
    takedowns.write_text(f"{record}\n", encoding="utf-8")
    done = storage.eufcc("run", "splits", "--as-of", first[:12], IMAGES__TAKEDOWN_FILE=str(takedowns))
    assert done.returncode == 0, done.stderr
    assert "1 images are left out" in done.stderr
    assert pl.read_parquet(storage.again(first[:12])).equals(then.filter(pl.col("record_id") != record))

    _is_refused(storage, "2020-01-01", "There is no set of splits for 2020-01-01; the latest are: ")
    _is_refused(storage, "yesterday", "'yesterday' is neither a day such as 2026-11-28 nor the first characters of a")
    done = storage.eufcc("tidy", HISTORY__SETS=1)
    assert "2 sets of splits were deleted from the history." in done.stdout
    assert [place.name[-12:] for place in (storage.place / "as_of").iterdir()] == [third[:12]]
    _is_refused(
        storage, first[:12], f"There is no set of splits for {first[:12]}; the latest are: {today} {third[:12]}"
    )
    assert storage.eufcc("run", "splits", "--as-of", third[:12]).returncode == 0


def _is_refused(storage: Storage, asked: str, sentence: str) -> None:
    done = storage.eufcc("run", "splits", "--as-of", asked)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert sentence in done.stderr
