"""The page of the suites: what every row reaches where a provider is left out, labels are few, or tags are new."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ml.report.results import FACET_TITLES, show
from ml.report.tables import HeadCell, ShownCell, ShownRow, ShownTable
from ml.report.templates import render
from ml.suites.rows import ROWS
from ml.suites.summary import Estimate, estimates, means_by_split, telling, within_providers
from pipeline.files import write_text
from pipeline.settings import EvaluationSettings, SuiteSettings

TITLES = {
    "multilabel": "Multi-label head",
    "softmax": "Softmax head",
    "softmax_wce": "Softmax head (WCE)",
    "hsoftmax_nodes": "H-Softmax head (nodes)",
    "hsoftmax_levels": "H-Softmax head (levels)",
    "ridge": "Ridge probe",
    "nearest": "Ten nearest images",
    "text": "By the tags' words",
    "hierarchy": "By the tags' places",
    "label_prior": "Label prior",
    "provider": "Museum's name alone",
    "constant": "Tags by frequency in the test",
    "ceiling": "Probe inside the test",
    "ensemble_ml_s": "Ensemble of two heads",
    "ensemble_ml_s_text": "Ensemble of two heads and words",
    "one": "One network's parts",
    "one_pieces": "One network's parts, pieces of words",
}
NOT_RANKED = "not ranked"


def write_suites_page(
    results: pl.DataFrame, settings: SuiteSettings, evaluation: EvaluationSettings, folder: Path
) -> list[ShownTable]:
    """Write suites.html and suites.md; returns the tables that they show.

    The bounds of `evaluation` say which splits can tell, and how few have no interval.
    """
    tables = suite_tables(results, settings, evaluation)
    headroom = show("r_precision", evaluation.least_headroom)
    page = render("suites.html", tables=tables, headroom=headroom, least_splits=evaluation.least_providers)
    write_text(page, folder / "suites.html")
    write_text(render("tables.md", tables=tables), folder / "suites.md")
    return tables


def suite_tables(results: pl.DataFrame, settings: SuiteSettings, evaluation: EvaluationSettings) -> list[ShownTable]:
    """One table per suite that has figures, and one of the providers that can tell."""
    means, figures = means_by_split(results, evaluation), telling(results, evaluation)
    tables = []
    for name, suite in settings.suites.items():
        if results.filter(suite=name).is_empty():
            continue
        if suite.measure == "within_provider":
            tables.append(_within(results, name))
        elif suite.splits == "leave_one_provider_out":
            tables += [_told(figures.filter(suite=name), name), _means(means, name, evaluation)]
        elif suite.splits == "few_labels":
            tables.append(_by_split(means, name, [f"{most} images a tag" for most in suite.images_a_tag]))
        else:
            tables.append(_means(means, name, evaluation))
    return tables


CAPTIONS = {
    "leave_one_provider_out": "A museum left out in turn: R-Precision over the museums and facets that tell",
    "inner_folds": "Folds of whole groups, every museum in training: R-Precision over the facets that tell",
    "few_labels": "Tags with few labels: R-Precision among these tags, the same test images in every column",
    "new_tags": "Tags kept out of training, ranked among each other by their words or by what lies above them; "
    "a row that can rank only tags with training images is not ranked",
    "within_provider": "Within a museum that is in training: what the same ranking for all images cannot win",
    "within_new_provider": "Within a museum that was left out: what neither a prior nor the museum's name can win",
}


def _caption(suite: str) -> str:
    return CAPTIONS.get(suite, suite.replace("_", " "))


def _shown(value: float | None) -> ShownCell:
    return ShownCell(show("r_precision", value))


def _means(means: pl.DataFrame, suite: str, settings: EvaluationSettings) -> ShownTable:
    """Mean, worst and number of the splits that tell."""
    head = (HeadCell("Row"), HeadCell("Mean"), HeadCell("Worst"), HeadCell("Worst at"), HeadCell("Splits"))
    return ShownTable(suite, _caption(suite), (head,), tuple(_lines(estimates(means, suite, settings))))


def _lines(found: dict[str, Estimate | None]) -> Iterator[ShownRow]:
    for row in (row for row in ROWS if row in found):
        estimate, kind = found[row], "ref" if ROWS[row].reference else "run"
        if estimate is None:
            yield ShownRow(TITLES[row], (ShownCell(NOT_RANKED), *(ShownCell("–") for _ in range(3))), kind)
            continue
        interval = "" if estimate.low is None else " to ".join(show("r_precision", v) for v in estimate[1:3])
        mean = ShownCell(show("r_precision", estimate.mean), interval)
        cells = (mean, _shown(estimate.worst), ShownCell(estimate.worst_split), ShownCell(f"{estimate.splits}"))
        yield ShownRow(TITLES[row], cells, kind)


def _by_split(means: pl.DataFrame, suite: str, splits: list[str]) -> ShownTable:
    """A column per split, in this order."""
    part = means.filter(suite=suite)
    known = [split for split in splits if split in set(part["split"])]
    values = {(row, split): value for split, row, value in part.select("split", "baseline", "value").iter_rows()}
    lines = []
    for row in (row for row in ROWS if row in set(part["baseline"])):
        cells = (values.get((row, split)) for split in known)
        shown = tuple(ShownCell(NOT_RANKED) if value is None else _shown(value) for value in cells)
        lines.append(ShownRow(TITLES[row], shown, "ref" if ROWS[row].reference else "run"))
    return ShownTable(suite, _caption(suite), ((HeadCell("Row"), *map(HeadCell, known)),), tuple(lines))


def _told(figures: pl.DataFrame, suite: str) -> ShownTable:
    """Which museums can tell when they are left out, by facet."""
    columns = ("Facet", "Tells", "Images", "Support", "Prior", "Ridge probe", "Test's frequencies", "Ceiling")
    lines = []
    for line in figures.to_dicts():
        numbers = (line[name] for name in ("support", "prior", "probe", "constant", "ceiling"))
        word = ShownCell("tells" if line["tells"] else "cannot tell")
        cells = (ShownCell(FACET_TITLES[line["facet"]]), word, ShownCell(f"{line['n']:,}"), *map(_shown, numbers))
        lines.append(ShownRow(line["split"], cells))
    head = (HeadCell("Left out"), *map(HeadCell, columns))
    return ShownTable(f"{suite}_tells", "Which museums can tell when they are left out", (head,), tuple(lines))


def _within(results: pl.DataFrame, suite: str) -> ShownTable:
    found = within_providers(results, suite)
    lines = []
    for row in (row for row in ROWS if row in found):
        of = found[row]
        cells = (*map(_shown, (of.auroc, of.average_precision, of.prevalence)), ShownCell(f"{of.pairs:,}"))
        lines.append(ShownRow(TITLES[row], cells, "ref" if ROWS[row].reference else "run"))
    head = tuple(map(HeadCell, ("Row", "AUROC", "Average precision", "of a constant ranking", "Museums × tags")))
    return ShownTable(suite, _caption(suite), (head,), tuple(lines))
