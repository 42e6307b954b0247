"""The report's tables as rows of cells, which become HTML, Markdown or LaTeX."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from ml.evaluation.reference import ORACLE, PRIOR
from ml.report.results import (
    FACET_TITLES,
    METRICS,
    SHORT_METRICS,
    SPLIT_TITLES,
    Cell,
    against_prior,
    lookup,
    ordered_baselines,
    points,
    published,
    show,
    title,
)
from pipeline import FACETS


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
    kind: str = ""  # better, worse or not surely, where the cell is such a word


@dataclass(frozen=True)
class ShownRow:
    """One line of a table: a heading over the whole width, or a name with cells."""

    name: str = ""
    cells: tuple[ShownCell, ...] = ()
    kind: str = "run"  # run, ref or paper
    heading: str = ""


@dataclass(frozen=True)
class ShownTable:
    """A table for people."""

    name: str
    caption: str
    head: tuple[tuple[HeadCell, ...], ...]
    rows: tuple[ShownRow, ...] = field(default=())

    @property
    def width(self) -> int:
        """Columns, the name's included."""
        return 1 + max((len(row.cells) for row in self.rows), default=0)


Columns = Sequence[tuple[str, str, str]]  # split, facet, metric


def prior_table(comparisons: pl.DataFrame) -> ShownTable:
    """Which rows beat the label prior: paired differences of mean R-Precision on both tests."""
    found = against_prior(comparisons)
    splits = ("inner_test", "outer_test")
    rows = []
    for baseline in ordered_baselines([row for row, _ in found]):
        cells: list[ShownCell] = []
        facet = "mean"
        for split in splits:
            each = found.get((baseline, split))
            if each is None:
                cells += [ShownCell("–"), ShownCell("–")]
                continue
            facet = each.facet
            interval = f"{points(each.low)} to {points(each.high)}"
            cells += [ShownCell(points(each.difference), interval), ShownCell(each.verdict, kind=each.verdict)]
        of = "" if facet == "mean" else f" ({FACET_TITLES[facet].lower()} alone)"
        rows.append(ShownRow(title(baseline) + of, tuple(cells)))
    head = (
        (HeadCell(""), *(HeadCell(SPLIT_TITLES[split], 2) for split in splits)),
        (HeadCell("Row"), *(HeadCell(text) for _ in splits for text in ("Points", "Better?"))),
    )
    caption = "Which rows beat the label prior: R-Precision, difference on the same images, in points"
    return ShownTable("prior", caption, head, tuple(rows))


def paper_tables(
    results: pl.DataFrame, comparisons: pl.DataFrame, costs: Mapping[str, Mapping[str, Any]] | None = None
) -> list[ShownTable]:
    """Tables 1, 2 and 3 of the paper: inner per facet, outer per facet, and the means of both with the rows' cost."""
    means: Columns = [(split, "mean", metric) for split in ("inner_test", "outer_test") for metric in METRICS]
    spans = tuple(HeadCell(FACET_TITLES[facet], len(METRICS)) for facet in FACETS)
    tables = [
        _results_table(
            "table_3",
            "Table 3. Mean over the facets, inner and outer test",
            means,
            (HeadCell(""), HeadCell("Inner test", len(METRICS)), HeadCell("Outer test", len(METRICS))),
            results,
            comparisons,
            costs or {},
        )
    ]
    for name, split, caption in (
        ("table_1", "inner_test", "Table 1. Inner test, by facet"),
        ("table_2", "outer_test", "Table 2. Outer test, by facet (the paper prints only the means)"),
    ):
        columns: Columns = [(split, facet, metric) for facet in FACETS for metric in METRICS]
        tables.append(_results_table(name, caption, columns, (HeadCell(""), *spans), results, comparisons))
    return tables


