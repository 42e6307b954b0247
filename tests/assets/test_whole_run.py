"""The whole project in miniature: the command a stranger runs, on a small museum, from nothing to table and release."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from assets.engine.project import ROOT
from pipeline.tables import RESULTS, SPLIT_TABLE

pytestmark = pytest.mark.xdist_group("whole_run")  # one run for all tests that look at it
IMAGES = 240
QUICK = {"EUFCC__BENCHMARK__ROWS": '["multilabel"]', "EUFCC__FEATURES__IMAGE_SIZE": "75"}


@pytest.fixture(scope="module")
def museum(drawn_museum) -> Path:
    """A small drawn museum."""
    return drawn_museum(IMAGES)


def demo(museum: Path, home: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """`eufcc demo` as a process of its own, with its own Dagster home."""
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    asked = {"MUSEUM": str(museum), "DAGSTER_HOME": str(home), "COLUMNS": "160"} | QUICK
    command = Path(sys.executable).with_name("eufcc")
    return subprocess.run(
        [command, "demo"], env=os.environ | asked | changed, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def first(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The run from nothing, and where its tables lie."""
    home = tmp_path_factory.mktemp("home")
    done = demo(museum, home)
    assert done.returncode == 0, done.stderr
    (storage,) = (home / "storage").glob("demo-*")
    return storage, done


def test_it_ends_with_the_table_and_the_report(first: tuple[Path, subprocess.CompletedProcess[str]]):
    storage, done = first
    for row in ("Label prior", "Multi-label"):
        assert row in done.stderr
    report = storage / "report" / "report.html"
    assert str(report) in done.stderr
    assert "Multi-label" in report.read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_it_says_what_to_do_next(museum: Path, first: tuple[Path, subprocess.CompletedProcess[str]]):
    lines = first[1].stderr.splitlines()
    after = [line for line in lines[lines.index(" next") + 1 :] if line]
    commands, meanings = after[::2], after[1::2]
    assert len(commands) == len(meanings)
    assert all(line.startswith("      ") for line in meanings)
    assert [re.sub(r"\S*/eufcc", "eufcc", line.strip()) for line in commands] == [
        f"MUSEUM={museum} eufcc assistant",
        f"MUSEUM={museum} eufcc export multilabel",
        "MUSEUM=path/to/museum eufcc demo",
    ]


def test_afterwards_the_command_alone_says_that_all_is_made(
    museum: Path, first: tuple[Path, subprocess.CompletedProcess[str]]
):
    asked = {"MUSEUM": str(museum), "DAGSTER_HOME": str(first[0].parents[1])} | QUICK
    command = [Path(sys.executable).with_name("eufcc"), "--json"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    assert (found["due"], found["storage"]) == (0, str(first[0]))
    assert (found["last_run"]["job"], found["last_run"]["state"]) == ("benchmark", "succeeded")
    assert [one["what"].partition(" ")[0] for one in found["next"]] == ["opens", "writes", "does"]


def test_every_row_is_scored_on_both_tests(first: tuple[Path, subprocess.CompletedProcess[str]]):
    results = RESULTS.read(first[0] / "results.parquet").filter(metric="r_precision", facet="mean")
    scored = results.select("baseline", "split").unique().rows()
    for row in ("label_prior", "oracle", "multilabel"):
        assert {(row, "inner_test"), (row, "outer_test")} <= set(scored)


def test_the_release_holds_every_image_of_every_split(first: tuple[Path, subprocess.CompletedProcess[str]]):
    splits = SPLIT_TABLE.read(first[0] / "splits.parquet").filter(pl.col("split") != "left_out")
    released = pl.concat(
        pl.read_parquet(file, columns=["record_id"])
        for file in sorted((first[0] / "release" / "data").glob("*.parquet"))
    )
    assert sorted(released["record_id"]) == sorted(splits["record_id"])


def test_a_second_run_changes_nothing(museum: Path, first: tuple[Path, subprocess.CompletedProcess[str]]):
    storage, done = first
    hashes = notes(storage)
    again = demo(museum, storage.parents[1])
    assert again.returncode == 0, again.stderr
    assert notes(storage) == hashes
    assert [line for line in made(again) if "unchanged" not in line] == []
    assert len(made(again)) == len(made(done))


def made(run: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that a run says of its assets; the table has marks of its own."""
    return [line for line in run.stderr.splitlines() if re.match(r"  ✓ \S+ +[\d,.]+ (rows|MB)", line)]


def notes(storage: Path) -> dict[str, str]:
    """The hash of every table and folder."""
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))["sha256"]
        for file in sorted((storage / ".made").rglob("*.json"))
    }
