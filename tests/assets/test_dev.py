"""`eufcc dev` as a person meets it in a browser: everything is made by one button, and splits are drawn again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.files import sha256_of

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.xdist_group("dev")]
ROOT = Path(__file__).parents[2]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
BACKFILLS = """{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status
  runs(limit: 50) { id status } } } } }"""
GRAPH = """{ assetNodes { isMaterializable
  assetKey { path } description groupName owners { ... on TeamAssetOwner { team } } kinds
  assetMaterializations(limit: 1) { timestamp } partitionStats { numPartitions numMaterialized numFailed }
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation
  { success severity description } } } } } } }"""
SCHEDULE = """mutation { %s(%s) { __typename ... on PythonError { message }
  ... on ScheduleStateResult { scheduleState { status id } } } }"""
SELECTOR = """scheduleSelector: {repositoryName: "__repository__", repositoryLocationName: "assets.definitions",
  scheduleName: "weekly_refresh"}"""
REPOSITORY = '{repositoryName: "__repository__", repositoryLocationName: "assets.definitions"}'
TICKS = f"""{{ schedulesOrError(repositorySelector: {REPOSITORY}) {{ ... on Schedules {{ results {{
  name state: scheduleState {{ ticks(limit: 100) {{ status }} }} }} }} }}
  sensorsOrError(repositorySelector: {REPOSITORY}) {{ ... on Sensors {{ results {{
  name state: sensorState {{ ticks(limit: 100) {{ status }} }} }} }} }} }}"""
REFRESHES = """{ runsOrError(limit: 50, filter: {tags: [{key: "eufcc/refresh", value: "weekly"}]}) { ... on Runs {
  results { id status jobName assetMaterializations { assetKey { path } metadataEntries { label
  ... on IntMetadataEntry { intValue } ... on BoolMetadataEntry { boolValue } } } } } } }"""
LAST_RUN = "{ runsOrError(limit: 1) { ... on Runs { results { id status } } } }"


@dataclass(frozen=True)
class Dev:
    """The page of a running `eufcc dev`."""

    address: str
    home: Path

    def ask(self, query: str) -> dict[str, Any]:
        answer = httpx.post(f"{self.address}/graphql", json={"query": query}, timeout=60)
        return answer.json()["data"]

    def split_hash(self) -> str:
        (file,) = self.home.glob("storage/*/splits.parquet")
        return sha256_of(file)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """`eufcc dev` on the demo's museum, all twelve rows, with its own home; ended as a person ends it."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    (home / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    changed = {"DAGSTER_HOME": str(home), "EUFCC_REFRESH_CRON": "* * * * *"}  # off until a test turns it on
    command = [Path(sys.executable).with_name("eufcc"), "dev", "--ui-port", str(port), "--port", "0"]
    with (home / "dev.log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | changed, cwd=ROOT, stdout=log, stderr=log)
        page = Dev(f"http://127.0.0.1:{port}", home)
        try:
            wait_for(lambda: answers(page.address), 180, "the page")
            yield page
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=90)
    assert not answers(page.address), "Dagster outlives eufcc dev"
    said = (home / "dev.log").read_text()
    assert "superseded" not in said
    assert "Warning:" not in said


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Any, seconds: float, what: str) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := condition()) is not None and found is not False:
            return found
        time.sleep(2)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


def ended_backfill(dev: Dev) -> dict[str, Any] | None:
    results = dev.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
    return results[0] if results and results[0]["status"].startswith(("COMPLETED", "FAILED")) else None


def ended_run(dev: Dev, other_than: str) -> dict[str, Any] | None:
    results = dev.ask(LAST_RUN)["runsOrError"]["results"]
    if not results or results[0]["id"] == other_than or results[0]["status"] not in ("SUCCESS", "FAILURE"):
        return None
    return results[0]


def launch_splits(dev: Dev, browser: Any, seed: int) -> str:
    """Type a seed in the Launchpad of the job `splits`, press Launch Run; the hash of the splits it makes."""
    before = dev.ask(LAST_RUN)["runsOrError"]["results"][0]["id"]
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(f"{dev.address}/locations/assets.definitions/jobs/splits/playground", timeout=90_000)
    editor = page.locator(".CodeMirror").first
    editor.click(timeout=90_000)
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(json.dumps({"ops": {"make_benchmark_splits": {"config": {"seed": seed}}}}))
    button = page.get_by_role("button", name="Launch Run")
    button.wait_for(timeout=30_000)
    page.wait_for_timeout(3_000)  # the page checks the configuration first
    button.click()
    run = wait_for(lambda: ended_run(dev, before), 300, "the end of the run of splits")
    page.close()
    assert run["status"] == "SUCCESS"
    return dev.split_hash()


