"""What a command costs while it runs: processor time, memory and requests, once a second, by the steps of its runs."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import dagster as dg
import httpx
import psutil

from assets.engine.project import ROOT

EVERY_S = 1.0
STEP_EVENTS = (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE)
MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


@dataclass(frozen=True)
class Sample:
    """One moment: seconds since the epoch, processor seconds so far, bytes of memory now, requests answered so far."""

    at: float
    cpu_s: float
    memory: int
    requests: int


@dataclass(frozen=True)
class Span:
    """One attempt at a step: what it stored was new (or it stores nothing), was there already, or it was killed."""

    step: str
    begun: float
    ended: float
    outcome: Literal["made", "reused", "killed"] = "made"


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def kill_family(pid: int) -> None:
    """kill -9 of a process and of all that it has started."""
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def memory_of(process: psutil.Process) -> int:
    """Its memory without the pages of files: the system drops them, or writes them out, when memory is short.

    Pages that processes share after a fork count in each. Their shares are in smaps_rollup, but the kernel walks all
    pages for it: with some gigabytes that takes half a core, once a second.
    """
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    counted = ("RssAnon:", "RssShmem:")
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(counted))


class Meter:
    """Samples the family of a process into a file, line by line, until it ends."""

    def __init__(self, pid: int, file: Path, museum: str | None) -> None:
        self.pid, self.file, self.museum = pid, file, museum
        self.requests = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        before = samples_in(self.file)
        spent, answered = (before[-1].cpu_s, before[-1].requests) if before else (0.0, 0)
        answered -= self._counted()  # before this process, while the same museum was served
        with self.file.open("a", encoding="utf-8") as lines:
            while True:
                ended = self._stop.wait(EVERY_S)
                cpu_s, memory = self._now()
                if memory:
                    sample = [round(time.time(), 2), round(spent + cpu_s, 2), memory, answered + self._counted()]
                    lines.write(json.dumps(sample) + "\n")
                    lines.flush()
                if ended:
                    return

    def _now(self) -> tuple[float, int]:
        cpu_s, memory = 0.0, 0
        for process in family(self.pid):
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                cpu_s += sum(process.cpu_times()[:4])  # user, system, and those of children that have ended
                memory += memory_of(process)
        return cpu_s, memory

    def _counted(self) -> int:
        if self.museum is not None:
            with contextlib.suppress(httpx.TransportError):
                self.requests = sum(httpx.get(f"{self.museum}/counted", timeout=5).json().values())
        return self.requests


def samples_in(file: Path) -> list[Sample]:
    """The samples of a file; a line that a kill cut short is left out."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(Sample(*json.loads(line)))
    return found


def watched(
    command: Sequence[str],
    given: Mapping[str, str],
    file: Path,
    museum: str | None = None,
    look: Callable[[subprocess.Popen[bytes]], None] | None = None,
    stdout: TextIO | None = None,
) -> int:
    """Run the command with its costs in `file`, `look` once a second; its exit code, negative when it was killed."""
    process = subprocess.Popen(command, env=dict(given), cwd=ROOT, stdout=stdout)
    try:
        with Meter(process.pid, file, museum):
            while process.poll() is None:
                time.sleep(EVERY_S)
                if look is not None:
                    look(process)
    finally:
        if process.poll() is None:
            kill_family(process.pid)
        process.wait()
    return process.returncode


def spans_of(home: Path, last: float) -> list[Span]:
    """Every attempt at every step in the runs of a home; one that was killed ends with the next run, or at `last`."""
    found: list[Span] = []
    with _instance(home) as instance:
        runs = sorted(instance.get_run_records(), key=lambda record: record.create_timestamp)
        begins = [record.create_timestamp.timestamp() for record in runs[1:]]
        for record, killed_at in zip(runs, [*begins, last], strict=True):
            begun: dict[str, float] = {}
            reused: dict[str, bool] = {}
            for event in instance.all_logs(record.dagster_run.run_id, of_type={*STEP_EVENTS, MADE}):
                step = (event.step_key or "").removeprefix("make_")
                if event.dagster_event_type == dg.DagsterEventType.STEP_START:
                    begun[step] = event.timestamp
                elif event.dagster_event_type == MADE:
                    reused[step] = reused.get(step, True) and _reused(event)
                elif step in begun:
                    outcome = "reused" if reused.get(step) else "made"
                    found.append(Span(step, begun.pop(step), event.timestamp, outcome))
            found += [Span(step, at, killed_at, "killed") for step, at in begun.items()]
    return found


def step_at_work(home: Path) -> tuple[str, float] | None:
    """The step that the last run is at, and since when."""
    with _instance(home) as instance:
        for record in instance.get_run_records(limit=1):
            events = list(instance.all_logs(record.dagster_run.run_id, of_type=set(STEP_EVENTS)))
            if events and events[-1].dagster_event_type == dg.DagsterEventType.STEP_START:
                return (events[-1].step_key or "").removeprefix("make_"), events[-1].timestamp
    return None


@contextlib.contextmanager
def _instance(home: Path) -> Iterator[dg.DagsterInstance]:
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def _reused(event: dg.EventLogEntry) -> bool:
    """Whether a materialization says that what it would have made was there already."""
    return bool(event.get_dagster_event().step_materialization_data.materialization.metadata["reused"].value)


def costs(spans: Sequence[Span], samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """Wall and processor seconds, peak memory and requests of each step, with the seconds that kills cost it.

    What a step has made again, since its code or its inputs had changed, counts once: its last making.
    """
    found: dict[str, dict[str, Any]] = {}
    for step in dict.fromkeys(span.step for span in spans):
        cost = found[step] = {"wall_s": 0.0, "killed_s": 0.0, "cpu_s": 0.0, "peak_mb": 0, "requests": 0, "attempts": 0}
        for span in _last_making([span for span in spans if span.step == step]):
            inside = [sample for sample in samples if span.begun <= sample.at <= span.ended + EVERY_S]
            before = [sample for sample in samples if sample.at < span.begun][-1:]
            ended = inside[-1].at if inside and span.outcome == "killed" else span.ended
            cost["wall_s"] += ended - span.begun
            cost["killed_s"] += ended - span.begun if span.outcome == "killed" else 0.0
            cost["attempts"] += 1
            if inside:
                first = before[0] if before else inside[0]
                cost["cpu_s"] += inside[-1].cpu_s - first.cpu_s
                cost["requests"] += inside[-1].requests - first.requests
                cost["peak_mb"] = max(cost["peak_mb"], round(max(sample.memory for sample in inside) / 1e6))
    return found


def _last_making(spans: Sequence[Span]) -> Sequence[Span]:
    """The last attempt that made something, and those killed before it since the one that made it earlier."""
    made = [place for place, span in enumerate(spans) if span.outcome == "made"]
    if not made:
        return spans
    earlier = made[-2] + 1 if len(made) > 1 else 0
    return [span for span in spans[earlier : made[-1] + 1] if span.outcome != "reused"]
