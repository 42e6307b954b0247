"""What the report's page shows, section by section; its sentences are in page/report.html."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ml.baselines import PRIOR
from ml.dataset.ground_truth import Dataset
from ml.evaluation.best_row import best_row
from ml.evaluation.exchanged import EXCHANGED
from ml.evaluation.score_run import Benchmark
from ml.evaluation.verdicts import Standing, standings
from ml.report import charts
from ml.report.as_published import AsPublished
from ml.report.charts import Chart, page_chart
from ml.report.dataset_section import dataset_charts, vocabulary_trees
from ml.report.examples import PLAUSIBLE, Example, examples
from ml.report.findings import Finding
from ml.report.losses import losses_section
from ml.report.results import (
    SPLIT_TITLES,
    Cell,
    costs_of,
    facets_in,
    lookup,
    ordered_baselines,
    read_models,
    title,
    weights_of,
)
from ml.report.samples import sample_records, tag_labels
from ml.report.tables import ShownTable, closer_table, cost_table, informative_table
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
    published: AsPublished | None = None,
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
        "answers": answers(benchmark),
        "informative": informative_table(benchmark.informativeness),
        "tables": tables,
        "published": published,
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


class Bar(NamedTuple):
    """A figure of R-Precision, for the bars of the first screen."""

    label: str
    value: float
    kind: str  # blind: needs no picture; row: the best row; bound: what pictures can give


class Answer(NamedTuple):
    """What one test says to the question whether a model sees or knows the museum, for the best row of the test."""

    split: str
    word: str
    lacking: list[tuple[str, str]]  # by facet, what is missing
    better: int  # rows with a ✓
    rows: int
    best: Standing | None
    cell: Cell | None  # of the best row
    bars: list[Bar]


def answers(benchmark: Benchmark) -> list[Answer]:
    """For each test what it can tell, how many rows have a ✓, and what the best one owes to its pictures."""
    found, cells = standings(benchmark.comparisons), lookup(benchmark.results)
    given = []
    for split in TEST_SPLITS:
        told = benchmark.informativeness.filter(split=split)
        of_mean = told.filter(facet="mean").to_dicts()
        if not of_mean:
            continue
        of_split = [standing for (_, where), standing in found.items() if where == split]
        better = sum(standing.verdict == "better" for standing in of_split)
        row = best_row(benchmark.results, split) or ""
        cell, best = cells.get((row, split, "mean", "r_precision")), found.get((row, split))
        bars = _bars(of_mean[0], title(row), cell, best)
        missing = told.filter(pl.col("missing") != "", pl.col("facet") != "mean").select("facet", "missing").iter_rows()
        lacking = sorted(missing, key=lambda pair: list(FACET_OF).index(pair[0]))
        given.append(Answer(split, of_mean[0]["tells"], lacking, better, len(of_split), best, cell, bars))
    return given


def _bars(told: dict[str, Any], name: str, cell: Cell | None, best: Standing | None) -> list[Bar]:
    """The bars of one test, from what needs no picture to what pictures can give."""
    bars = [
        Bar("Tags by frequency in training", told["prior"], "blind"),
        Bar("Museum's name alone", told["provider_alone"], "blind"),
        Bar("Best ranking without pictures, chosen on this test", told["constant"], "blind"),
    ]
    if cell is not None and cell.value is not None and best is not None:
        without = cell.value - best.differences[EXCHANGED].difference
        bars += [Bar(f"{name}, shown other pictures", without, "blind"), Bar(name, cell.value, "row")]
    bars.append(Bar("Linear probe on frozen features, trained as the rows are", told["probe"], "bound"))
    bars.append(Bar("Linear probe trained inside this test", told["ceiling"], "bound"))
    return [bar for bar in bars if bar.value is not None]


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
