"""Where the seconds of `eufcc demo` go: drawing the museum, before the first step, in each step, and between steps.

    .venv/bin/python -m benchmarks.demo [--table]

The demo runs from nothing in a folder of its own, and is watched as a rehearsal is: processor seconds and memory of
the whole family of processes once a second, the steps from Dagster's events. Drawing counts for the total, its
processor seconds do not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.operations.services import EUFCC, dagster_home, without_ours
from tests.rehearsal.watch import Span, costs, samples_in, spans_of, watched

LONGEST = 12  # steps that are named


def main() -> None:
    """Print the one JSON line, or the table of the steps in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eufcc-demo-") as place:
        home, museum, samples = dagster_home(Path(place) / "home"), Path(place) / "museum", Path(place) / "samples"
        given = without_ours() | {"DAGSTER_HOME": f"{home}", "MUSEUM": f"{museum}", "HF_HUB_OFFLINE": "1"}
        began = time.time()
        draw = [sys.executable, "-m", "pipeline.sandbox", "render", f"{museum}"]
        subprocess.run(draw, check=True, env=given, stdout=sys.stderr)
        drawn = time.time()
        if code := watched([*EUFCC, "demo"], given, samples, stdout=sys.stderr):
            sys.exit(code)
        ended = time.time()
        taken = samples_in(samples)
        spans = spans_of(home, ended)
    parts = {"drawing the museum": drawn - began} | where_time_goes(spans, drawn, ended)
    steps = costs(spans, taken)
    print(table(steps, parts) if asked.table else json.dumps(line(steps, parts, taken[-1].cpu_s)))


def where_time_goes(spans: Sequence[Span], began: float, ended: float) -> dict[str, float]:
    """Seconds before the first step, while any step is at work, between steps, and after the last one."""
    first, last = min(span.begun for span in spans), max(span.ended for span in spans)
    at_work, until = 0.0, first
    for span in sorted(spans, key=lambda span: span.begun):
        at_work += max(0.0, span.ended - max(until, span.begun))
        until = max(until, span.ended)
    return {
        "before the first step": first - began,
        "in steps": at_work,
        "between steps": last - first - at_work,
        "after the last step": ended - last,
    }


def line(steps: dict[str, dict[str, Any]], parts: dict[str, float], cpu_s: float) -> dict[str, Any]:
    """The figures as every benchmark prints them."""
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items())
    named = ", ".join(f"{step} {steps[step]['wall_s']:.1f}" for step in _longest(steps))
    total = sum(parts.values())
    return {
        "name": "demo",
        "n": len(steps),
        "ours_s": round(total, 1),
        **dict.fromkeys(("peer", "peer_version", "peer_s", "ratio", "peer_rss_mb")),
        "ours_rss_mb": max(cost["peak_mb"] for cost in steps.values()),
        "note": f"{told}; {cpu_s:.0f} processor seconds, {cpu_s / total / (os.cpu_count() or 1):.0%} of the cores; "
        f"the longest steps: {named}",
    }


def table(steps: dict[str, dict[str, Any]], parts: dict[str, float]) -> str:
    """A row for each part of the time, and for each of the longest steps."""
    lines = ["| | wall s | processor s | peak MB |", "|---|---|---|---|"]
    lines += [f"| {name} | {seconds:.1f} | | |" for name, seconds in parts.items()]
    for step in _longest(steps):
        cost = steps[step]
        lines.append(f"| `{step}` | {cost['wall_s']:.1f} | {cost['cpu_s']:.1f} | {cost['peak_mb']:,} |")
    return "\n".join(lines)


def _longest(steps: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(steps, key=lambda step: -steps[step]["wall_s"])[:LONGEST]


if __name__ == "__main__":
    main()
