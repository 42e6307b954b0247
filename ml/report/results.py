"""The results as people read them: one policy on unseen tags, names, the paper's rows, costs, the terminal's table."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group
from rich.table import Table as RichTable

from ml.baselines import BASELINES, Clip, place_in_paper
from ml.evaluation.reference import ORACLE, PRIOR
from pipeline import TEST_SPLITS
from pipeline.facets import ALL_FACETS, FACET_OF
from pipeline.tables import IGNORE_UNSEEN

PUBLISHED_FILE = Path(__file__).with_name("published.csv")
METRICS = ("r_precision", "acc_at_1", "acc_at_10", "avg_rank_position")
SHORT_METRICS = {"r_precision": "R-Prec", "acc_at_1": "Acc@1", "acc_at_10": "Acc@10", "avg_rank_position": "Rank"}
CONSOLE_METRICS = {"r_precision": "R-P", "acc_at_1": "A@1", "acc_at_10": "A@10", "avg_rank_position": "Rank"}
CONSOLE_WIDTH = 80
FACET_TITLES = {facet.key: facet.title for facet in ALL_FACETS} | {"mean": "Mean of the facets"}
SPLIT_TITLES = {"inner_test": "Inner test", "outer_test": "Outer test", "validation": "Validation"}
TITLES = json.loads(Path(__file__).with_name("titles.json").read_text(encoding="utf-8"))  # of rows


@dataclass(frozen=True)
class Cell:
    """One figure of a table, with its interval where there is one."""

    value: float | None
    low: float | None = None
    high: float | None = None


def title(baseline: str) -> str:
    """The name of a row in tables and sentences."""
    return str(TITLES.get(baseline, baseline))


def published() -> pl.DataFrame:
    """The paper's printed figures: baseline, split, facet, metric, value."""
    with PUBLISHED_FILE.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    rows = [(r["baseline"], r["split"], r["facet"], metric, float(r[metric])) for r in lines for metric in METRICS]
    return pl.DataFrame(rows, schema=["baseline", "split", "facet", "metric", "value"], orient="row")


def ordered_baselines(baselines: Sequence[str]) -> list[str]:
    """Rows in the order of the paper's tables, then by name, without the reference rows."""
    return sorted(set(baselines) - {PRIOR, ORACLE}, key=place_in_paper)


def facets_in(results: pl.DataFrame) -> list[str]:
    """The facets that the results are about, in the order of the paper's tables."""
    present = set(results["facet"])
    return [facet.key for facet in ALL_FACETS if facet.key in present]


def lookup(frame: pl.DataFrame) -> dict[tuple[str, str, str, str], Cell]:
    """Cells by (baseline, split, facet, metric); unseen tags are ignored."""
    if "policy" in frame.columns:
        frame = frame.filter(policy=IGNORE_UNSEEN)
    return {
        (row["baseline"], row["split"], row["facet"], row["metric"]): Cell(
            row["value"], row.get("low"), row.get("high")
        )
        for row in frame.iter_rows(named=True)
    }


def show(metric: str, value: float | None) -> str:
    """A figure as the paper prints it: two decimals without the leading zero, ranks with one decimal."""
    if value is None:
        return "–"
    if metric == "avg_rank_position":
        return f"{value:.1f}"
    text = f"{value:.2f}"
    return text[1:] if text.startswith("0.") else text