def _results_table(
    name: str,
    caption: str,
    columns: Columns,
    first_line: tuple[HeadCell, ...],
    results: pl.DataFrame,
    comparisons: pl.DataFrame,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
) -> ShownTable:
    """`costs`, where given, stand in three columns more."""
    cells, paper = lookup(results), lookup(published())
    baselines = ordered_baselines(results["baseline"].to_list())
    best = {column: _best(cells, baselines, column) for column in columns}
    tied = _tied(comparisons, best)
    rows = [ShownRow(heading="This run")]
    for b in baselines:
        cost = _figures_of(costs.get(b, {}), BRIEF_COST) if costs is not None else []
        rows.append(ShownRow(title(b), (*(_cell(cells, b, c, best, tied) for c in columns), *map(ShownCell, cost))))
    rows += [ShownRow(heading="For reference, on the same images: one ranking for all by frequency, and a perfect one")]
    rows += [
        ShownRow(label, tuple(_cell(cells, b, c, {}, set()) for c in columns), "ref")
        for b, label in ((PRIOR, "Label prior"), (ORACLE, "Oracle"))
    ]
    printed = [
        b for b in ordered_baselines(published()["baseline"].to_list()) if any((b, *c) in paper for c in columns)
    ]
    if printed:
        rows += [ShownRow(heading="The paper, on its own images and splits: not to be compared row by row")]
        rows += [ShownRow(title(b), tuple(_cell(paper, b, c, {}, set()) for c in columns), "paper") for b in printed]
    second_line = (HeadCell("Row"), *(HeadCell(SHORT_METRICS[metric]) for _, _, metric in columns))
    if costs is not None:
        first_line = (*first_line, HeadCell("Cost", len(BRIEF_COST)))
        second_line = (*second_line, *(HeadCell(text) for _, text in BRIEF_COST))
    return ShownTable(name, caption, (first_line, second_line), tuple(rows))


def _cell(
    cells: dict[tuple[str, str, str, str], Cell],
    baseline: str,
    column: tuple[str, str, str],
    best: dict[tuple[str, str, str], str | None],
    tied: set[tuple[str, str, str, str]],
) -> ShownCell:
    cell = cells.get((baseline, *column), Cell(None))
    metric = column[2]
    interval = ""
    if cell.low is not None and cell.high is not None:
        interval = f"{show(metric, cell.low)}–{show(metric, cell.high)}"
    top = best.get(column)
    is_best = top is not None and cell.value is not None and cell.value == cells[top, *column].value
    return ShownCell(show(metric, cell.value), interval, is_best, (baseline, *column) in tied and not is_best)


def _best(cells: dict[Any, Cell], baselines: Sequence[str], column: tuple[str, str, str]) -> str | None:
    """The row with the best figure; the first of equals."""
    values = [(cells[b, *column].value, b) for b in baselines if (b, *column) in cells]
    known = [(value, b) for value, b in values if value is not None]
    if not known:
        return None
    sign = -1 if column[2] != "avg_rank_position" else 1
    return min(known, key=lambda pair: sign * pair[0])[1]


def _tied(
    comparisons: pl.DataFrame, best: dict[tuple[str, str, str], str | None], level: float = 0.05
) -> set[tuple[str, str, str, str]]:
    """Rows that the paired test does not tell from the best of their column."""
    found = set()
    for r in comparisons.iter_rows(named=True):
        column = (r["split"], r["facet"], r["metric"])
        top = best.get(column)
        if top in (r["first"], r["second"]) and r["p_holm"] is not None and r["p_holm"] >= level:
            other = r["second"] if r["first"] == top else r["first"]
            found.add((other, *column))
    return found


CLOSER = (
    ("leaf_r_precision", "Narrowest tags"),
    ("hierarchical_f", "Hierarchical F"),
    ("head_recall", "Frequent"),
    ("medium_recall", "Middle"),
    ("tail_recall", "Rare"),
    ("calibration_error", "Calibration error"),
    ("coherence_violations", "Incoherent"),
)


