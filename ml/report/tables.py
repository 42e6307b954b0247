"""The report's tables as rows of cells, which become HTML, Markdown or LaTeX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from ml.baselines import ORACLE, PRIOR, PROVIDER
from ml.evaluation.tells import CANNOT_TELL, TELLS
from ml.evaluation.verdicts import TO_BEAT, Difference, Standing, standings
from ml.report.results import (
    BY_CHANCE,
    FACET_TITLES,
    METRICS,
    SHORT_METRICS,
    SPLIT_TITLES,
    Cell,
    facets_in,
    lookup,
    ordered_baselines,
    points,
    published,
    show,
    title,
)
from pipeline import TEST_SPLITS
from pipeline.facets import FACET_OF

SIGNIFICANCE = 0.05
Column = tuple[str, str, str]  # split, facet, metric
Cells = Mapping[tuple[str, str, str, str], Cell]  # by baseline and column


class HeadCell(NamedTuple):
    """A heading over one or more columns."""

    text: str
    span: int = 1


@dataclass(frozen=True)
class ShownCell:
    """A figure as text, with its interval, and whether it is the best of its column or tied with it."""

    text: str
    interval: str = ""
    best: bool = False
    tied: bool = False
    kind: str = ""  # better, worse, not surely or cannot tell, where the cell is such a word; ahead or behind the paper
    grey: bool = False  # its test cannot tell


@dataclass(frozen=True)
class ShownRow:
    """One line of a table: a heading over the whole width, or a name with cells."""

    name: str = ""
    cells: tuple[ShownCell, ...] = ()
    kind: str = "run"  # run, ref or paper
    heading: str = ""


@dataclass(frozen=True)
class ShownTable:
    """A table as it is shown."""

    name: str
    caption: str
    head: tuple[tuple[HeadCell, ...], ...]
    rows: tuple[ShownRow, ...] = ()

    @property
    def width(self) -> int:
        """Columns, the name's included."""
        return len(self.head[-1])

    @property
    def any_grey(self) -> bool:
        """Whether a figure is of a test that cannot tell."""
        return any(cell.grey for row in self.rows for cell in row.cells)

    @property
    def columns(self) -> list[str]:
        """The headings of the columns on one line: those that stand above several columns come first."""
        above = [f"{cell.text}: " for cell in self.head[0] if cell.span > 1 for _ in range(cell.span)]
        names = [cell.text for cell in self.head[-1]]
        return [names[0], *map("".join, zip(above or [""] * (len(names) - 1), names[1:], strict=True))]


OVER = dict(zip(TO_BEAT, ("Over the prior", "Over the museum's name", "From its pictures"), strict=True))


def prior_table(comparisons: pl.DataFrame, chance: Sequence[str] = ()) -> ShownTable:
    """Which rows are surely better than what needs no eyes: paired differences; rows by chance are left out."""
    found = standings(comparisons)
    rows = []
    for baseline in ordered_baselines([row for row, _ in found if row not in chance]):
        cells: list[ShownCell] = []
        alone = ""
        for split in TEST_SPLITS:
            standing = found.get((baseline, split))
            cells += _standing_cells(standing)
            if standing is not None and standing.facet != "mean":
                alone = f" ({FACET_OF[standing.facet].plural} alone)"
        rows.append(ShownRow(title(baseline) + alone, tuple(cells)))
    head = (
        (HeadCell(""), *(HeadCell(SPLIT_TITLES[split], len(OVER) + 1) for split in TEST_SPLITS)),
        (HeadCell("Row"), *(HeadCell(text) for _ in TEST_SPLITS for text in (*OVER.values(), "Better?"))),
    )
    caption = "Which rows are better than what needs no eyes: R-Precision, difference on the same images, in points"
    return ShownTable("prior", caption, head, tuple(rows))


def _standing_cells(standing: Standing | None) -> list[ShownCell]:
    if standing is None:
        return [ShownCell("–")] * (len(OVER) + 1)
    cells = [_difference_cell(standing.differences.get(second)) for second in OVER]
    grey = all(cell.grey or cell.text == "–" for cell in cells)
    return [*cells, ShownCell(standing.verdict, kind=standing.verdict, grey=grey)]


def _difference_cell(difference: Difference | None) -> ShownCell:
    if difference is None:
        return ShownCell("–")
    low, high = difference.low, difference.high
    interval = "" if low is None or high is None else f"{points(low)} to {points(high)}"
    return ShownCell(points(difference.difference), interval, grey=difference.tells == CANNOT_TELL)


