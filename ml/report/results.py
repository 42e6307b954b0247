"""The paper's tables with this run's rows: as frames, Markdown, LaTeX, and for the console."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group
from rich.table import Table as RichTable

from ml.baselines import BASELINES
from ml.evaluation.metrics import IGNORE_UNSEEN
from ml.evaluation.reference import ORACLE, PRIOR
from pipeline import FACETS

PUBLISHED_FILE = Path(__file__).with_name("published.csv")
METRICS = ("r_precision", "acc_at_1", "acc_at_10", "avg_rank_position")
SHORT_METRICS = {"r_precision": "R-Prec", "acc_at_1": "Acc@1", "acc_at_10": "Acc@10", "avg_rank_position": "Rank"}
CONSOLE_METRICS = {"r_precision": "R-P", "acc_at_1": "A@1", "acc_at_10": "A@10", "avg_rank_position": "Rank"}
FACET_TITLES = {
    "object_types": "Object types",
    "materials": "Materials",
    "classifications": "Disciplines",
    "subjects": "Subjects",
    "mean": "Mean of the facets",
}
SPLIT_TITLES = {"inner_test": "Inner test", "outer_test": "Outer test", "validation": "Validation"}
TITLES = {
    PRIOR: "Label prior",
    ORACLE: "Oracle",
    "multilabel": "Multi-label (BCE)",
    "multilabel_materials": "Materials head",
    "softmax": "Softmax",
    "softmax_wce": "Softmax (WCE)",
    "hsoftmax_levels": "H-Softmax (levels)",
    "hsoftmax_nodes": "H-Softmax (nodes)",
    "ensemble_ml_s": "Ens. ML+S",
    "clip_zero_shot": "CLIP zero-shot",
    "clip_1_tag": "CLIP 1 tag",
    "clip_all_tags": "CLIP all tags",
    "clip_1_tag_prompt": "CLIP 1 tag prompt",
    "ensemble_ml_s_clip": "Ens. ML+S+CLIP",
    "linear_probe": "Linear probe",
    "multilabel_asl": "Multi-label (ASL)",
    "hsoftmax": "H-Softmax",
    "clip_zero_shot_prompt": "CLIP 0-shot prompt",
    "clip_path_prompt": "CLIP path prompt",
    "clip_wise_ft": "CLIP WiSE-FT",
}


@dataclass(frozen=True)
class Cell:
    """One figure of a table, with its interval where there is one; `tied` with the best of its column or not."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    best: bool = False
    tied: bool = False


def title(baseline: str) -> str:
    """What people call a row."""
    return TITLES.get(baseline, baseline)


def published() -> pl.DataFrame:
    """The paper's printed figures: baseline, split, facet, metric, value."""
    with PUBLISHED_FILE.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    rows = [(r["baseline"], r["split"], r["facet"], metric, float(r[metric])) for r in lines for metric in METRICS]
    return pl.DataFrame(rows, schema=["baseline", "split", "facet", "metric", "value"], orient="row")


def ordered_baselines(baselines: Sequence[str]) -> list[str]:
    """Rows in the order of the paper's tables, then by name; the reference rows are not among them."""
    order = {key: number for number, key in enumerate(BASELINES)}
    wanted = sorted(set(baselines) - {PRIOR, ORACLE})
    return sorted(wanted, key=lambda key: (order.get(key, len(order)), key))


def lookup(frame: pl.DataFrame, policy: str | None = IGNORE_UNSEEN) -> dict[tuple[str, str, str, str], Cell]:
    """Cells by (baseline, split, facet, metric)."""
    if policy is not None and "policy" in frame.columns:
        frame = frame.filter(pl.col("policy") == policy)
    cells = {}
    for row in frame.iter_rows(named=True):
        key = (row["baseline"], row["split"], row["facet"], row["metric"])
        cells[key] = Cell(row["value"], row.get("low"), row.get("high"), row.get("n"))
    return cells


def show(metric: str, value: float | None, digits: int = 2) -> str:
    """A figure as the paper prints it: two decimals without the leading zero, ranks with one decimal."""
    if value is None:
        return "–"
    if metric == "avg_rank_position":
        return f"{value:.1f}"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def weights_of(storage: Path, baseline: str) -> str:
    """Where a model's weights come from, as its model.json says; empty without one, and for an ensemble, which has none
    of its own."""
    file = storage / "models" / baseline / "model.json"
    model = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return "" if "members" in model else str(model.get("weights", ""))


def weights_of_all(storage: Path, baselines: Sequence[str]) -> str:
    """One sentence on where the models' weights come from."""
    found = sorted({weights for baseline in baselines if (weights := weights_of(storage, baseline))})
    return "; ".join(found) or "not stated"


