"""The files for the forge and the documentation site name what exists."""

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(file: Path) -> dict[str, Any]:
    """A YAML file; the key `on` is a boolean in YAML 1.1."""
    return {"on" if key is True else key: value for key, value in yaml.safe_load(file.read_text()).items()}


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


def test_the_tests_run_with_every_supported_python():
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    first, end = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", allowed).groups())
    matrix = read(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minor}" for minor in range(first, end)]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_may_only_read_ends_in_time_and_names_existing_targets(workflow: Path):
    content = read(workflow)
    assert content["permissions"] == {"contents": "read"}
    assert [name for name, job in content["jobs"].items() if "timeout-minutes" not in job] == []
    asked = [target for step in steps(workflow) for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))]
    assert asked
    assert set(asked) <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))


def test_the_weekly_run_takes_the_newest_versions():
    weekly = ROOT / ".github" / "workflows" / "weekly.yml"
    assert read(weekly)["on"]["schedule"]
    assert "make test LOCK=/dev/null" in [step.get("run") for step in steps(weekly)]
    assert "constraints.txt" not in MAKEFILE.replace("LOCK ?= constraints.txt", "").replace(
        "pyproject.toml constraints.txt", ""
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda file: file.stem)
def test_an_issue_form_asks_something(form: Path):
    content = read(form)
    asked = [field for field in content["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in asked)
    assert len({field["id"] for field in asked}) == len(asked)


def test_what_others_may_import_exists():
    """The reference itself is built by `make docs`; a name that is not in its module would only be left out there."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    named = re.findall(r"^::: ([\w.]+)\n    options: \{members: \[(.*)\]\}$", page, re.M)
    assert len(named) == page.count(":::")
    missing = [
        f"{module}.{name}"
        for module, names in named
        for name in names.split(", ")
        if not hasattr(import_module(module), name)
    ]
    assert missing == []
