"""Dagster's own commands, from a shell that has DAGSTER_HOME and nothing else of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from assets.engine.project import ROOT
from tests.operations.services import dagster_home, final_hashes, storage_below

PROGRAM = [sys.executable, "-m", "dagster"]
OURS = ["-m", "assets.definitions"]
# What Dagster 1.13 says of its own commands and functions; everything else is ours.
OF_DAGSTER = re.compile(r"is superseded and its usage is discouraged|site-packages/dagster/.*BetaWarning")


def shell(home: Path, **more: str) -> dict[str, str]:
    """The variables of a login shell, and DAGSTER_HOME."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "DAGSTER_HOME": str(home), **more}


def dagster(command: list[str], given: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *command], env=given, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def output(process: subprocess.Popen[str]) -> str:
    """All that a command said; it succeeded, and nothing of ours warned."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    warnings = [line for line in said.splitlines() if "Warning" in line or "WARNING" in line]
    assert [line for line in warnings if not OF_DAGSTER.search(line)] == []
    return said


def test_assets_are_listed_and_made(tmp_path: Path):
    home = dagster_home(tmp_path)
    listing = dagster(["asset", "list", *OURS], shell(home))
    making = dagster(["asset", "materialize", *OURS, "--select", "cataloguer_decisions,corrections"], shell(home))
    names = output(listing).split()
    assert {"pages", "records", "images", "splits", "models/multilabel", "release"} <= set(names)
    assert "RUN_SUCCESS" in output(making)
    assert sorted(file.stem for file in storage_below(home).glob("*.parquet")) == [
        "cataloguer_decisions",
        "corrections",
    ]


@pytest.mark.long
def test_jobs_and_single_tables_run_on_the_stored_data(local_home: Path, museum: Path, tmp_path: Path):
    """On a copy of a finished demo: nothing has changed, so every hash stays."""
    home = dagster_home(tmp_path / "home")
    subprocess.run(["cp", "-a", f"{local_home}/storage", home], check=True)
    before = final_hashes(storage_below(home))
    given = shell(home, MUSEUM=str(museum), EUFCC__IMAGES__SLICES="2", EUFCC__BENCHMARK__ROWS='["multilabel"]')
    given |= {"EUFCC__EVALUATION__RESAMPLES": "200"}
    for command in (
        ["definitions", "validate"],
        ["asset", "materialize", *OURS, "--select", "images", "--partition", "000-of-002"],
        ["asset", "materialize", *OURS, "--select", "tags"],
        ["job", "execute", *OURS, "-j", "splits"],
        ["job", "execute", *OURS, "-j", "tidy"],
    ):
        output(dagster(command, given))
    assert final_hashes(storage_below(home)) == before
