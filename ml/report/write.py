"""The report of a run: tables as Parquet, Markdown and LaTeX, and one page that needs nothing else."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from markupsafe import Markup

from ml.dataset.open import load_dataset
from ml.evaluation.score_run import Benchmark, evaluate_benchmark
from ml.report.findings import findings
from ml.report.results import console_table, ordered_baselines, read_costs
from ml.report.sections import best_row, build_page
from ml.report.tables import as_latex, as_markdown, closer_table, cost_table, paper_tables, prior_table
from pipeline import TEST_SPLITS
from pipeline.files import write_text
from pipeline.settings import EvaluationSettings
from pipeline.tables import BREAKDOWNS, COMPARISONS, RESULTS

__all__ = ["ReportSummary", "console_table", "write_report"]

PAGE = Path(__file__).with_name("page")


@dataclass(frozen=True)
class ReportSummary:
    """What a report says, in short, and the files it is in."""

    page: Path
    files: tuple[Path, ...]
    n_rows: int
    best_inner: str | None
    best_outer: str | None
    verdicts: dict[str, int]  # holds, fails, undecided, not tested


def write_report(
    storage: Path,
    out: Path,
    settings: EvaluationSettings | None = None,
    benchmark: Benchmark | None = None,
) -> ReportSummary:
    """Write results, breakdowns and comparisons (Parquet), tables.md, tables.tex, findings.json and report.html.

    `storage` holds dataset/, predictions/ and models/ and the tables of the pipeline; tables that are missing only
    leave out their charts. Without `benchmark` the predictions are scored first. Raises EvaluationError.
    """
    settings = settings or EvaluationSettings()
    benchmark = benchmark or evaluate_benchmark(storage, settings)
    results, breakdowns, comparisons = benchmark.results, benchmark.breakdowns, benchmark.comparisons
    dataset = load_dataset(storage / "dataset")
    costs = read_costs(storage, results["baseline"].unique().sort().to_list())
    found = findings(comparisons, results, settings, costs)
    tables = [prior_table(comparisons), *paper_tables(results, comparisons, costs)]
    page = build_page(storage, dataset, benchmark, tables, found, settings)
    RESULTS.write(results, out / "results.parquet")
    BREAKDOWNS.write(breakdowns, out / "breakdowns.parquet")
    COMPARISONS.write(comparisons, out / "comparisons.parquet")
    texts = {
        "tables.md": as_markdown([*tables, closer_table(results), cost_table(costs)]),
        "tables.tex": as_latex([*tables, closer_table(results), cost_table(costs)]),
        "findings.json": json.dumps([asdict(finding) for finding in found], indent=1, ensure_ascii=False) + "\n",
        "report.html": render(page),
    }
    for name, text in texts.items():
        write_text(text, out / name)
    files = tuple(out / name for name in ("results.parquet", "breakdowns.parquet", "comparisons.parquet", *texts))
    verdicts = {v: sum(f.verdict == v for f in found) for v in ("holds", "fails", "undecided", "not tested")}
    rows = ordered_baselines(results["baseline"].to_list())
    best = {split: best_row(results, split) for split in TEST_SPLITS}
    return ReportSummary(out / "report.html", files, len(rows), best["inner_test"], best["outer_test"], verdicts)


def render(page: dict[str, Any]) -> str:
    """The page with its style, its script and plotly.js inside, so that it opens anywhere, without a network."""
    files = {name: (PAGE / f"report.{name}").read_text(encoding="utf-8") for name in ("css", "js", "html")}
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    inside = {
        "css": Markup(files["css"]),  # noqa: S704
        "js": Markup(files["js"]),  # noqa: S704
        "plotly": Markup(plotly.offline.get_plotlyjs()),  # noqa: S704
    }
    return environment.from_string(files["html"]).render(page=page | inside)