def closer_table(results: pl.DataFrame, split: str = "inner_test") -> ShownTable:
    """What the paper's metrics hide, as means over facets."""
    cells = lookup(results)
    rows = [
        ShownRow(title(b), tuple(_cell(cells, b, (split, "mean", metric), {}, set()) for metric, _ in CLOSER))
        for b in ordered_baselines(results["baseline"].to_list())
    ]
    head = (HeadCell("Row"), *(HeadCell(text) for _, text in CLOSER))
    return ShownTable("closer", "A closer look, inner test, mean over facets", (head,), tuple(rows))


COST = (
    ("parameters_m", "Parameters (million)"),
    ("gflop_per_image", "GFLOP an image"),
    ("ms_per_image", "ms an image"),
    ("training_s", "Training (s)"),
    ("images_per_s", "Images/s in training"),
    ("best_epoch", "Best epoch"),
)


BRIEF_COST = (("parameters_m", "Par. (M)"), ("training_s", "Train (s)"), ("ms_per_image", "ms/image"))


def _figures_of(cost: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> list[str]:
    figures = [cost.get(name) for name, _ in columns]
    return ["–" if f is None else f"{f:,.0f}" if abs(f) >= 100 else f"{f:.3g}" for f in figures]


def cost_table(costs: Mapping[str, Mapping[str, Any]]) -> ShownTable:
    """What every row costs, as its model.json says."""
    rows = []
    for baseline in ordered_baselines(list(costs)):
        shown = [*_figures_of(costs[baseline], COST), str(costs[baseline].get("weights") or "–")]
        rows.append(ShownRow(title(baseline), tuple(ShownCell(text) for text in shown)))
    head = (HeadCell("Row"), *(HeadCell(text) for _, text in COST), HeadCell("Weights"))
    return ShownTable("cost", "What each row costs", (head,), tuple(rows))


def as_markdown(tables: Iterable[ShownTable]) -> str:
    """The tables for a README; the best of this run in bold, ties marked ≈."""
    parts = []
    for table in tables:
        spans = [cell for cell in table.head[0] if cell.span > 1]
        names = [cell.text for cell in table.head[-1]]
        if spans:
            groups = [span.text for span in spans for _ in range(span.span)]
            names = [names[0], *(f"{group}: {name}" for group, name in zip(groups, names[1:], strict=True))]
        lines = [f"### {table.caption}", "", f"| {' | '.join(names)} |", "|---" + "|--:" * (len(names) - 1) + "|"]
        for row in table.rows:
            cells = [f"**{c.text}**" if c.best else f"{c.text} ≈" if c.tied else c.text for c in row.cells]
            name = f"*{row.heading}*" if row.heading else row.name
            lines.append(f"| {' | '.join([name, *cells])}{' |' * (len(names) - 1 - len(cells))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def as_latex(tables: Iterable[ShownTable]) -> str:
    """The tables for a paper (booktabs); the best of this run in bold."""
    parts = []
    for table in tables:
        lines = [
            r"\begin{table}",
            rf"\caption{{{_tex(table.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (table.width - 1)}}}",
        ]
        lines.append(r"\toprule")
        for line in table.head:
            cells = [
                rf"\multicolumn{{{cell.span}}}{{c}}{{{_tex(cell.text)}}}" if cell.span > 1 else _tex(cell.text)
                for cell in line
            ]
            lines.append(" & ".join(cells) + r" \\")
        for row in table.rows:
            if row.heading:
                lines.append(rf"\midrule \multicolumn{{{table.width}}}{{l}}{{\emph{{{_tex(row.heading)}}}}} \\")
                continue
            cells = [rf"\textbf{{{_tex(c.text)}}}" if c.best else _tex(c.text) for c in row.cells]
            lines.append(" & ".join([_tex(row.name), *cells]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _tex(text: str) -> str:
    for plain, escaped in (
        ("\\", r"\textbackslash "),
        ("&", r"\&"),
        ("%", r"\%"),
        ("_", r"\_"),
        ("#", r"\#"),
        ("–", "--"),
    ):
        text = text.replace(plain, escaped)
    return text
