"""docs/dependencies.md: every dependency of pyproject.toml is described, and what PyPI said is told as it was said."""

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from assets.cli import dependencies as subject
from pipeline.http import HttpClient, Unreachable
from pipeline.settings import HttpSettings

RELEASES = {"1.0": [{"upload_time_iso_8601": "2026-01-02T03:04:05Z"}, {"upload_time_iso_8601": "2026-01-01T00:00:00Z"}]}


def test_every_dependency_is_described_and_nothing_else():
    found, about = subject.dependencies(), subject.described()
    assert sorted(found) == sorted(about), "describe it in assets/cli/dependencies.toml"
    assert [name for name, said in about.items() if not (said["purpose"] and said["replacement"])] == []


def test_every_dependency_has_a_pinned_version():
    pinned = subject.locked()
    unpinned = {name for name, groups in subject.dependencies().items() if groups != ["build"] and name not in pinned}
    assert unpinned == set(), "add it to constraints.txt"


def test_the_page_is_written_from_the_last_look_up():
    health = json.loads(subject.HEALTH.read_text(encoding="utf-8"))
    expected = subject.page(subject.dependencies(), subject.locked(), health)
    assert subject.PAGE.read_text(encoding="utf-8") == expected, "run `make dependencies` (--offline without network)"


def test_a_dependency_without_a_description_fails(tmp_path: Path):
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\ndependencies = ["New_Package[extra]>=1"]\n[project.optional-dependencies]\n'
        "[build-system]\nrequires = []\n"
    )
    found = subject.dependencies(file)
    assert found == {"new-package": [subject.ALWAYS]}
    with pytest.raises(KeyError, match="new-package"):
        subject.page(found, {}, {"looked_up": "2026-11-30", "trouble": None, "packages": {}})


def looked_up(monkeypatch: pytest.MonkeyPatch, audit: tuple[list[dict[str, Any]], str | None]) -> dict[str, Any]:
    """A look-up of httpx 1.0, where PyPI has 1.0 alone and pip-audit says this."""
    monkeypatch.setattr(subject, "audited", lambda: audit)

    def pypi(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://pypi.org/pypi/httpx/json"
        return httpx.Response(200, json={"info": {"version": "1.0"}, "releases": RELEASES})

    with HttpClient(HttpSettings(), transport=httpx.MockTransport(pypi)) as http:
        return subject.look_up(http, {"httpx": [subject.ALWAYS]}, {"httpx": "1.0"})


@pytest.mark.parametrize(
    ("audit", "shown"),
    [
        (([{"name": "httpx", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}], None), "CVE-1, CVE-2"),
        (([{"name": "httpx", "vulns": []}], None), "none"),
        (([{"name": "httpx", "skip_reason": "not found"}], None), "not looked up"),
        (([], "no answer within 120 s"), "not looked up"),
    ],
    ids=["open", "none", "skipped", "no answer"],
)
def test_open_cves_are_told_only_where_they_were_looked_up(monkeypatch: pytest.MonkeyPatch, audit: Any, shown: str):
    health = looked_up(monkeypatch, audit)
    page = subject.page({"httpx": [subject.ALWAYS]}, {"httpx": "1.0"}, health)
    assert f"| 1.0 (2026-01-01) | the same | {shown} |" in page
    assert f"looked up\n{'0' if shown == 'not looked up' else '1'} of 1 packages" in page


def test_without_pypi_nothing_is_written(monkeypatch: pytest.MonkeyPatch):
    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host", request=request)

    monkeypatch.setattr(subject, "audited", lambda: ([], "no answer"))
    settings = HttpSettings(attempts=1)
    with HttpClient(settings, transport=httpx.MockTransport(dead)) as http, pytest.raises(Unreachable):
        subject.look_up(http, {"httpx": [subject.ALWAYS]}, {})


def test_the_part_of_pytorch_fid_that_the_pipeline_uses_needs_no_scipy():
    """Its distance needs scipy below 1.18, and only a benchmark calls it: the extra `bench` has that limit."""
    spec = importlib.util.find_spec("pytorch_fid.inception")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} == {"torch", "torchvision"}
