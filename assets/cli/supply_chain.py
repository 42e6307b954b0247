"""`make audit`: known vulnerabilities, versions against constraints.txt, licences, and pickles in the storage."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from assets.engine.project import ROOT, current_project
from pipeline.terminal import one_line

LOCK = ROOT / "constraints.txt"
TIMEOUT_S = 120
PICKLED = {bytes([0x80, protocol]) for protocol in range(2, 6)}  # the first two bytes of a pickle
Finding = tuple[bool, str]  # whether the check passes, and a sentence


def vulnerabilities(lock: Path = LOCK) -> Finding:
    """Ask pip-audit about every package of the lock file. Without an answer the check passes, and says so."""
    dependencies, trouble = audited(lock)
    return (True, f"not looked up: {trouble}") if trouble else judged(dependencies)


def audited(lock: Path = LOCK) -> tuple[list[dict[str, Any]], str | None]:
    """What pip-audit says about each package of the lock file, and why it says nothing where it got no answer."""
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=10"]
    try:
        done = _run("pip_audit", f"--requirement={lock}", *options)
        return json.loads(done.stdout)["dependencies"], None
    except subprocess.TimeoutExpired:
        return [], f"no answer within {TIMEOUT_S} s"
    except ValueError:
        return [], (done.stderr.strip().splitlines() or ["no answer"])[-1]


def judged(dependencies: list[dict[str, Any]]) -> Finding:
    """What pip-audit's report means."""
    known = [f"{d['name']} {d['version']}: {v['id']}" for d in dependencies for v in d.get("vulns", ())]
    looked_up = sum("skip_reason" not in dependency for dependency in dependencies)
    return not known, "; ".join(known) or f"none known: {looked_up} of {len(dependencies)} packages were looked up"


def versions(lock: Path = LOCK) -> Finding:
    """Compare the installed packages with the lock file."""
    installed = set(_run("uv", "pip", "freeze", "--python", sys.executable, "--exclude-editable").stdout.split())
    others = [f"{package} is not in {lock.name}" for package in sorted(installed - set(lock.read_text().split()))]
    return bool(installed) and not others, "; ".join(others) or f"{len(installed)} packages as in {lock.name}"


def licences() -> Finding:
    """Run pip-licenses, which pyproject.toml tells the licences that go with Apache-2.0."""
    done = _run("piplicenses", "--format=json")
    if done.returncode != 0:
        return False, done.stderr.strip()
    return True, f"{len(json.loads(done.stdout))} packages, permissive or weak copyleft"


def pickles_below(storage: Path) -> Finding:
    """Look for pickles by their content, bare or in a zip file as torch writes them."""
    files = [file for file in sorted(storage.rglob("*")) if file.is_file()]
    pickles = [str(file.relative_to(storage)) for file in files if is_pickle(file)]
    return not pickles, "; ".join(pickles) or f"no pickle among {len(files)} files of {storage}"


def is_pickle(file: Path) -> bool:
    """Whether the file is a pickle, or a zip file with one."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            return any(name.endswith((".pkl", ".pickle")) for name in packed.namelist())
    with file.open("rb") as source:
        head, length = source.read(2), source.seek(0, 2)
        source.seek(max(0, length - 1))
        return (head in PICKLED and source.read(1) == b".") or file.suffix in {".pkl", ".pickle", ".joblib"}


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603


def main() -> int:
    """Print one line per check; returns 1 when one of them fails."""
    findings = [vulnerabilities(), versions(), licences(), pickles_below(current_project().storage)]
    for check, (passes, sentence) in zip(("vulnerabilities", "versions", "licences", "storage"), findings, strict=True):
        print(f"{'ok ' if passes else 'BAD'}  {check:<16} {one_line(sentence)}")
    return 0 if all(passes for passes, _ in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
