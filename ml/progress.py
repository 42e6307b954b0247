"""What a training says while it runs: a bar for people, JSON lines for programs, TensorBoard files."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm


class Progress:
    """Speaks on the first rank alone; silent on the others."""

    def __init__(
        self, name: str, *, quiet: bool = False, events: TextIO = sys.stdout, board: Path | None = None
    ) -> None:
        self.name, self.quiet, self.events = name, quiet, events
        self.board = _tensorboard(board) if board is not None and not quiet else None
        self.bar: tqdm | None = None

    def event(self, kind: str, **values: Any) -> None:
        """One JSON line; numbers at 6 significant digits."""
        if self.quiet:
            return
        line = json.dumps({"event": kind, "baseline": self.name} | {k: rounded(v) for k, v in values.items()})
        print(line, file=self.events, flush=True)

    def steps(self, total: int, epoch: int, done: int = 0) -> None:
        """Begin an epoch's bar; it is drawn only where somebody watches."""
        self.bar = tqdm(
            total=total,
            initial=done,
            desc=f"{self.name} epoch {epoch + 1}",
            unit="step",
            file=sys.stderr,
            disable=self.quiet or not sys.stderr.isatty(),
            leave=False,
        )

    def step(self, loss: float | None = None) -> None:
        """One step further."""
        if self.bar is not None:
            self.bar.update()
            if loss is not None:
                self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

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