def test_one_button_makes_everything_and_every_check_is_green(dev: Dev, browser: Any):
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(f"{dev.address}/asset-groups", timeout=90_000)
    page.get_by_role("button", name="Materialize all").first.click(timeout=90_000)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    dialog.get_by_role("button", name="Launch backfill").click()
    done = wait_for(lambda: ended_backfill(dev), 2_400, "the end of everything")
    assert done["status"] == "COMPLETED_SUCCESS", done
    assert {run["status"] for run in done["runs"]} == {"SUCCESS"}
    found = dev.ask(GRAPH)["assetNodes"]
    nodes = [node for node in found if node["isMaterializable"]]
    assert len(nodes) > 30
    assert {"/".join(node["assetKey"]["path"]) for node in found if not node["isMaterializable"]} == {
        "source/europeana", "source/getty", "source/providers", "source/desk",
    }  # fmt: skip
    for node in nodes:
        name = "/".join(node["assetKey"]["path"])
        assert node["description"], name
        assert node["groupName"] != "default", name
        assert node["owners"] == [{"team": "eufcc"}], name
        assert node["kinds"], name
        if node["partitionStats"]:
            assert node["partitionStats"]["numMaterialized"] == node["partitionStats"]["numPartitions"], name
        else:
            assert node["assetMaterializations"], name
        for check in node["assetChecksOrError"]["checks"]:
            run = check["executionForLatestMaterialization"]
            assert run is not None, (name, check["name"])
            green = run["evaluation"]["success"] or run["evaluation"]["severity"] == "WARN"
            assert green, (name, check["name"], run["evaluation"]["description"])


def test_the_page_is_behind_the_gate(dev: Dev):
    by_get = httpx.get(f"{dev.address}/graphql", params={"query": "mutation { __typename }"}, timeout=60)
    assert by_get.json()["error"] == "not_by_get"
    other = httpx.post(f"{dev.address}/graphql", json={}, headers={"Host": "evil.example"}, timeout=60)
    assert other.json()["error"] == "wrong_host"


def test_the_old_seed_gives_the_old_splits(dev: Dev, browser: Any):
    first = launch_splits(dev, browser, 340)
    other = launch_splits(dev, browser, 7)
    assert other != first
    assert launch_splits(dev, browser, 340) == first


def test_the_daemon_evaluates_the_schedule_and_the_sensors_until_there_is_a_release_candidate(dev: Dev):
    before = dev.split_hash()
    started = dev.ask(SCHEDULE % ("startSchedule", SELECTOR))["startSchedule"]
    assert started["__typename"] == "ScheduleStateResult", started
    wait_for(lambda: refreshes(dev, "harvest"), 180, "a tick of the schedule")
    stopped = dev.ask(SCHEDULE % ("stopRunningSchedule", f'id: "{started["scheduleState"]["id"]}"'))
    assert "stopRunningSchedule" in stopped
    for job in ("harvest", "dataset", "release_candidate"):
        runs = wait_for(lambda job=job: ended(refreshes(dev, job)), 420, f"the end of {job}")
        assert {run["status"] for run in runs} == {"SUCCESS"}, job
    found = dev.ask(TICKS)
    states = [*found["schedulesOrError"]["results"], *found["sensorsOrError"]["results"]]
    launched = {one["name"] for one in states for tick in one["state"]["ticks"] if tick["status"] == "SUCCESS"}
    assert {
        "weekly_refresh", "refresh_goes_on_to_the_dataset", "refresh_goes_on_to_a_release_candidate",
    } <= launched  # fmt: skip
    assert dev.split_hash() == before  # nothing had changed, and every image keeps its split


def refreshes(dev: Dev, job: str) -> list[dict[str, Any]] | None:
    """The runs of a job that a refresh has started."""
    runs = [run for run in dev.ask(REFRESHES)["runsOrError"]["results"] if run["jobName"] == job]
    return runs or None


def ended(runs: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    return runs if runs and all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs) else None