TOLD = {
    "images": "Images",
    "providers": "Museums",
    "support": "Support",
    "constant": "Best without pictures",
    "prior": "Label prior",
    "provider_alone": "Museum's name alone",
    "probe": "Probe",
    "ceiling": "Ceiling",
    "tells": "Verdict",
}


def informative_table(informativeness: pl.DataFrame) -> ShownTable:
    """What each test can tell, by facet: its size, the figures that need no pictures, and what pictures give."""
    known = {(row["split"], row["facet"]): row for row in informativeness.iter_rows(named=True)}
    rows = []
    for split in TEST_SPLITS:
        facets = [facet for facet in FACET_TITLES if (split, facet) in known]
        if facets:
            rows.append(ShownRow(heading=SPLIT_TITLES[split]))
        for facet in facets:
            row = known[split, facet]
            grey = row["tells"] == CANNOT_TELL
            cells = [ShownCell(f"{row[name]:,}", grey=grey) for name in ("images", "providers")]
            cells += [ShownCell(show("r_precision", row[name]), grey=grey) for name in list(TOLD)[2:-1]]
            word = ShownCell(row["tells"], kind=row["tells"], grey=grey)
            rows.append(ShownRow(FACET_TITLES[facet], (*cells, word)))
    head = (HeadCell("Facet"), *map(HeadCell, TOLD.values()))
    return ShownTable("informative", "What each test can tell; figures are R-Precision", (head,), tuple(rows))


def paper_tables(
    results: pl.DataFrame,
    comparisons: pl.DataFrame,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    chance: Sequence[str] = (),
) -> list[ShownTable]:
    """Tables 1, 2 and 3 of the paper: inner per facet, outer per facet, and the means of both with the rows' cost.

    Rows by chance (`rows_by_chance`) have words in place of figures.
    """

    def table(name: str, caption: str, over: Sequence[tuple[str, str, str]], **extra: Any) -> ShownTable:
        columns = [(split, facet, metric) for _, split, facet in over for metric in METRICS]
        first_line = (HeadCell(""), *(HeadCell(heading, len(METRICS)) for heading, _, _ in over))
        return _results_table(name, caption, first_line, columns, results, comparisons, chance=chance, **extra)

    means = [(SPLIT_TITLES[split], split, "mean") for split in TEST_SPLITS]
    inner, outer = ([(FACET_TITLES[facet], split, facet) for facet in facets_in(results)] for split in TEST_SPLITS)
    return [
        table("table_3", "Table 3. Mean over the facets, inner and outer test", means, costs=costs or {}),
        table("table_1", "Table 1. Inner test, by facet", inner),
        table("table_2", "Table 2. Outer test, by facet (the paper prints only the means)", outer),
    ]


def _results_table(
    name: str,
    caption: str,
    first_line: tuple[HeadCell, ...],
    columns: Sequence[Column],
    results: pl.DataFrame,
    comparisons: pl.DataFrame,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    chance: Sequence[str] = (),
) -> ShownTable:
    """`costs`, where given, fill three more columns."""
    cells, paper = {key: cell for key, cell in lookup(results).items() if key[0] not in chance}, lookup(published())
    baselines = ordered_baselines(results["baseline"].to_list())
    best = {column: _best(cells, baselines, column) for column in columns}  # None where the test carries no verdict
    tied = _tied(comparisons, best)
    rows = [ShownRow(heading="This run")]
    for b in baselines:
        cost = _cost_cells(costs.get(b, {}), BRIEF_COST) if costs is not None else []
        said = f"{title(b)} ({BY_CHANCE})" if b in chance else title(b)
        rows.append(ShownRow(said, (*(_cell(cells, b, column, best, tied) for column in columns), *cost)))
    rows += [ShownRow(heading="For reference, on the same images: two rankings that see none, and a perfect one")]
    references = [b for b in (PRIOR, PROVIDER, ORACLE) if any((b, *column) in cells for column in columns)]
    rows += [ShownRow(title(b), _plain_cells(cells, b, columns), "ref") for b in references]
    printed = [b for b in ordered_baselines([key[0] for key in paper]) if any((b, *c) in paper for c in columns)]
    if printed:
        rows += [ShownRow(heading="The paper, on its own images and splits: not to be compared row by row")]
        rows += [ShownRow(title(b), _plain_cells(paper, b, columns), "paper") for b in printed]
    second_line = (HeadCell("Row"), *(HeadCell(SHORT_METRICS[metric]) for _, _, metric in columns))
    if costs is not None:
        first_line = (*first_line, HeadCell("Cost", len(BRIEF_COST)))
        second_line = (*second_line, *(HeadCell(text) for _, text in BRIEF_COST))
    return ShownTable(name, caption, (first_line, second_line), tuple(rows))