def read_costs(storage: Path, baselines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What each row's model.json says of its cost and weights, for the rows that have one."""
    found = {}
    for baseline in baselines:
        file = storage / "models" / baseline / "model.json"
        if file.exists():
            model = json.loads(file.read_text(encoding="utf-8"))
            found[baseline] = {"weights": model.get("weights", ""), **(model.get("cost") or {})}
    return found


@dataclass(frozen=True)
class AgainstPrior:
    """How far a row is ahead of the label prior on one test, in R-Precision, on the same images."""

    difference: float
    low: float
    high: float
    facet: str  # mean, or the only facet the row predicts

    @property
    def verdict(self) -> str:
        """Better or worse than the prior where the whole interval says so."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not surely"


def against_prior(comparisons: pl.DataFrame) -> dict[tuple[str, str], AgainstPrior]:
    """By row and split the paired difference to the label prior; of the mean, or of a single head's one facet."""
    rows = comparisons.filter(metric="r_precision", second=PRIOR).filter(pl.col("difference").is_not_null())
    found: dict[tuple[str, str], AgainstPrior] = {}
    for r in rows.sort(pl.col("facet") == "mean", "facet").iter_rows(named=True):  # the mean last, so that it wins
        found[r["first"], r["split"]] = AgainstPrior(r["difference"], r["low"], r["high"], r["facet"])
    return found


def points(value: float) -> str:
    """A difference in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def console_table(results: pl.DataFrame, comparisons: pl.DataFrame, storage: Path | None = None) -> Group:
    """The benchmark for a terminal, 80 columns wide: this run, its reference rows, and the paper's rows, kept apart.

    Then, for each row, how far it is ahead of the label prior, with the interval, and what it costs.
    """
    baselines = ordered_baselines(results["baseline"].to_list())
    weights = "" if storage is None else f", weights: {weights_of_all(storage, baselines)}"
    paper = published()
    return Group(
        "Means over facets, inner (in) and outer (out) test; R-P by facet: inner test.",
        _section(f"This run{weights}", baselines, results),
        _section("Reference rows of this run", [PRIOR, ORACLE], results),
        _section(
            "The paper's rows (other images and splits: not to be compared row by row)",
            ordered_baselines(paper["baseline"].to_list()),
            paper,
        ),
        _prior_section(baselines, comparisons, {} if storage is None else read_costs(storage, baselines)),
    )


def _prior_section(baselines: Sequence[str], comparisons: pl.DataFrame, costs: dict[str, dict[str, Any]]) -> RichTable:
    table = RichTable(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    heading = "Ahead of the label prior? R-Precision in points, paired, 95 % interval"
    table.title, table.title_justify, table.title_style = f"\n{heading}", "left", "bold"
    table.add_column("", width=18, no_wrap=True)
    for split in ("inner test", "outer test"):
        table.add_column(split, justify="right", no_wrap=True, width=22)
    table.add_column("train\ns", justify="right", no_wrap=True, width=6)
    table.add_column("ms an\nimage", justify="right", no_wrap=True, width=6)
    found = against_prior(comparisons)
    marks = {"better": "[green]✓[/]", "worse": "[red]✗[/]", "not surely": "·"}
    for baseline in baselines:
        cells = []
        for split in ("inner_test", "outer_test"):
            each = found.get((baseline, split))
            interval = f"{points(each.low)}…{points(each.high)}" if each else ""
            cells.append(f"{points(each.difference)} ({interval}) {marks[each.verdict]}" if each else "–")
        cost = costs.get(baseline, {})
        figures = [cost.get("training_s"), cost.get("ms_per_image")]
        table.add_row(title(baseline), *cells, *("–" if f is None else f"{f:,.0f}" for f in figures))
    table.caption = "✓ surely better, ✗ surely worse, · not to be told with these images"
    table.caption_justify = "left"
    return table


def _section(heading: str, baselines: Sequence[str], frame: pl.DataFrame) -> RichTable:
    table = RichTable(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.title, table.title_justify, table.title_style = f"\n{heading}", "left", "bold"
    table.add_column("", width=18, no_wrap=True)
    for split in ("in", "out"):
        for metric in METRICS:
            table.add_column(
                f"{CONSOLE_METRICS[metric]}\n{split}", justify="right", no_wrap=True, width=4 + (metric == METRICS[-1])
            )
    for facet in ("obj", "mat", "disc", "subj"):
        table.add_column(f"R-P\n{facet}", justify="right", no_wrap=True, width=4)
    cells = lookup(frame)
    for baseline in baselines:
        keys = [(baseline, split, "mean", metric) for split in ("inner_test", "outer_test") for metric in METRICS]
        keys += [(baseline, "inner_test", facet, "r_precision") for facet in FACETS]
        table.add_row(title(baseline), *(show(key[3], cells[key].value if key in cells else None) for key in keys))
    return table
