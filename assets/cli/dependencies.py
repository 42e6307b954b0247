"""`make dependencies`: docs/dependencies.md, from pyproject.toml, dependencies.toml and a look-up at PyPI."""

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assets.cli.supply_chain import LOCK, audited
from assets.engine.project import ROOT
from pipeline.files import write_json
from pipeline.http import HttpClient
from pipeline.settings import HttpSettings

DESCRIBED = Path(__file__).with_name("dependencies.toml")
HEALTH = Path(__file__).with_name("dependency_health.json")
PAGE = ROOT / "docs" / "dependencies.md"
PYPI = "https://pypi.org/pypi"
ALWAYS = ""  # the group of what everyone installs
HEAD = """# Dependencies

`make dependencies` asks PyPI and pip-audit, and writes this page. What each dependency is for and what would replace it
stands in `assets/cli/dependencies.toml`, versions in `constraints.txt`. A dependency without a description there fails
a test.

One file of others is in the package itself: [OpenSeadragon](https://openseadragon.github.io) 6.1.1 (BSD-3-Clause), the
viewer of the cataloguer's page. Its licence and SHA-256 stand in `ml/assistant/page/openseadragon/README.md`.
OpenLayers would replace it.

"""
COLUMNS = ("package", "for", "ours", "newest", "open CVEs", "would replace it")


def dependencies(pyproject: Path = ROOT / "pyproject.toml") -> dict[str, list[str]]:
    """Each package with the extras that install it; ALWAYS stands for none, `build` for what builds the package."""
    declared = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = declared["project"]
    groups = {ALWAYS: project["dependencies"], **project["optional-dependencies"]}
    groups["build"] = declared["build-system"]["requires"]
    found: dict[str, list[str]] = {}
    for group, requirements in groups.items():
        for requirement in requirements:
            found.setdefault(package_name(requirement), []).append(group)
    return found


def package_name(requirement: str) -> str:
    """The normalized name of the package in `Name[extra]>=1`. Raises ValueError where there is none."""
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    if name is None:
        raise ValueError(f"The requirement {requirement!r} in pyproject.toml does not begin with a package's name.")
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def locked(lock: Path = LOCK) -> dict[str, str]:
    """The versions in constraints.txt by normalized name."""
    pins = (line.split("==") for line in lock.read_text(encoding="utf-8").split() if "==" in line)
    return {package_name(name): version for name, version in pins}


def described(file: Path = DESCRIBED) -> dict[str, dict[str, str]]:
    """Purpose and replacement by package."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def look_up(http: HttpClient, found: Mapping[str, list[str]], versions: Mapping[str, str]) -> dict[str, Any]:
    """What PyPI and pip-audit say today; `vulnerabilities` is None where pip-audit got no answer.

    Raises pipeline.http's errors where PyPI does not answer.
    """
    report, trouble = audited()
    known = {package_name(one["name"]): [each["id"] for each in one["vulns"]] for one in report if "vulns" in one}
    packages = {}
    for name in sorted(found):
        about = http.get(f"{PYPI}/{name}/json").json()
        newest, files = about["info"]["version"], about["releases"]
        days = {version: _day(files.get(version, ())) for version in (newest, versions.get(name)) if version}
        packages[name] = {
            "newest": newest,
            "released": days,
            "vulnerabilities": known.get(name),
        }
    return {"looked_up": datetime.now(UTC).date().isoformat(), "trouble": trouble, "packages": packages}


def _day(files: list[dict[str, Any]]) -> str | None:
    """The day of a version's first file."""
    return min((file["upload_time_iso_8601"][:10] for file in files), default=None)


def page(found: Mapping[str, list[str]], versions: Mapping[str, str], health: Mapping[str, Any]) -> str:
    """The whole page: a table of what everyone installs, and one of each extra. Raises KeyError for no description."""
    about = described()
    looked_up = sum(one["vulnerabilities"] is not None for one in health["packages"].values())
    trouble = f" ({health['trouble']})" if health["trouble"] else ""
    parts = [
        f"PyPI was asked on {health['looked_up']}. Open CVEs are those of our version, by pip-audit: it looked up",
        f"{looked_up} of {len(health['packages'])} packages{trouble}.",
    ]
    titles = {ALWAYS: "## Installed with `pip install eufcc`"}
    for group in sorted({group for groups in found.values() for group in groups}):
        names = [
            name for name, groups in found.items() if group in groups and (group == ALWAYS or ALWAYS not in groups)
        ]
        if names:
            parts += ["", titles.get(group, f"## `{group}`"), "", _line(COLUMNS), "|" + "---|" * len(COLUMNS)]
            parts += [_line(_cells(name, about[name], versions, health["packages"].get(name, {}))) for name in names]
    return HEAD + "\n".join(parts) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(
    name: str, about: Mapping[str, str], versions: Mapping[str, str], health: Mapping[str, Any]
) -> tuple[str, ...]:
    days = health.get("released", {})
    ours, newest = versions.get(name), health.get("newest")
    known = health.get("vulnerabilities")
    open_cves = "not looked up" if known is None else ", ".join(known) or "none"
    shown = (_dated(ours, days), "the same" if ours == newest else _dated(newest, days))
    return f"[{name}](https://pypi.org/project/{name}/)", about["purpose"], *shown, open_cves, about["replacement"]


def _dated(version: str | None, days: Mapping[str, str | None]) -> str:
    if version is None:
        return "not pinned"
    return f"{version} ({days[version]})" if days.get(version) else version


def main(arguments: list[str]) -> int:
    """Write the page; with `--offline` from the last look-up."""
    found, versions = dependencies(), locked()
    if "--offline" not in arguments:
        with HttpClient(HttpSettings()) as http:
            write_json(look_up(http, found, versions), HEALTH)
    PAGE.write_text(page(found, versions, json.loads(HEALTH.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
