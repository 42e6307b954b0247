"""`python -m ml.experiments.gpu_check --dataset … --out check.json`: the twelve rows at full size, for two epochs.

For a machine with a GPU that is lent for minutes: one trainer process makes all rows from random weights, and a file
says of each how many images a second it trained, with how much memory, and which share of the time it waited for data.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ml.baselines import PAPER_ROWS
from pipeline.files import write_json

LIMIT_S = 480.0  # ours: half of the time that a machine is lent for
CUT = ("epochs=2", "pretrained=false", "compile=off")  # compiling takes longer than two epochs
KEPT = ("images_per_s", "data_wait", "peak_memory_mb")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the rows and write the file; 1 when a row could not be made within the time."""
    asked = _parser().parse_args(arguments)
    began = time.monotonic()
    events, complaint = _train(asked)
    rows = [row.key for row in PAPER_ROWS]
    checked = {row: _row([event for event in events if event.get("baseline") == row]) for row in rows}
    unfinished = [row for row in rows if not checked[row]]
    made = {row: each for row, each in checked.items() if each}
    result = {
        "machine": _machine(),
        "dataset": str(asked.dataset),
        "overrides": [*CUT, *asked.override],
        "seconds": round(time.monotonic() - began, 1),
        "rows": made,
        "unfinished": unfinished,
        "complaint": complaint,
    }
    write_json(result, asked.out)
    print(_table(made))
    if unfinished:
        print(f"error: not made: {', '.join(unfinished)}. {complaint}".strip(), file=sys.stderr)
    return 1 if unfinished else 0


def _train(asked: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """The events of one trainer process for all rows, and why it ended early."""
    with tempfile.TemporaryDirectory(prefix="eufcc-gpu-check-") as folder:
        command = [sys.executable, "-m", "ml.experiments", "--profile", "full", "--seed", "0", "--device", asked.device]
        command += ["--baseline", *(row.key for row in PAPER_ROWS), "--dataset", str(asked.dataset)]
        command += ["--models", f"{folder}/models", "--predictions", f"{folder}/predictions"]
        command += ["--recipes", asked.recipes] if asked.recipes else []
        command += ["--override", *CUT, *asked.override]
        said = Path(folder) / "events"
        complaint = ""
        with said.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(command, stdout=out)  # noqa: S603
            try:
                process.wait(timeout=asked.limit)
            except subprocess.TimeoutExpired:
                complaint = f"The limit of {asked.limit:g} s was reached."
            finally:
                process.kill()
                process.wait()
        events = [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    errors = [event["message"] for event in events if event.get("event") == "error"]
    return events, complaint or " ".join(errors)


def _row(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is kept of a row that was made: its last epoch, without the start of the first, and its costs."""
    done = next((event for event in events if event["event"] == "done"), None)
    if done is None:
        return {}
    last: Mapping[str, Any] = next((event for event in reversed(events) if event["event"] == "epoch"), {})
    kept = {name: last.get(name) for name in KEPT}
    return kept | {name: done.get(name) for name in ("parameters_m", "ms_per_image", "training_s", "total_s")}


def _machine() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "gpu": gpu,
        "processor": platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown for docs/gpu.md; a row that trains nothing has no speed."""

    def number(value: float | None, form: str, factor: float = 1.0) -> str:
        return "–" if value is None else format(value * factor, form)

    lines = ["| row | images/s | memory (GB) | waits for data | seconds |", "|---|---|---|---|---|"]
    for row, each in rows.items():
        cells = [number(each["images_per_s"], ",.0f"), number(each["peak_memory_mb"], ".1f", 1 / 1024)]
        cells += [number(each["data_wait"], ".1%"), number(each["total_s"], ".1f")]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.experiments.gpu_check", description=__doc__)
    parser.add_argument(
        "--dataset", type=Path, required=True, help="folder with tag_list.json and one folder per split"
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all rows")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--recipes", metavar="NAME", help="`demo`: the demo's small networks, to try the check itself")
    parser.add_argument("--override", nargs="*", default=[], metavar="NAME=VALUE", help="recipe values")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
