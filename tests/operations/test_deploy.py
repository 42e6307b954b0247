"""The files in deploy/ name what there is: variables that the code reads, modules, tags, Dagster's own fields."""

import re
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from assets.automation import JOBS
from assets.engine.project import ROOT
from tests.operations.services import dagster_home

DEPLOY = ROOT / "deploy"
READ_BY_OTHERS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DAGSTER_HOME"}


def variables(text: str) -> set[str]:
    """Every variable of ours, Amazon's or Dagster's that the file names."""
    return set(re.findall(r"\b(?:EUFCC|AWS|DAGSTER|EUROPEANA)_[A-Z0-9_]+\b", text))


@pytest.mark.parametrize("name", ["compose.yaml", "dagster.yaml", "kubernetes-values.yaml"])
def test_every_variable_is_read_somewhere(name: str):
    code = "".join(file.read_text() for room in ("assets", "pipeline", "ml") for file in (ROOT / room).rglob("*.py"))
    for variable in variables((DEPLOY / name).read_text()) - READ_BY_OTHERS:
        known = "EUFCC__" if variable.startswith("EUFCC__") else f'"{variable}"'
        assert known in code or variable in (DEPLOY / "dagster.yaml").read_text(), variable


def test_the_cluster_has_the_limits_of_one_machine():
    settings = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    [limit] = settings["concurrency"]["runs"]["tag_concurrency_limits"]
    chart = yaml.safe_load((DEPLOY / "kubernetes-values.yaml").read_text())
    pools, ours = chart["concurrency"]["pools"], settings["concurrency"]["pools"]
    assert (pools["granularity"], pools["defaultLimit"]) == (ours["granularity"], ours["default_limit"])
    monitoring, ours = chart["dagsterDaemon"]["runMonitoring"], settings["run_monitoring"]
    assert monitoring["freeSlotsAfterRunEndSeconds"] == ours["free_slots_after_run_end_seconds"]
    queue = chart["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["tagConcurrencyLimits"] == [limit]
    for job in JOBS:
        assert limit["key"] in (job.tags or {}) or job.name == "tidy", job.name  # it touches no table


def test_pages_are_open_to_this_machine_alone():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_dagster_takes_the_settings_of_one_machine(tmp_path: Path):
    with DagsterInstance.from_config(str(dagster_home(tmp_path / "home"))) as instance:
        assert instance.run_retries_enabled
