"""Dagster's own commands, `dagster` and `dg`, from a shell that has DAGSTER_HOME and nothing else of ours."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from assets.engine.project import ROOT
from tests.operations.services import dagster_home, final_hashes, storage_below

PROGRAM = [sys.executable, "-m", "dagster"]
OURS = ["-m", "assets.definitions"]
# What Dagster 1.13 says of its own commands and functions; everything else is ours.
OF_DAGSTER = re.compile(r"is superseded and its usage is discouraged|site-packages/dagster/.*BetaWarning")


def shell(home: Path, **more: str) -> dict[str, str]:
    """The variables of a login shell, and DAGSTER_HOME; one user, who keeps what was parsed of the code."""
    return {"PATH": os.environ["PATH"], "HOME": str(home.parent), "DAGSTER_HOME": str(home), **more}


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


def dg_command(*arguments: str, home: Path, **more: str) -> str:
    """What `dg` prints in the folder of the project; it succeeded, and nothing warned."""
    program = Path(sys.executable).with_name("dg")
    activated = {"VIRTUAL_ENV": str(Path(sys.prefix)), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [program, *arguments],
        env=shell(home, **activated, **more),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return output(process)


def test_dg_checks_and_lists_the_definitions(tmp_path: Path):
    home = dagster_home(tmp_path)
    assert "All definitions loaded successfully." in dg_command("check", "defs", home=home)
    said = dg_command("list", "defs", "--json", home=home)
    listed = json.loads(said[said.index("{") :])
    assets = {asset["asset_key"]: asset for asset in listed["assets"]}
    assert {"pages", "records", "splits", "models/multilabel", "release", "source/europeana"} <= assets.keys()
    assert assets["records"]["group_name"] == "harvest"
    assert {job["name"] for job in listed["jobs"]} >= {"harvest", "dataset", "splits", "benchmark", "promote"}
    assert {schedule["name"] for schedule in listed["schedules"]} == {
        "weekly_refresh", "monthly_comparison", "monthly_tidying",
    }  # fmt: skip


def test_dg_launches_assets(tmp_path: Path):
    home = dagster_home(tmp_path)
    assert "RUN_SUCCESS" in dg_command("launch", "--assets", "cataloguer_decisions,corrections", home=home)
    made = sorted(file.stem for file in storage_below(home).glob("*.parquet"))
    assert made == ["cataloguer_decisions", "corrections"]


@pytest.mark.long
def test_dg_dev_serves_the_page_and_ends(tmp_path: Path):
    home, port = dagster_home(tmp_path), free_port()
    activated = {"VIRTUAL_ENV": str(Path(sys.prefix)), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [Path(sys.executable).with_name("dg"), "dev", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "dev.log").open("w") as log:
        process = subprocess.Popen(command, env=shell(home, **activated), cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + 180
        try:
            while not answers(port) and time.monotonic() < until:
                time.sleep(1)
            assert answers(port), (tmp_path / "dev.log").read_text()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=90)
    assert not answers(port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


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
