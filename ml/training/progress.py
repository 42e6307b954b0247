"""What a training says while it runs: a bar for people, JSON lines for programs, TensorBoard files."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm


class Progress:
    """Speaks on the first rank alone; silent on the others. `log` keeps the events, for curves."""

    def __init__(
        self,
        name: str,
        *,
        quiet: bool = False,
        events: TextIO = sys.stdout,
        board: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.name, self.quiet, self.events, self.log = name, quiet, events, None if quiet else log
        self.board = _tensorboard(board) if board is not None and not quiet else None
        self.bar: tqdm | None = None

    def begin(self, steps: int, done: int, epochs_done: int) -> None:
        """Draw the bar, where somebody watches, and forget what an earlier run logged beyond where this one begins."""
        self.bar = tqdm(
            total=steps,
            initial=done,
            desc=f"  {self.name}",
            unit="step",
            file=sys.stderr,
            disable=self.quiet or not sys.stderr.isatty(),
            leave=False,
        )
        if self.log is not None:
            lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
            kept = [line + "\n" for line in lines if json.loads(line).get("epoch", 0) in range(1, epochs_done + 1)]
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text("".join(kept), encoding="utf-8")

    def event(self, kind: str, **values: Any) -> None:
        """One JSON line; numbers at 6 significant digits."""
        if self.quiet:
            return
        line = json.dumps({"event": kind, "baseline": self.name} | {k: rounded(v) for k, v in values.items()})
        print(line, file=self.events, flush=True)
        if self.log is not None and self.bar is not None:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(line + "\n")

    def step(self) -> None:
        """One step further."""
        if self.bar is not None:
            self.bar.update()

    def shown(self, **figures: float) -> None:
        """Figures beside the bar."""
        if self.bar is not None:
            self.bar.set_postfix({name: f"{value:.3f}" for name, value in figures.items()}, refresh=False)

    def curves(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Points of the TensorBoard curves."""
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """End the bar and flush the curves."""
        if self.bar is not None:
            self.bar.close()
        if self.board is not None:
            self.board.close()


def rounded(value: Any) -> Any:
    """Floats at 6 significant digits, also inside dicts and lists; not-a-number is null."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return value


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
