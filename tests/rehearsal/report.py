"""What a rehearsal measured, as a table for the terminal and for docs/scaling.md."""

from pathlib import Path
from typing import Any

from assets.engine.project import ROOT

PAGE = ROOT / "docs" / "scaling.md"
BEGIN, END = "<!-- the rehearsal, written by `make rehearsal-page` -->", "<!-- end of the rehearsal -->"
LEAST_S = 1.0  # a step that takes less has no line of its own
# What a step writes, where its name is not that of a table.
WRITES = {
    "fetched_images": ("fetches", "images"), "aligned_concepts": ("concept_alignments", "concepts"),
    "selection": ("selected_records", "candidate_record_tags"), "usable": ("tags", "record_tags"),
    "benchmark_splits": ("splits", "split_tags"), "scores": ("results", "breakdowns", "comparisons"),
    "linear_probe": ("models/linear_probe", "predictions/linear_probe"),
}  # fmt: skip


def rows_of(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each step of the run, and for each part beside it."""
    parts = result["parts"]
    again = parts.get("killed", {}).get("steps", {})
    steps = [(step, cost) for step, cost in parts["run"]["steps"].items() if cost["wall_s"] >= LEAST_S]
    found = [_row(step, cost, parts["run"]["tables"], again.get(step)) for step, cost in steps]
    names = {"twelve": "twelve rows scored", "audit": "audit of the release", "museum": "(drawing the museum)"}
    for part, name in names.items():
        if part in parts:
            told = parts[part]
            cpu = f"{told['cpu_s']:,.0f}" if told.get("cpu_s") else "–"
            found.append((name, "", f"{told['wall_s']:,.0f}", cpu, f"{told['peak_mb']:,}", "", "", ""))
    if "refresh" in parts:
        steps = parts["refresh"]["steps"].values()
        sums = [sum(cost[name] for cost in steps) for name in ("wall_s", "cpu_s", "requests")]
        peak = f"{parts['refresh']['peak_mb']:,}"
        found.append(("refresh of 1 %", "", f"{sums[0]:,.0f}", f"{sums[1]:,.0f}", peak, "", f"{sums[2]:,}", ""))
    return found


def _row(
    step: str, cost: dict[str, Any], tables: dict[str, dict[str, int]], again: dict[str, Any] | None
) -> tuple[str, ...]:
    written = [tables[name] for name in WRITES.get(step, (step,)) if name in tables]
    rows = max((table["rows"] for table in written), default=0)
    size = sum(table["bytes"] for table in written)
    killed = f" ({again['killed_s']:,.0f})" if again and again["killed_s"] else ""
    return (
        f"`{step}`", f"{rows:,}" if rows else "", f"{cost['wall_s']:,.0f}", f"{cost['cpu_s']:,.0f}",
        f"{cost['peak_mb']:,}", f"{size / 1e6:,.1f}" if size else "",
        f"{cost['requests']:,}" if cost["requests"] else "", f"{again['wall_s']:,.0f}{killed}" if again else "",
    )  # fmt: skip


HEAD = ("stage", "records", "wall s", "processor s", "peak MB", "stored MB", "requests", "killed run, wall s")


def printed(result: dict[str, Any]) -> str:
    """The table in Markdown, with a sentence on the machine, the peak and the kills."""
    if "run" not in result["parts"]:
        return "The run has not ended yet."
    lines = ["| " + " | ".join(HEAD) + " |", "|---|" + "---|" * (len(HEAD) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows_of(result)]
    return "\n".join([*_sentences(result), "", *lines])


def _sentences(result: dict[str, Any]) -> list[str]:
    parts, versions = result["parts"], ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    run = parts["run"]
    told = [
        f"{result['size']:,} records on {run['ended'][:10]}; {result['machine']}; {versions}.",
        f"The stages took {_minutes(run)} minutes and at most {run['peak_mb'] / 1e3:,.1f} GB of memory.",
    ]
    if "killed" in parts:
        killed = parts["killed"]
        same = "the same" if killed["release"] == run["release"] else "another"
        told += [
            f"Another run from nothing was killed in {', '.join(killed['kills'])}. Its stages took {_minutes(killed)}",
            f"minutes and at most {killed['peak_mb'] / 1e3:,.1f} GB; in parentheses is what was lost to a kill.",
            f"Its release has {same} hash, `{run['release'][:12]}`.",
        ]
    return told


def _minutes(part: dict[str, Any]) -> str:
    return f"{sum(cost['wall_s'] for cost in part['steps'].values()) / 60:,.0f}"


def write_page(result: dict[str, Any], page: Path = PAGE) -> None:
    """Put the table between the two marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{printed(result)}\n\n{END}{after}", encoding="utf-8")