def _plain_cells(cells: Cells, baseline: str, columns: Sequence[Column]) -> tuple[ShownCell, ...]:
    return tuple(_cell(cells, baseline, column, {}, set()) for column in columns)


def _cell(
    cells: Cells, baseline: str, column: Column, best: Mapping[Column, str | None], tied: set[tuple[str, str, str, str]]
) -> ShownCell:
    cell = cells.get((baseline, *column), Cell(None))
    metric = column[2]
    interval = ""
    if cell.low is not None and cell.high is not None:
        interval = f"{show(metric, cell.low)}–{show(metric, cell.high)}"
    top = best.get(column)
    is_best = top is not None and cell.value is not None and cell.value == cells[top, *column].value
    is_tied = (baseline, *column) in tied and not is_best
    return ShownCell(show(metric, cell.value), interval, is_best, is_tied, grey=cell.tells == CANNOT_TELL)


def _best(cells: Cells, baselines: Sequence[str], column: Column) -> str | None:
    """The row with the best figure, the first of equals; None where the test carries no verdict."""
    values = {b: cells[b, *column].value for b in baselines if (b, *column) in cells}
    if any(cells[b, *column].tells != TELLS for b in values):
        return None
    known = {b: value for b, value in values.items() if value is not None}
    sign = -1 if column[2] != "avg_rank_position" else 1
    return min(known, key=lambda b: sign * known[b], default=None)


def _tied(comparisons: pl.DataFrame, best: Mapping[Column, str | None]) -> set[tuple[str, str, str, str]]:
    """Rows that the paired test does not tell from the best of their column."""
    ties = set()
    for r in comparisons.iter_rows(named=True):
        column = (r["split"], r["facet"], r["metric"])
        top = best.get(column)
        if top in (r["first"], r["second"]) and r["p_holm"] is not None and r["p_holm"] >= SIGNIFICANCE:
            ties.add((r["second"] if r["first"] == top else r["first"], *column))
    return ties


CLOSER = {
    "leaf_r_precision": "Narrowest tags",
    "hierarchical_f": "Hierarchical F",
    "head_recall": "Frequent",
    "medium_recall": "Middle",
    "tail_recall": "Rare",
    "calibration_error": "Calibration error",
    "coherence_violations": "Incoherent",
}


def closer_table(results: pl.DataFrame) -> ShownTable:
    """Metrics beyond the paper's, as means over facets on the inner test."""
    cells, columns = lookup(results), [("inner_test", "mean", metric) for metric in CLOSER]
    baselines = ordered_baselines(results["baseline"].to_list())
    rows = tuple(ShownRow(title(b), _plain_cells(cells, b, columns)) for b in baselines)
    head = (HeadCell("Row"), *map(HeadCell, CLOSER.values()))
    return ShownTable("closer", "A closer look, inner test, mean over facets", (head,), rows)


COST = (
    ("parameters_m", "Parameters (million)"),
    ("gflop_per_image", "GFLOP an image"),
    ("ms_per_image", "ms an image"),
    ("training_s", "Training (s)"),
    ("images_per_s", "Images/s in training"),
    ("best_epoch", "Best epoch"),
)
BRIEF_COST = (("parameters_m", "Par. (M)"), ("training_s", "Train (s)"), ("ms_per_image", "ms/image"))


def _cost_cells(cost: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> list[ShownCell]:
    numbers = [cost.get(name) for name, _ in columns]
    return [ShownCell("–" if n is None else f"{n:,.0f}" if abs(n) >= 100 else f"{n:.3g}") for n in numbers]


def cost_table(costs: Mapping[str, Mapping[str, Any]]) -> ShownTable:
    """What every row costs, as its model.json says."""
    rows = []
    for baseline in ordered_baselines(list(costs)):
        weights = ShownCell(str(costs[baseline].get("weights") or "–"))
        rows.append(ShownRow(title(baseline), (*_cost_cells(costs[baseline], COST), weights)))
    head = (HeadCell("Row"), *(HeadCell(text) for _, text in COST), HeadCell("Weights"))
    return ShownTable("cost", "What each row costs", (head,), tuple(rows))
