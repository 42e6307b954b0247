"""`make audit`: what others' code and our storage bring with them, said line by line.

Known vulnerabilities (pip-audit, where it reaches its data), versions against the lock, licences of every installed
package, and pickles in the code path or in the storage.
"""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.engine.versions import ROOT
from assets.resources import current_project

# What may be installed beside an Apache-2.0 programme: permissive, or weak copyleft that ends at the package's edge.
GOOD = re.compile(
    r"apache|mit\b|bsd|isc\b|psf|python software|mpl|mozilla|unlicense|zlib|cc0|public domain|historical permission"
    r"|hpnd|lgpl|lesser general|nvidia|epl|eclipse|boost|bsl-1|postgresql|w3c",
    re.IGNORECASE,
)
# Packages whose metadata name none; read in their own files.
READ_BY_HAND = {
    "axe-playwright-python": "MIT",
    "cuda-toolkit": "NVIDIA's, for redistribution",
    "mlcroissant": "Apache-2.0",
}
READS_PICKLES = {
    f"{module}.{call}" for module in ("pickle", "cloudpickle", "dill", "joblib") for call in ("load", "loads")
}
AUDIT_S = 120


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    good: bool
    said: str


def audit(storage: Path, lock: Path = ROOT / "constraints.txt") -> list[Line]:
    """Everything, in the order in which it is shown."""
    return [vulnerabilities(lock), locked(lock), licences(), code(), pickles_below(storage)]


def vulnerabilities(lock: Path) -> Line:
    """pip-audit on the lock; what it could not look up is said, since silence is no answer."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--format", "json", "--timeout", "10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_S, check=False)  # noqa: S603
        found = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return Line("vulnerabilities", True, f"not looked up: no answer within {AUDIT_S} s; the lock decides")
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return Line("vulnerabilities", True, f"not looked up ({why}); the lock decides")
    return judged(found)


def judged(dependencies: list[dict[str, Any]]) -> Line:
    """What pip-audit's answer means."""
    known = [f"{d['name']} {d['version']}: {v['id']}" for d in dependencies for v in d.get("vulns", ())]
    skipped = sum("skip_reason" in dependency for dependency in dependencies)
    asked = f"{len(dependencies) - skipped} of {len(dependencies)} packages were looked up"
    rest = "; for the others the lock decides" if skipped else ""
    return Line("vulnerabilities", not known, "; ".join(known) or f"none is known: {asked}{rest}")


def locked(lock: Path) -> Line:
    """Whether what is installed is what the lock names."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
    installed = {name_of(package): package.version for package in importlib.metadata.distributions()}
    wanted = {_plain(name): version for name, version in pinned.items()}
    other = sorted(
        f"{name} {installed[name]} in place of {version}"
        for name, version in wanted.items()
        if name in installed and installed[name] != version
    )
    free = sorted(set(installed) - set(wanted) - {"eufcc", "pip", "setuptools", "uv"})
    problems = [*other, *(f"{name} is in no line of the lock" for name in free)]
    return Line("lock", not problems, "; ".join(problems) or f"{len(installed)} packages, each as the lock names it")


def licences() -> Line:
    """Whether every installed package has a licence that goes with ours."""
    packages = sorted(importlib.metadata.distributions(), key=name_of)
    stated = {name_of(package): licence_of(package) or READ_BY_HAND.get(name_of(package), "") for package in packages}
    unclear = [f"{name}: {licence or 'none stated'}" for name, licence in stated.items() if not GOOD.search(licence)]
    return Line("licences", not unclear, "; ".join(unclear) or f"{len(stated)} packages, permissive or weak copyleft")


def code() -> Line:
    """Whether any of our modules reads a pickle."""
    found = [place for room in ("pipeline", "ml", "assets") for place in _unpickling(ROOT / room)]
    return Line("code", not found, "; ".join(found) or "nothing is unpickled")


def pickles_below(storage: Path) -> Line:
    """Whether a file in the storage is a pickle, by its content: bare, or in a zip as torch writes it."""
    files = [file for file in sorted(storage.rglob("*")) if file.is_file()] if storage.is_dir() else []
    found = [str(file.relative_to(storage)) for file in files if is_pickle(file)]
    return Line("storage", not found, "; ".join(found) or f"no pickle among {len(files)} files of {storage}")


def is_pickle(file: Path) -> bool:
    """Whether the file is one, or holds one."""
    if file.suffix in {".pkl", ".pickle", ".joblib"}:
        return True
    with file.open("rb") as source:
        head = source.read(2)
        source.seek(0, 2)
        source.seek(max(0, source.tell() - 1))
        end = source.read(1)
    if head == b"PK" and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            return any(name.endswith((".pkl", ".pickle")) for name in packed.namelist())
    return head[:1] == b"\x80" and head[1:] in (b"\x02", b"\x03", b"\x04", b"\x05") and end == b"."


def licence_of(package: importlib.metadata.Distribution) -> str:
    """The licence that a package states: its expression, its classifiers, or the first line of its text."""
    about = package.metadata
    stated = [about["License-Expression"] or ""]
    stated += [
        entry.rpartition("::")[2].strip() for entry in about.get_all("Classifier") or [] if "License ::" in entry
    ]
    stated += [(about["License"] or "").strip().partition("\n")[0]]
    return "; ".join(entry for entry in stated if entry and entry != "OSI Approved")


def name_of(package: importlib.metadata.Distribution) -> str:
    """Its name, spelt as the index spells it."""
    return _plain(package.metadata["Name"])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower().partition("[")[0]


def _unpickling(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in READS_PICKLES:
                yield f"{file.relative_to(ROOT)}:{node.lineno} calls {called}"
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load" and not _weights_only(node):
                yield f"{file.relative_to(ROOT)}:{node.lineno} calls torch.load without weights_only"


def _weights_only(call: ast.Call) -> bool:
    return any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in call.keywords)


def main() -> int:
    """Show every line; 1 when one of them is not good."""
    lines = audit(current_project().storage)
    for line in lines:
        print(f"{'ok ' if line.good else 'BAD'}  {line.what:<16} {line.said}")
    return 0 if all(line.good for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
