"""The report of a run: tables as Parquet, Markdown and LaTeX, and one page that needs nothing else."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import plotly.offline
from markupsafe import Markup

from ml.dataset.open import load_dataset
from ml.evaluation.best_row import best_row
from ml.evaluation.score_run import Benchmark, evaluate_benchmark
from ml.report.as_published import as_published
from ml.report.findings import Verdict, describe, findings
from ml.report.results import (
    SPLIT_TITLES,
    console_table,
    costs_of,
    ordered_baselines,
    points,
    read_models,
    rows_by_chance,
    show,
    title,
)
from ml.report.robustness import robustness_section
from ml.report.sections import build_page
from ml.report.tables import closer_table, cost_table, informative_table, paper_tables, prior_table
from ml.report.templates import render
from pipeline import TEST_SPLITS
from pipeline.facets import FACET_OF
from pipeline.files import write_text
from pipeline.settings import EvaluationSettings
from pipeline.tables import BREAKDOWNS, COMPARISONS, INFORMATIVENESS, RESULTS

__all__ = ["ReportSummary", "console_table", "write_report"]


@dataclass(frozen=True)
class ReportSummary:
    """A report in short, and where its page is."""

    page: Path
    n_rows: int
    best_inner: str | None
    best_outer: str | None
    verdicts: dict[str, int]  # holds, fails, undecided, not tested


def write_report(
    storage: Path, out: Path, settings: EvaluationSettings | None = None, benchmark: Benchmark | None = None
) -> ReportSummary:
    """Write four tables (Parquet, those of Benchmark), tables.md, tables.tex, findings.json and report.html.

    `storage` holds dataset/, predictions/ and models/ and the tables of the pipeline; charts of missing tables are left
    out. A run on the published files also has Tables 1 to 3 in the paper's layout, and the leaks of its splits. Without
    `benchmark` the predictions are scored first. Raises EvaluationError.
    """
    settings = settings or EvaluationSettings()
    benchmark = benchmark or evaluate_benchmark(storage, settings)
    results, comparisons = benchmark.results, benchmark.comparisons
    rows = ordered_baselines(results["baseline"].to_list())
    models = read_models(storage, rows)
    costs, chance = costs_of(models), rows_by_chance(models)
    tested = findings(comparisons, results, settings, costs)
    told = informative_table(benchmark.informativeness)
    tables = [prior_table(comparisons, chance), *paper_tables(results, comparisons, costs, chance)]
    published = as_published(storage, chance)
    robust = robustness_section(storage, rows, settings)
    dataset = load_dataset(storage / "dataset")
    page = build_page(storage, dataset, benchmark, tables, tested, settings, published) | {"robustness": robust}
    of_files = published.all_tables if published else []
    all_tables = [*of_files, told, *tables, closer_table(results), cost_table(costs)]
    all_tables += [robust.table] if robust.table else []
    texts = {
        "tables.md": render("tables.md", tables=all_tables),
        "tables.tex": render("tables.tex", tables=all_tables),
        "findings.json": json.dumps([asdict(finding) for finding in tested], indent=1, ensure_ascii=False) + "\n",
        "report.html": render_page(page),
    }
    RESULTS.write(results, out / "results.parquet")
    BREAKDOWNS.write(benchmark.breakdowns, out / "breakdowns.parquet")
    COMPARISONS.write(comparisons, out / "comparisons.parquet")
    INFORMATIVENESS.write(benchmark.informativeness, out / "informativeness.parquet")
    for name, text in texts.items():
        write_text(text, out / name)
    return ReportSummary(
        page=out / "report.html",
        n_rows=len(rows),
        best_inner=best_row(results, TEST_SPLITS[0]),
        best_outer=best_row(results, TEST_SPLITS[1]),
        verdicts={verdict: sum(finding.verdict == verdict for finding in tested) for verdict in get_args(Verdict)},
    )


def render_page(page: dict[str, object]) -> str:
    """The page with its style, its script and plotly.js inside, so that it opens anywhere, without a network."""
    plotly_js = Markup(plotly.offline.get_plotlyjs())  # noqa: S704
    words = {"facets": FACET_OF, "split_titles": SPLIT_TITLES}
    functions = {"show": show, "describe": describe, "points": points, "title": title}
    return render("report.html", page=page, plotly=plotly_js, **words, **functions)
