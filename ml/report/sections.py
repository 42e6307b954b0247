"""What the report's page says, section by section: sentences, facts, charts and examples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from ml.dataset.ground_truth import Dataset
from ml.evaluation.reference import PRIOR
from ml.evaluation.score_run import Benchmark
from ml.report import charts as draw
from ml.report.charts import Figure, figure
from ml.report.dataset_section import dataset_figures, sample_view, show_samples, vocabulary_trees
from ml.report.examples import PLAUSIBLE, Example, examples
from ml.report.findings import Finding, describe
from ml.report.results import (
    FACET_TITLES,
    SPLIT_TITLES,
    against_prior,
    lookup,
    ordered_baselines,
    read_costs,
    show,
    title,
    weights_of_all,
)
from ml.report.tables import ShownTable, closer_table, cost_table
from pipeline import FACETS, TEST_SPLITS
from pipeline.curation.corrections import decisions_as_corrections
from pipeline.release.folder import labels_by_language, preferred_label
from pipeline.settings import EvaluationSettings
from pipeline.tables import (
    CATALOGUER_DECISIONS,
    SPLIT_TABLE,
    TAGS,
)


def best_row(results: pl.DataFrame, split: str) -> str | None:
    """The row with the best mean R-Precision on a test; None where no row has a mean."""
    cells = lookup(results)
    rows = [
        (cell.value, row)
        for row in ordered_baselines(results["baseline"].to_list())
        if (cell := cells.get((row, split, "mean", "r_precision"))) and cell.value is not None
    ]
    return max(rows, key=lambda pair: pair[0])[1] if rows else None


def build_page(
    storage: Path,
    dataset: Dataset,
    benchmark: Benchmark,
    tables: Sequence[ShownTable],
    found: Sequence[Finding],
    settings: EvaluationSettings,
) -> dict[str, Any]:
    """Everything the template shows."""
    results, breakdowns = benchmark.results, benchmark.breakdowns
    rows = ordered_baselines(results["baseline"].to_list())
    best = best_row(results, "inner_test") or rows[0]
    costs = read_costs(storage, rows)
    shown = show_examples(storage, dataset, best, settings)
    return {
        "title": "EUFCC: how well do models tag museum objects?",
        "subtitle": f"Run {dataset.run}. Weights: {weights_of_all(storage, rows)}.",
        "sections": SECTIONS,
        "notices": notices(storage, rows, results),
        "facts": facts(storage, dataset),
        "summary": [*summary(results), *ahead_of_prior(benchmark.comparisons)],
        "tables": tables,
        "unseen": unseen(results),
        "findings": [
            {
                "claim": f.claim,
                "verdict": f.verdict,
                "because": f.because,
                "differences": [describe(d) for d in f.differences],
            }
            for f in found
        ],
        "closer": closer_table(results),
        "cost": cost_table(costs) if costs else None,
        "figures": row_figures(storage, dataset, results, breakdowns, rows, best),
        "dataset": dataset_figures(storage),
        "vocabulary": vocabulary_trees(storage),
        "samples": [sample_view(sample) for sample in show_samples(storage)],
        "examples": [example_view(example) for example in shown],
        "examples_row": title(best),
        "any_plausible": any(s.judgement == PLAUSIBLE for e in shown for t in e.suggestions.values() for s in t),
        "about": about(dataset, settings),
        "footer": FOOTER,
    }


SECTIONS = (
    ("summary", "In short"),
    ("results", "Results"),
    ("findings", "Claims"),
    ("closer", "A closer look"),
    ("dataset", "Dataset"),
    ("training", "Training"),
    ("examples", "Examples"),
    ("about", "About"),
)
FOOTER = (
    "Rows marked as the paper's are from Net, Folia, Casals, Bagdanov and Gómez, EUFCC-340K: A Faceted Hierarchical "
    "Dataset for Metadata Annotation in GLAM Collections (arXiv 2406.02380; Multimedia Tools and Applications 2025)."
)


def notices(storage: Path, rows: Sequence[str], results: pl.DataFrame) -> list[str]:
    """What a reader must know before reading a figure."""
    found = []
    weights = weights_of_all(storage, rows)
    if "random" in weights:
        found.append(
            "At least one model here started from random weights: its figures show that everything runs, not what "
            "such models can do."
        )
    lacking = [
        FACET_TITLES[facet].lower()
        for facet in FACETS
        if results.filter(facet=facet, metric="r_precision", split="inner_test", policy="ignore_unseen")["n"].sum() == 0
    ]
    if lacking:
        found.append(f"No image of the inner test is annotated in {', '.join(lacking)}; means leave that out.")
    return found


def facts(storage: Path, dataset: Dataset) -> list[tuple[str, str]]:
    """Numbers for the top of the page."""
    splits = SPLIT_TABLE.read(storage / "splits.parquet") if (storage / "splits.parquet").exists() else None
    found = []
    if splits is not None:
        counts = dict(splits.group_by("split").len().iter_rows())
        names = {"train": "Training", "validation": "Validation", "left_out": "Left out"} | SPLIT_TITLES
        found = [(f"{names[s]} images", f"{counts[s]:,}") for s in (*names,) if s in counts]
    return [*found, ("Tags", f"{sum(len(tags) for tags in dataset.tag_lists.values()):,}")]


def summary(results: pl.DataFrame) -> list[str]:
    """The outcome in a few sentences."""
    cells = lookup(results)
    sentences = []
    for split in TEST_SPLITS:
        row = best_row(results, split)
        if row is None:
            continue
        best, prior = cells[row, split, "mean", "r_precision"], cells[PRIOR, split, "mean", "r_precision"]
        where = {
            "inner_test": "On the inner test, with museums that were also in training",
            "outer_test": "On the outer test, with museums never seen in training",
        }[split]
        sentences.append(
            f"{where}, {title(row)} does best: R-Precision {show('r_precision', best.value)} "
            f"(95 % interval {show('r_precision', best.low)} to {show('r_precision', best.high)}). "
            f"Ranking the tags by how frequent they are, without looking, reaches {show('r_precision', prior.value)}."
        )
    return sentences


def ahead_of_prior(comparisons: pl.DataFrame) -> list[str]:
    """How many rows are surely better than the label prior, on each test."""
    found = against_prior(comparisons)
    parts = []
    for split in TEST_SPLITS:
        verdicts = [each.verdict for (_, where), each in found.items() if where == split]
        if verdicts:
            parts.append(f"{verdicts.count('better')} of {len(verdicts)} rows on the {SPLIT_TITLES[split].lower()}")
    return [f"Surely better than that ranking by frequency are {' and '.join(parts)}."] if parts else []


def unseen(results: pl.DataFrame) -> str:
    """How much the policy on unseen tags matters here."""
    parts = []
    for split in TEST_SPLITS:
        rows = results.filter(split=split, facet="mean", metric="r_precision", policy="ignore_unseen", baseline=PRIOR)
        if not rows.is_empty() and rows["ignored_share"][0] is not None:
            parts.append(f"{100 * rows['ignored_share'][0]:.1f} % on the {SPLIT_TITLES[split].lower()}")
    shares = " and ".join(parts) or "none"
    return (
        f"Tags without training images are ignored, as in the paper: {shares} of the right tags. The file "
        "results.parquet also has every figure with them counted as missed (policy count_unseen)."
    )


def about(dataset: Dataset, settings: EvaluationSettings) -> list[str]:
    """How the figures were made."""
    return [
        "A tag is a term of the Art & Architecture Thesaurus, and a record's tags include the broader terms above "
        "them. A facet counts only the images that are annotated in it; the mean over facets is unweighted.",
        "Equal scores count as their expected value over all orders of the tied tags, so that no figure depends on the "
        "order of a list.",
        f"Intervals come from {settings.resamples:,} resamples of whole groups of near-duplicate images. Rows are "
        "compared on the same resamples; p-values come from flipping the signs of whole groups and are corrected by "
        "Holm's method.",
        f"Split {dataset.split_hash}; tag list {dataset.tag_list_hash}. Figures compare only where both are the same.",
    ]


def row_figures(
    storage: Path, dataset: Dataset, results: pl.DataFrame, breakdowns: pl.DataFrame, rows: list[str], best: str
) -> dict[str, Figure | None]:
    """The charts about rows of the benchmark."""
    deepest = max(FACETS, key=lambda facet: len(dataset.tag_lists[facet]))
    listed = dataset.tag_lists[deepest]
    tags = {t: (label, n) for t, label, n in zip(listed.tag_ids, listed.labels, listed.n_train, strict=True)}
    facet = FACET_TITLES[deepest].lower()
    return {
        "rows": figure(
            "rows",
            "Every row on both tests",
            "Mean R-Precision over the facets; bars are 95 % intervals.",
            draw.rows_chart(results),
        ),
        "depth": figure(
            "depth",
            f"From general to specific terms: {facet}",
            "R-Precision among the tags of each depth alone, inner test.",
            draw.depth_chart(breakdowns, deepest),
        ),
        "tags": figure(
            "tags",
            f"How often each tag is found: {facet}",
            f"Each point is a tag; {title(best)}, inner test.",
            draw.tag_chart(breakdowns, tags, best, deepest),
        ),
        "providers": figure(
            "providers",
            f"Museums differ: {facet}",
            f"R-Precision of {title(best)} for the museums with most test images.",
            draw.provider_chart(breakdowns, best, deepest),
        ),
        "curves": figure(
            "curves",
            "Learning curves",
            "R-Precision on the validation images after each epoch, mean over the facets of the row.",
            draw.learning_curves(storage, rows),
        ),
    }


def show_examples(storage: Path, dataset: Dataset, row: str, settings: EvaluationSettings) -> list[Example]:
    """Example images of the best row, with what cataloguers accepted where the assistant was used."""
    labels = {
        t: label for tags in dataset.tag_lists.values() for t, label in zip(tags.tag_ids, tags.labels, strict=True)
    }
    if (storage / "tags.parquet").exists():
        known = TAGS.read(storage / "tags.parquet").select("tag_id", "labels")
        labels |= {tag: preferred_label(labels_by_language(texts), tag) for tag, texts in known.iter_rows()}
    accepted: frozenset[tuple[str, str]] = frozenset()
    file = storage / "cataloguer_decisions.parquet"
    if file.exists():
        decided = decisions_as_corrections(CATALOGUER_DECISIONS.read(file)).filter(action="add")
        accepted = frozenset(decided.select("record_id", "tag_id").iter_rows())
    return examples(dataset, storage / "predictions" / row, settings.example_images, labels, accepted)


def example_view(example: Example) -> dict[str, Any]:
    """An example as the template reads it; facets without tags in the list are left out."""
    facets = [
        {
            "title": FACET_TITLES[facet],
            "suggestions": example.suggestions[facet],
            "stated": example.stated[facet],
        }
        for facet in FACETS
        if example.suggestions[facet] or example.stated[facet]
    ]
    return {
        "image": Markup(example.image),  # noqa: S704
        "record_id": example.record_id,
        "data_provider": example.data_provider,
        "split": SPLIT_TITLES[example.split].lower(),
        "facets": facets,
    }
