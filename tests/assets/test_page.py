"""Dagster's page, asked as a browser asks it: parts of a step can be started alone, wrong values never start."""

import os
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver.webserver import DagsterWebserver
from starlette.testclient import TestClient

from assets.engine.project import ROOT

pytestmark = pytest.mark.xdist_group("page")
BACKFILL = """mutation($given: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $given) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
LAUNCH = """mutation($given: ExecutionParams!) { launchPipelineExecution(executionParams: $given) {
  __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message }
  ... on InvalidSubsetError { message } ... on RunConfigValidationInvalid { errors { message } } } }"""


class Page:
    """The page of one instance."""

    def __init__(self, client: TestClient, instance: dg.DagsterInstance) -> None:
        self.client, self.instance = client, instance

    def ask(self, query: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = self.client.post("/graphql", json={"query": query, "variables": {"given": given}})
        (told,) = answer.json()["data"].values()
        return answer.status_code, told

    def launch(self, job: str, config: dict[str, Any], *assets: str) -> tuple[int, dict[str, Any]]:
        selector: dict[str, Any] = {"repositoryName": "__repository__", "repositoryLocationName": "assets.definitions"}
        selector |= {"pipelineName": job, **({"assetSelection": [{"path": [name]} for name in assets]})}
        given = {"selector": selector if assets else {**selector, "assetSelection": None}}
        return self.ask(LAUNCH, {**given, "mode": "default", "runConfigData": config})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Dagster's web server in this process, with the definitions in a process of their own."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    target = ModuleTarget("assets.definitions", attribute=None, working_directory=str(ROOT), location_name=None)
    with (
        mock.patch.dict(os.environ, {"DAGSTER_HOME": str(home)}),
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, target) as workspace,
        TestClient(DagsterWebserver(workspace).create_asgi_app(), raise_server_exceptions=False) as client,
    ):
        yield Page(client, instance)


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")  # which Dagster calls itself
def test_one_slice_of_the_images_alone_is_a_backfill(page: Page):
    """Was HTTP 500: `Backfill must include every key in a non-subsettable multi-asset`."""
    status, told = page.ask(BACKFILL, {"assetSelection": [{"path": ["images"]}], "partitionNames": ["000-of-004"]})
    assert (status, told["__typename"]) == (200, "LaunchBackfillSuccess"), told
    backfill = page.instance.get_backfill(told["backfillId"])
    assert backfill is not None
    assert backfill.asset_selection == [dg.AssetKey("images")]


@pytest.mark.parametrize("name", ["tags", "splits", "results", "concepts", "selected_records"])
def test_one_table_of_several_is_started_alone(page: Page, name: str):
    """Was an InvalidSubsetError."""
    status, told = page.launch("__ASSET_JOB", {}, name)
    assert (status, told["__typename"]) == (200, "LaunchRunSuccess"), told


def test_a_seed_below_zero_starts_no_run(page: Page):
    """Was launched, and failed in the step."""
    before = page.instance.get_runs_count()
    _, told = page.launch("splits", {"ops": {"make_benchmark_splits": {"config": {"seed": -1}}}})
    assert told["message"].endswith("seed cannot be -1: input should be greater than or equal to 0.\n")
    assert page.instance.get_runs_count() == before
    _, told = page.launch("splits", {"ops": {"make_benchmark_splits": {"config": {"seed": 1}}}})
    assert told["__typename"] == "LaunchRunSuccess"
