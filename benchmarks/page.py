"""`python -m benchmarks.page LINES.jsonl`: docs/benchmarks.md from `make bench`, with machine and versions."""

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("numpy", "polars", "pyarrow", "numba", "torch", "dagster")


def page(lines: list[dict[str, Any]], machine: str, versions: dict[str, str], day: str) -> str:
    """Markdown: one section per benchmark, its figures as a table; the same lines give the same page.

    Of a benchmark that ran several times it shows the line with the middle ratio, and all ratios.
    """
    parts = [
        "# Benchmarks",
        "",
        f"Written by `python -m benchmarks.page` from what `make bench` printed on {day}. Each claim is measured",
        "against its peer on the same data, on the same machine, in the same run; one file in `benchmarks/` per claim.",
        "",
        f"- machine: {machine}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
    ]
    for name, line in _middle(lines):
        parts += ["", f"## {name}", "", "| figure | value |", "|---|---|"]
        parts += [f"| {_cell(key)} | {_cell(value)} |" for key, value in line.items() if value != name]
    return "\n".join(parts) + "\n"


def machine() -> str:
    """Processor, cores and memory of this machine."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}"


def _middle(lines: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names and lines to show, in the order of the first lines: one per benchmark and size."""
    runs: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for number, line in enumerate(lines, start=1):
        name = line.get("benchmark") or line.get("name") or f"line {number}"
        runs.setdefault((name, line.get("n")), []).append(line)
    for (name, _), found in runs.items():
        if len(found) == 1:
            yield name, found[0]
            continue
        middle = sorted(found, key=lambda line: line["ratio"])[(len(found) - 1) // 2]  # of two, the lower one
        yield name, middle | {"ratios of all runs": ", ".join(str(line["ratio"]) for line in found)}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Read the lines, write the page."""
    if len(sys.argv) != 2:
        print("Give the file with the lines that make bench printed.", file=sys.stderr)
        return 2
    file = Path(sys.argv[1])
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    versions = {"Python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}
    day = datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat()
    PAGE.write_text(page(lines, machine(), versions, day), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
