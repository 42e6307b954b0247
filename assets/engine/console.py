"""Output of a run in the terminal: a line per asset, progress bars and error messages."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.segment import Segment

from pipeline.terminal import one_line, printable
from pipeline.waits import FIRST_ANSWER_S, Patience, Progress

WAIT = "EUFCC_WAIT"  # `eufcc run --wait`: a server that does not answer is waited for as long as the settings say
LINES = "EUFCC_LINES"  # set by the command line; Dagster's own processes have the event log


class Terminal(Console):
    """A console whose texts, also those of tables, cannot command the terminal: ids and labels come from others.

    They are shown as they are written: `:art:` in an id is no picture, and numbers in it have no colour.
    """

    def __init__(self, *, emoji: bool = False, highlight: bool = False, **options: Any) -> None:
        super().__init__(emoji=emoji, highlight=highlight, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable; rich's own commands are segments of another kind."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))

    def print_line(self, text: str) -> None:
        """Print one line as it is: no markup, no breaks; newlines in it are escaped too."""
        self.print(one_line(text), markup=False, soft_wrap=True)


console = Terminal(stderr=True)


# Run configuration: Dagster's own lines stay out of the terminal, the lines of `say` take their place.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def say(name: str, metadata: Mapping[str, Any], seconds: float, reused: bool) -> None:
    """Print one line: the asset, its size, and the time it took."""
    if not os.environ.get(LINES):
        return
    rows = metadata.get("rows")
    size = f"{rows:>9,} rows" if isinstance(rows, int) else f"{metadata.get('bytes', 0) / 1e6:>11.1f} MB"
    how = "[dim]unchanged[/]" if reused else f"{seconds:6.1f} s"
    console.print(f"  [green]✓[/] {name:<26}{size:>15}  {how}")


def remark(*sentences: str) -> None:
    """Print what a person should know although nothing failed."""
    for sentence in sentences if os.environ.get(LINES) else ():
        console.print(f"    [yellow]{escape(sentence)}[/]", soft_wrap=True)


def patience() -> Patience:
    """For a client: in a person's command waits are told, and a server must answer once within a minute; not elsewhere.

    Schedules and Dagster's pages have no person who waits: they try for as long as the settings say.
    """
    if not os.environ.get(LINES):
        return Patience()
    return Patience(remark, None if os.environ.get(WAIT) else FIRST_ANSWER_S)


@contextmanager
def bar(what: str, unit: str) -> Iterator[Progress | None]:
    """A callback (done, of) that draws a progress bar with the time left; None outside a command in a terminal.

    The bar is there until the block ends, also when it fails.
    """
    if not os.environ.get(LINES) or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("  " + what), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with ProgressBar(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task(what, total=None)
        yield lambda done, of: drawn.update(task, completed=done, total=of)


def complain(sentence: str) -> None:
    """Print an error message."""
    console.print(f"[red]✗[/] {escape(printable(sentence))}", soft_wrap=True)
    sys.stderr.flush()