def read_models(storage: Path, baselines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The model.json of every row that has one."""
    files = {baseline: storage / "models" / baseline / "model.json" for baseline in baselines}
    return {row: json.loads(file.read_text(encoding="utf-8")) for row, file in files.items() if file.exists()}


def weights_of(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Where the weights of the models come from; an ensemble has none of its own."""
    sources = {str(model.get("weights", "")) for model in models.values() if "members" not in model}
    return "; ".join(sorted(sources - {""})) or "not stated"


BY_CHANCE = "by chance: its two towers were never trained together"


def rows_by_chance(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Zero-shot rows whose towers were not published as a pair: what lies between them is random, so is their ranking.

    Tables say so in place of their figures.
    """
    found = []
    for key, model in models.items():
        row, network = BASELINES.get(key), model.get("network") or {}
        pair = network.get("library") == "open_clip" and network.get("weights") is not None
        if isinstance(row, Clip) and not row.trainable and not pair:
            found.append(key)
    return found


def costs_of(models: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each model.json says of the row's cost and weights."""
    return {row: {"weights": model.get("weights", ""), **(model.get("cost") or {})} for row, model in models.items()}


@dataclass(frozen=True)
class Difference:
    """A paired difference on the same images: first minus second, in R-Precision."""

    first: str
    second: str
    split: str
    facet: str  # mean, or the only facet that a row predicts
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the first row is better or worse than the second, if the whole interval says so."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not surely"


def against_prior(comparisons: pl.DataFrame) -> dict[tuple[str, str], Difference]:
    """By row and split the paired difference to the label prior, of the mean or of a single head's facet."""
    rows = comparisons.filter(metric="r_precision", second=PRIOR).filter(pl.col("difference").is_not_null())
    rows = rows.select(field.name for field in fields(Difference))
    return {
        (row["first"], row["split"]): Difference(**row)
        for row in rows.sort(pl.col("facet") == "mean", "facet").iter_rows(named=True)  # the mean comes last and wins
    }


def points(value: float) -> str:
    """A difference in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def console_table(results: pl.DataFrame, comparisons: pl.DataFrame, storage: Path) -> Group:
    """The benchmark for a terminal, 80 columns wide: this run, its reference rows, and the paper's rows, kept apart.

    Below, for each row, how far it is ahead of the label prior, with the interval, and what it costs.
    """
    baselines, paper = ordered_baselines(results["baseline"].to_list()), published()
    models, facets = read_models(storage, baselines), facets_in(results)
    chance = rows_by_chance(models)
    not_comparable = "The paper's rows (other images and splits: not to be compared row by row)"
    return Group(
        "Means over facets, inner (in) and outer (out) test; R-P by facet: inner test.",
        _results_section(f"This run, weights: {weights_of(models)}", baselines, facets, results, chance),
        _results_section("Reference rows of this run", [PRIOR, ORACLE], facets, results),
        _results_section(not_comparable, ordered_baselines(paper["baseline"].to_list()), facets, paper),
        _prior_section([row for row in baselines if row not in chance], comparisons, costs_of(models)),
    )


def _section(heading: str, columns: Sequence[tuple[str, int]]) -> RichTable:
    """An empty table under a heading: a column of names, then those of the given titles and widths."""
    table = RichTable(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.title, table.title_justify, table.title_style = f"\n{heading}", "left", "bold"
    widths = [width + 1 for _, width in columns]
    table.add_column("", width=max(8, min(18, CONSOLE_WIDTH - sum(widths))), no_wrap=True)
    for name, width in columns:
        table.add_column(name, justify="right", no_wrap=True, width=width)
    return table


def _results_section(
    heading: str, baselines: Sequence[str], facets: Sequence[str], frame: pl.DataFrame, chance: Sequence[str] = ()
) -> RichTable:
    """The figures of the rows; those by chance are named below instead."""
    columns = [
        (f"{CONSOLE_METRICS[metric]}\n{at}", 4 + (metric == METRICS[-1])) for at in ("in", "out") for metric in METRICS
    ]
    table = _section(heading, [*columns, *((f"R-P\n{FACET_OF[facet].short}", 4) for facet in facets)])
    cells = {key: cell for key, cell in lookup(frame).items() if key[0] not in chance}
    if chance:
        table.caption = "\n".join(f"– {title(row)}: {BY_CHANCE}" for row in chance)
        table.caption_justify = "left"
    for baseline in baselines:
        keys = [(baseline, split, "mean", metric) for split in TEST_SPLITS for metric in METRICS]
        keys += [(baseline, "inner_test", facet, "r_precision") for facet in facets]
        table.add_row(title(baseline), *(show(key[3], cells[key].value if key in cells else None) for key in keys))
    return table


def _prior_section(
    baselines: Sequence[str], comparisons: pl.DataFrame, costs: Mapping[str, Mapping[str, Any]]
) -> RichTable:
    columns = [("inner test", 22), ("outer test", 22), ("train\ns", 6), ("ms an\nimage", 6)]
    table = _section("Ahead of the label prior? R-Precision in points, paired, 95 % interval", columns)
    differences = against_prior(comparisons)
    marks = {"better": "[green]✓[/]", "worse": "[red]✗[/]", "not surely": "·"}
    for baseline in baselines:
        both = [differences.get((baseline, split)) for split in TEST_SPLITS]
        cells = [
            f"{points(d.difference)} ({points(d.low)}…{points(d.high)}) {marks[d.verdict]}" if d else "–" for d in both
        ]
        cost = costs.get(baseline, {})
        numbers = [cost.get("training_s"), cost.get("ms_per_image")]
        table.add_row(title(baseline), *cells, *("–" if n is None else f"{n:,.0f}" for n in numbers))
    table.caption = "✓ surely better, ✗ surely worse, · not to be told with these images"
    table.caption_justify = "left"
    return table
