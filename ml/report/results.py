"""The results as people read them: one policy on unseen tags, names, the paper's rows, costs, the terminal's table."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group
from rich.table import Table as RichTable

from ml.baselines import BASELINES, PRIOR, REFERENCES, Clip, place_in_paper
from ml.evaluation.tells import CANNOT_TELL, TELLS
from ml.evaluation.verdicts import Standing, Verdict, standings
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
    """One figure of a table, with its interval where there is one, and what its test can tell."""

    value: float | None
    low: float | None = None
    high: float | None = None
    tells: str = TELLS


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
    return sorted(set(baselines) - set(REFERENCES), key=place_in_paper)


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
            row["value"], row.get("low"), row.get("high"), row.get("tells") or TELLS
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


def points(value: float) -> str:
    """A difference in points, with its sign."""
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no minus before zero


def console_table(results: pl.DataFrame, comparisons: pl.DataFrame, storage: Path) -> Group:
    """The benchmark for a terminal, 80 columns wide: this run, its reference rows, and the paper's rows, kept apart.

    Below, for each row, how far it is ahead of the label prior, with the interval, and what it costs. Figures of tests
    that cannot tell are grey.
    """
    baselines, paper = ordered_baselines(results["baseline"].to_list()), published()
    models, facets = read_models(storage, baselines), facets_in(results)
    chance = rows_by_chance(models)
    not_comparable = "The paper's rows (other images and splits: not to be compared row by row)"
    references = [row for row in REFERENCES if row in set(results["baseline"])]
    return Group(
        "Means over facets, inner (in) and outer (out) test; R-P by facet: inner test.",
        *cannot_tell_sentences(results),
        _results_section(f"This run, weights: {weights_of(models)}", baselines, facets, results, chance),
        _results_section("Reference rows of this run", references, facets, results),
        _results_section(not_comparable, ordered_baselines(paper["baseline"].to_list()), facets, paper),
        _prior_section([row for row in baselines if row not in chance], comparisons, costs_of(models)),
    )


def words(results: pl.DataFrame) -> dict[tuple[str, str], str]:
    """By split and facet what the test can tell."""
    rows = results.select("split", "facet", "tells").unique().sort("split", "facet")
    return {(split, facet): word for split, facet, word in rows.iter_rows() if word is not None}


def cannot_tell_sentences(results: pl.DataFrame) -> list[str]:
    """A sentence for each split that cannot tell in some facets, which are grey and not in its mean."""
    told = words(results)
    sentences = []
    for split in TEST_SPLITS:
        grey = [facet for facet in facets_in(results) if told.get((split, facet)) == CANNOT_TELL]
        names = ", ".join(FACET_OF[facet].plural for facet in grey)
        if told.get((split, "mean")) == CANNOT_TELL:
            sentences.append(f"The {SPLIT_TITLES[split].lower()} cannot tell in any facet: grey, without a verdict.")
        elif grey:
            sentences.append(f"The {SPLIT_TITLES[split].lower()} cannot tell in {names}: grey, not in the mean.")
    return sentences


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
    """The figures of the rows; those by chance are named below instead, those of tests that cannot tell are grey."""
    cells = {key: cell for key, cell in lookup(frame).items() if key[0] not in chance}
    keys = [(split, "mean", metric) for split in TEST_SPLITS for metric in METRICS]
    keys += [("inner_test", facet, "r_precision") for facet in facets]
    told = words(frame) if "tells" in frame.columns else {}
    grey = [told.get((split, facet)) == CANNOT_TELL for split, facet, _ in keys]
    columns = [
        (f"{CONSOLE_METRICS[metric]}\n{at}", 4 + (metric == METRICS[-1])) for at in ("in", "out") for metric in METRICS
    ]
    columns += [(f"R-P\n{FACET_OF[facet].short}", 4) for facet in facets]
    if any(grey):  # a pipe has no colours
        columns = [(f"{name}\n{'grey' if g else ''}", width) for (name, width), g in zip(columns, grey, strict=True)]
    table = _section(heading, columns)
    if chance:
        table.caption = "\n".join(f"– {title(row)}: {BY_CHANCE}" for row in chance)
        table.caption_justify = "left"
    for baseline in baselines:
        shown = [show(key[2], cells[baseline, *key].value if (baseline, *key) in cells else None) for key in keys]
        greyed = [f"[bright_black]{text}[/]" if g else text for text, g in zip(shown, grey, strict=True)]
        table.add_row(title(baseline), *greyed)
    return table


def _prior_section(
    baselines: Sequence[str], comparisons: pl.DataFrame, costs: Mapping[str, Mapping[str, Any]]
) -> RichTable:
    columns = [("inner test", 22), ("outer test", 22), ("train\ns", 6), ("ms an\nimage", 6)]
    table = _section("Ahead of the label prior? R-Precision in points, paired, 95 % interval", columns)
    found = standings(comparisons)
    for baseline in baselines:
        cells = [_standing_cell(found.get((baseline, split))) for split in TEST_SPLITS]
        cost = costs.get(baseline, {})
        numbers = [cost.get("training_s"), cost.get("ms_per_image")]
        table.add_row(title(baseline), *cells, *("–" if n is None else f"{n:,.0f}" for n in numbers))
    table.caption = (
        "✓ surely better than the prior, the museum's name and its own scores with the\n"
        "pictures exchanged; ✗ surely worse than the prior; · not to be told with these\n"
        "images; ○ this test carries no verdict"
    )
    table.caption_justify = "left"
    return table


MARKS: dict[Verdict, str] = {
    "better": "[green]✓[/]", "worse": "[red]✗[/]", "not surely": "·", "cannot tell": "[bright_black]○[/]",
}  # fmt: skip


def _standing_cell(standing: Standing | None) -> str:
    """The difference to the label prior with its interval, and the mark of the verdict."""
    if standing is None or PRIOR not in standing.differences:
        return "–"
    d = standing.differences[PRIOR]
    interval = "" if d.low is None or d.high is None else f" ({points(d.low)}…{points(d.high)})"
    text = f"{points(d.difference)}{interval}"
    grey = d.tells == CANNOT_TELL
    return f"{f'[bright_black]{text}[/]' if grey else text} {MARKS[standing.verdict]}"
