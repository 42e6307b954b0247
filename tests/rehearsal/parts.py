"""The parts of a rehearsal: the museum, a run, twelve rows, the audit, the same run killed six times, and a refresh."""

import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assets.engine.project import ROOT
from pipeline.files import write_text
from tests.operations.services import (
    EUFCC,
    dagster_home,
    end,
    final_hashes,
    free_port,
    wait_until_it_answers,
    without_ours,
)
from tests.rehearsal.watch import costs, kill_family, samples_in, spans_of, step_at_work, watched

SETTINGS = Path(__file__).with_name("settings.toml")
# Where the six kills fall: while records and pictures are fetched, described and compared, then split and trained.
KILLED_IN = ("pages", "fetched_images", "features", "groups", "provider_distances", "linear_probe", "scores")
# Bytes a record: of a storage (18,000 up to the dataset, measured at 20,000 records; release, activations and scores
# beside them), and of the museum with the predictions of twelve rows.
STORED, MUSEUM_AND_TWELVE = 40_000, 18_000
RECORDS_A_SLICE, MOST_SLICES = 5_000, 64  # the profile's 64 from 320,000 records on
PACKAGES = ("dagster", "polars", "pyarrow", "numpy", "torch", "numba")


class RehearsalError(RuntimeError):
    """A part did not come to its end; the message says which, and what to do."""


