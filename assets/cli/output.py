"""What the commands answer, on stdout: tables for people, and JSON for programs.

Errors, progress and remarks go to stderr, and so does all that `demo` tells of its run.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from assets.engine.console import Terminal

if TYPE_CHECKING:
    import polars as pl

    from ml.evaluation.power import Size, Spread

# In a file or a pipe, tables have 200 columns.
answers = Terminal(markup=False, width=None if sys.stdout.isatty() else 200)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(content: Any) -> None:
    """Print the content as JSON: dataclasses as objects, NaN as null, in ASCII, so that no id commands the terminal."""
    print(json.dumps(_plain(content), indent=1, default=str))


def _plain(content: Any) -> Any:
    if is_dataclass(content) and not isinstance(content, type):
        content = asdict(content)
    if isinstance(content, Mapping):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def table(left: Sequence[str], right: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table for the terminal, with columns aligned to the left and to the right."""
    table = Table(*left, box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for column in right:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def sizes_table(spread: "Spread", sizes: Iterable["Size"], difference: float) -> Table:
    """How large a test must be to show the difference, in points, with images of the same or of other providers."""
    from ml.report.results import SPLIT_TITLES, points

    def row(size: "Size") -> tuple[str, ...]:
        if size.groups_a_provider is None:
            what = ("the same providers", f"{spread.providers:,}", "–")
        else:
            what = ("other providers", "–" if size.units is None else f"{size.units:,}", f"{size.groups_a_provider:,}")
        shown = "–" if size.simulated is None else f"{size.simulated:.0%}"
        return *what, "more than a million" if size.groups is None else f"{size.groups:,}", shown

    shown_table = table(("",), ("providers", "images of each", "images", "shown in"), map(row, sizes))
    shown_table.title = f"{SPLIT_TITLES[spread.split]}: to see {difference:g} points with a chance of 80 %"
    between = (
        "unknown with one provider" if spread.between != spread.between else points(spread.between**0.5).lstrip("+")
    )
    within = points(spread.within**0.5).lstrip("+")
    shown_table.caption = (
        f"Today A − B is {points(spread.difference)} points on {spread.groups:,} images (near-duplicates counted once) "
        f"of {spread.providers:,} providers. Standard deviation within a provider {within}, "
        f"between providers {between}. "
        "Shown in: the share of simulated tests of that size whose 95 % interval lies above zero."
    )
    return shown_table


def differences_table(differences: "pl.DataFrame") -> Table:
    """Paired differences, in points, with their intervals; those that a test cannot tell are grey."""
    from ml.evaluation.tells import CANNOT_TELL, TELLS
    from ml.report.results import FACET_TITLES, SHORT_METRICS, SPLIT_TITLES, points, title

    def row(r: dict[str, Any]) -> Sequence[str | Text]:
        rank = r["metric"] == "avg_rank_position"
        value, low, high = (
            "" if v is None else f"{v:+.2f}" if rank else points(v) for v in (r["difference"], r["low"], r["high"])
        )
        known = r["low"] is not None and r["tells"] == TELLS
        mark = "  ✓" if known and (r["low"] > 0 or r["high"] < 0) else "   "
        ends = "–" if r["low"] is None else f"{low} … {high}"
        names = (SPLIT_TITLES[r["split"]], FACET_TITLES[r["facet"]], SHORT_METRICS.get(r["metric"], r["metric"]))
        cells = (title(Path(r["first"]).name), *names, value, f"{ends}{mark}", f"{r['p_value']:.4f}", r["tells"])
        return _grey(cells) if r["tells"] == CANNOT_TELL else cells

    rows = map(row, differences.iter_rows(named=True))
    shown_table = table(("", "test", "facet", "metric"), ("A − B", "95 % interval", "p", "the test"), rows)
    shown_table.caption = "In points (Rank in ranks); ✓: the test tells, and the interval excludes zero."
    return shown_table


def results_table(result: dict[str, Any]) -> Table:
    """The main results of a submission beside the reference rows, and the verdict of each test below them."""
    from ml.evaluation.tells import CANNOT_TELL
    from ml.report.results import FACET_TITLES, SHORT_METRICS, SPLIT_TITLES, show
    from pipeline.tables import IGNORE_UNSEEN

    def row(r: dict[str, Any]) -> Sequence[str | Text]:
        others = [references.get((baseline, *key(r))) for baseline in ("label_prior", "provider_alone")]
        numbers = (r["value"], r["low"], r["high"], *others)
        value, low, high, prior, alone = (show(r["metric"], number) for number in numbers)
        names = (SPLIT_TITLES[r["split"]], FACET_TITLES[r["facet"]], SHORT_METRICS[r["metric"]])
        ends = "–" if r["low"] is None else f"{low} … {high}"
        cells = (*names, value, ends, f"{r['n']:,}", prior, alone, r["tells"])
        return _grey(cells) if r["tells"] == CANNOT_TELL else cells

    key = itemgetter("split", "facet", "metric", "policy")
    references = {(r["baseline"], *key(r)): r["value"] for r in result["references"]}
    shown = [r for r in result["results"] if r["policy"] == IGNORE_UNSEEN and r["metric"] in SHORT_METRICS]
    rows = (row(r) for r in shown if r["value"] is not None)
    right = ("value", "95 % interval", "images", "label prior", "museum's name", "the test")
    shown_table = table(("test", "facet", "metric"), right, rows)
    shown_table.caption = "\n".join(_told(result))
    return shown_table


def _told(result: dict[str, Any]) -> list[str]:
    """The verdict of each test: whether the predictions are better than what needs no eyes, and what it lacks."""
    from ml.report.results import FACET_TITLES, SPLIT_TITLES

    words = {
        "better": "✓ surely better than what needs no eyes",
        "worse": "✗ surely worse than the label prior",
        "not surely": "not surely better than what needs no eyes",
        "cannot tell": "no verdict",
    }
    lines = [f"{SPLIT_TITLES[split]}: {words[verdict]}." for split, verdict in result["verdicts"].items()]
    lacking = [row for row in result["informativeness"] if row["missing"] and row["facet"] != "mean"]
    lines += [f"{SPLIT_TITLES[r['split']]}, {FACET_TITLES[r['facet']]}, {r['tells']}: {r['missing']}" for r in lacking]
    return lines


def _grey(cells: Sequence[str]) -> tuple[Text, ...]:
    """The cells of a row in grey, for a test that cannot tell."""
    return tuple(Text(cell, style="bright_black") for cell in cells)
