"""What the report's page shows, section by section; its sentences are in page/report.html."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ml.dataset.ground_truth import Dataset
from ml.evaluation.best_row import best_row
from ml.evaluation.reference import PRIOR
from ml.evaluation.score_run import Benchmark
from ml.report import charts
from ml.report.charts import Chart, page_chart
from ml.report.dataset_section import dataset_charts, vocabulary_trees
from ml.report.examples import PLAUSIBLE, Example, examples
from ml.report.findings import Finding
from ml.report.losses import losses_section
from ml.report.results import (
    SPLIT_TITLES,
    Cell,
    against_prior,
    costs_of,
    facets_in,
    lookup,
    ordered_baselines,
    read_models,
    title,
    weights_of,
)
from ml.report.samples import sample_records, tag_labels
from ml.report.tables import ShownTable, closer_table, cost_table
from pipeline import TEST_SPLITS
from pipeline.curation.corrections import decisions_as_corrections
from pipeline.facets import FACET_OF
from pipeline.settings import EvaluationSettings
from pipeline.tables import CATALOGUER_DECISIONS, IGNORE_UNSEEN, SPLIT_TABLE, TAGS


def build_page(
    storage: Path,
    dataset: Dataset,
    benchmark: Benchmark,
    tables: Sequence[ShownTable],
    findings: Sequence[Finding],
    settings: EvaluationSettings,
) -> dict[str, Any]:
    """Everything the template shows."""
    results = benchmark.results
    rows = ordered_baselines(results["baseline"].to_list())
    best = best_row(results, "inner_test") or rows[0]
    largest = max(dataset.facets, key=lambda facet: len(dataset.facets[facet]))
    models = read_models(storage, rows)
    shown = show_examples(storage, dataset, best, settings)
    return {
        "dataset": dataset,
        "settings": settings,
        "weights": weights_of(models),
        "unannotated": unannotated(results),
        "images": images_by_split(storage),
        "n_tags": sum(len(tags) for tags in dataset.facets.values()),
        "best_rows": best_rows(results),
        "better": better_than_prior(benchmark.comparisons),
        "tables": tables,
        "ignored": ignored_shares(results),
        "findings": findings,
        "closer": closer_table(results),
        "losses": losses_section(benchmark.breakdowns),
        "cost": cost_table(costs_of(models)) if models else None,
        "best": title(best),
        "largest": FACET_OF[largest].plural,
        "charts": row_charts(storage, dataset, benchmark, rows, best, largest),
        "dataset_charts": dataset_charts(storage, list(dataset.facets)),
        "vocabulary": vocabulary_trees(storage, list(dataset.facets)),
        "samples": sample_records(storage, dataset),
        "examples": shown,
        "any_plausible": any(s.judgement == PLAUSIBLE for e in shown for t in e.suggestions.values() for s in t),
    }


def unannotated(results: pl.DataFrame) -> list[str]:
    """The facets in which no image of the inner test is annotated."""
    inner = results.filter(metric="r_precision", split="inner_test", policy=IGNORE_UNSEEN)
    return [FACET_OF[facet].plural for facet in facets_in(results) if inner.filter(facet=facet)["n"].sum() == 0]


def images_by_split(storage: Path) -> dict[str, int]:
    """The number of images of every split, by its title."""
    if not (storage / "splits.parquet").exists():
        return {}
    counts = dict(SPLIT_TABLE.read(storage / "splits.parquet").group_by("split").len().iter_rows())
    names = {"train": "Training", "validation": "Validation", "left_out": "Left out"} | SPLIT_TITLES
    return {name: counts[split] for split, name in names.items() if split in counts}


class BestRow(NamedTuple):
    """The best row of a test, beside the label prior."""

    split: str
    name: str
    cell: Cell
    prior: Cell


def best_rows(results: pl.DataFrame) -> list[BestRow]:
    """The best row of each test by mean R-Precision; none for a test where no row has a mean."""
    cells = lookup(results)
    best = [(split, row) for split in TEST_SPLITS if (row := best_row(results, split))]
    return [
        BestRow(split, title(row), *(cells[key, split, "mean", "r_precision"] for key in (row, PRIOR)))
        for split, row in best
    ]


def better_than_prior(comparisons: pl.DataFrame) -> list[tuple[int, int, str]]:
    """For each test, how many rows are surely better than the label prior, and of how many."""
    differences = against_prior(comparisons)
    counts = []
    for split in TEST_SPLITS:
        verdicts = [difference.verdict for (_, where), difference in differences.items() if where == split]
        if verdicts:
            counts.append((verdicts.count("better"), len(verdicts), split))
    return counts


def ignored_shares(results: pl.DataFrame) -> list[tuple[float, str]]:
    """The share of the right tags on each test that have no training images."""
    rows = results.filter(facet="mean", metric="r_precision", policy=IGNORE_UNSEEN, baseline=PRIOR)
    shares = {split: rows.filter(split=split)["ignored_share"].to_list() for split in TEST_SPLITS}
    return [(share[0], split) for split, share in shares.items() if share and share[0] is not None]


def row_charts(
    storage: Path, dataset: Dataset, benchmark: Benchmark, rows: list[str], best: str, facet: str
) -> dict[str, Chart | None]:
    """The charts about rows of the benchmark; some about the best row, some about one facet alone."""
    breakdowns = benchmark.breakdowns
    figures = {
        "rows": charts.rows_chart(benchmark.results),
        "depth": charts.depth_chart(breakdowns, facet),
        "tags": charts.tag_chart(breakdowns, dataset.facets[facet], best),
        "providers": charts.provider_chart(breakdowns, best, facet),
        "curves": charts.learning_curves(storage, rows),
    }
    return {name: page_chart(name, figure) for name, figure in figures.items()}


def show_examples(storage: Path, dataset: Dataset, row: str, settings: EvaluationSettings) -> list[Example]:
    """Example images with the suggestions of a row; those that a cataloguer accepted in the assistant are marked."""
    labels = {t: label for tags in dataset.facets.values() for t, label in zip(tags.tag_ids, tags.labels, strict=True)}
    if (storage / "tags.parquet").exists():
        labels |= tag_labels(TAGS.read(storage / "tags.parquet"))
    accepted: frozenset[tuple[str, str]] = frozenset()
    file = storage / "cataloguer_decisions.parquet"
    if file.exists():
        decided = decisions_as_corrections(CATALOGUER_DECISIONS.read(file)).filter(action="add")
        accepted = frozenset(decided.select("record_id", "tag_id").iter_rows())
    return examples(dataset, storage / "predictions" / row, settings.example_images, labels, accepted)