@dataclass
class Rehearsal:
    """One size in one folder; `result` is what has been measured so far, kept in `rehearsal.json` after each part."""

    folder: Path
    size: int
    kills: int
    result: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.result = json.loads(self.file.read_text()) if self.file.exists() else {"size": self.size, "parts": {}}
        if self.result["size"] != self.size:
            raise RehearsalError(f"{self.folder} holds a rehearsal of {self.result['size']} records; name another one.")

    @property
    def file(self) -> Path:
        """What has been measured."""
        return self.folder / "rehearsal.json"

    @property
    def museum(self) -> Path:
        """The made-up Europeana."""
        return self.folder / "museum"

    def home(self, name: str) -> Path:
        """A home of Dagster."""
        return dagster_home(self.folder / name)

    def storage(self, name: str) -> Path:
        """The storage in that home."""
        return self.folder / name / "storage" / "full-europeana"

    def do(self, name: str) -> None:
        """The part, unless it is done; and what it measured into the file."""
        if name in self.result["parts"]:
            print(f"— {name}: done before", flush=True)
            return
        print(f"— {name}, {datetime.now(UTC):%H:%M:%S}", flush=True)
        began = time.time()
        measured = PARTS[name](self)
        told = {"wall_s": round(time.time() - began, 1), "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        self.result["parts"][name] = told | measured
        self.result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        self.result["versions"] = {package: version(package) for package in PACKAGES}
        write_text(json.dumps(self.result, indent=1), self.file)

    def environment(self, home: str, address: str = "") -> dict[str, str]:
        """The variables of the profile."""
        hosts = {"EUFCC__HTTP__HOSTS": json.dumps({"*": address})} if address else {}
        given = {"EUFCC_PROFILE": "full", "EUFCC_SETTINGS": f"{SETTINGS}", "PYTHONPATH": f"{ROOT}", **hosts}
        given["EUFCC__IMAGES__SLICES"] = f"{min(MOST_SLICES, max(2, self.size // RECORDS_A_SLICE))}"
        return without_ours() | given | {"DAGSTER_HOME": f"{self.home(home)}", "HF_HUB_OFFLINE": "1"}

    def measured(self, home: str, samples: Path) -> dict[str, Any]:
        """What each step of a home cost, with the rows and bytes that its notes name."""
        taken = samples_in(samples)
        steps = costs(spans_of(self.folder / home, taken[-1].at), taken)
        return {"steps": steps, "tables": tables_of(self.storage(home)), "peak_mb": _peak(samples)}


@contextmanager
def served(rehearsal: Rehearsal) -> Iterator[str]:
    """The museum on loopback; its address."""
    port = free_port()
    command = [sys.executable, "-m", "tests.rehearsal.serve", f"{rehearsal.museum}", f"{port}"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/counted", process, 1_200)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def check_disk(rehearsal: Rehearsal) -> dict[str, Any]:
    """Whether everything fits: two storages and the museum."""
    needed = 2.0 + rehearsal.size * (2 * STORED + MUSEUM_AND_TWELVE) / 1e9
    free = shutil.disk_usage(rehearsal.folder).free / 1e9
    print(f"  {free:,.0f} GB free, about {needed:,.0f} GB needed", flush=True)
    if free < needed:
        raise RehearsalError(f"{rehearsal.folder} has {free:,.0f} GB free, and about {needed:,.0f} GB are needed.")
    return {"needed_gb": round(needed, 1), "free_gb": round(free, 1)}


def draw(rehearsal: Rehearsal) -> dict[str, Any]:
    """The museum folder."""
    samples = rehearsal.folder / "museum.samples"
    command = [sys.executable, "-m", "tests.rehearsal.museum", f"{rehearsal.museum}", f"{rehearsal.size}"]
    if code := watched(command, rehearsal.environment("run"), samples):
        raise RehearsalError(f"The museum could not be made (exit code {code}).")
    return {"peak_mb": _peak(samples)}


def run(rehearsal: Rehearsal) -> dict[str, Any]:
    """One run of the job graph, undisturbed; where it was stopped, it goes on."""
    samples = rehearsal.folder / "run.samples"
    with served(rehearsal) as address:
        command = [*EUFCC, "run", "benchmark", "--yes"]
        if code := watched(command, rehearsal.environment("run", address), samples, address):
            raise RehearsalError(f"The run failed (exit code {code}); start the rehearsal again to go on.")
    hashes = final_hashes(rehearsal.storage("run"))
    return rehearsal.measured("run", samples) | {"release": hashes["release"], "hashes": hashes}


def twelve(rehearsal: Rehearsal) -> dict[str, Any]:
    """All twelve rows scored, on predictions made from those of the trained row."""
    return _alone(rehearsal, "twelve", [sys.executable, "-m", "tests.rehearsal.twelve", f"{rehearsal.storage('run')}"])


def audit(rehearsal: Rehearsal) -> dict[str, Any]:
    """`eufcc audit` of the release."""
    return _alone(rehearsal, "audit", [*EUFCC, "audit", f"{rehearsal.storage('run') / 'release'}"])


def killed(rehearsal: Rehearsal) -> dict[str, Any]:
    """The same run from nothing, killed at six places and started again; it must end with the same hashes."""
    samples, said = rehearsal.folder / "killed.samples", rehearsal.folder / "kills.json"
    kills: list[str] = json.loads(said.read_text()) if said.exists() else []
    usual = rehearsal.result["parts"]["run"]["steps"]
    wanted = [step for step in KILLED_IN if step in usual]  # one may be over before it is seen
    chance = random.Random(rehearsal.size)
    moments = {step: chance.uniform(0.05, 0.35) * usual[step]["wall_s"] for step in wanted}

    def look(process: subprocess.Popen[bytes]) -> None:
        at = step_at_work(rehearsal.folder / "killed")
        due = at is not None and at[0] in wanted and at[0] not in kills and len(kills) < rehearsal.kills
        if at is not None and due and time.time() - at[1] >= moments[at[0]]:
            kill_family(process.pid)
            kills.append(at[0])
            write_text(json.dumps(kills), said)
            print(f"  killed in {at[0]} after {time.time() - at[1]:.0f} s", flush=True)

    with served(rehearsal) as address:
        given = rehearsal.environment("killed", address)
        for _ in range(len(wanted) + 1):
            code = watched([*EUFCC, "run", "benchmark", "--yes"], given, samples, address, look)
            if code >= 0:
                break
    if code:
        raise RehearsalError(f"The killed run failed (exit code {code}) after kills in {', '.join(kills)}.")
    hashes, expected = final_hashes(rehearsal.storage("killed")), rehearsal.result["parts"]["run"]["hashes"]
    if differing := sorted(name for name in hashes.keys() | expected if hashes.get(name) != expected.get(name)):
        raise RehearsalError(f"After kills in {', '.join(kills)} these differ: {', '.join(differing)}.")
    return rehearsal.measured("killed", samples) | {"release": hashes["release"], "kills": kills}


def refresh(rehearsal: Rehearsal) -> dict[str, Any]:
    """The second day: what has changed is harvested, and a release candidate made."""
    from tests.rehearsal.museum import turn_to_second_day

    turn_to_second_day(rehearsal.museum)
    samples, began = rehearsal.folder / "refresh.samples", time.time()
    with served(rehearsal) as address:
        command = [sys.executable, "-m", "tests.rehearsal.refresh"]
        if code := watched(command, rehearsal.environment("run", address), samples, address):
            raise RehearsalError(f"The refresh failed (exit code {code}); start the rehearsal again to go on.")
    taken = samples_in(samples)
    spans = [span for span in spans_of(rehearsal.folder / "run", taken[-1].at) if span.begun >= began]
    return {"steps": costs(spans, taken), "tables": tables_of(rehearsal.storage("run")), "peak_mb": _peak(samples)}


PARTS: dict[str, Callable[[Rehearsal], dict[str, Any]]] = {
    "disk": check_disk, "museum": draw, "run": run, "twelve": twelve, "audit": audit, "killed": killed,
    "refresh": refresh,
}  # fmt: skip


def _alone(rehearsal: Rehearsal, name: str, command: list[str]) -> dict[str, Any]:
    """A command that is one step."""
    samples = rehearsal.folder / f"{name}.samples"
    samples.unlink(missing_ok=True)
    if code := watched(command, rehearsal.environment("run"), samples):
        raise RehearsalError(f"{name} failed (exit code {code}).")
    taken = samples_in(samples)
    return {"cpu_s": round(taken[-1].cpu_s, 1) if taken else None, "peak_mb": _peak(samples)}


def _peak(samples: Path) -> int:
    return round(max((sample.memory for sample in samples_in(samples)), default=0) / 1e6)


def tables_of(storage: Path) -> dict[str, dict[str, int]]:
    """Rows and bytes of each stored table, slices added up."""
    found: dict[str, dict[str, int]] = {}
    for note in sorted((storage / ".made").rglob("*.json")):
        name = note.relative_to(storage / ".made").with_suffix("").as_posix()
        name = name.partition("/")[0] if name.startswith(("fetches/", "images/", "features/")) else name
        told, sums = json.loads(note.read_text())["metadata"], found.setdefault(name, {"rows": 0, "bytes": 0})
        sums["rows"] += int(told.get("rows", told.get("records", 0)))
        sums["bytes"] += int(told.get("bytes", 0))
    return found
