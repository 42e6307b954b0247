"""Runs the suites: every row on every split once, each finished cell kept, so that a killed run goes on from there."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ml.suites.collection import Collection
from ml.suites.measures import MEASURES
from ml.suites.rows import DEFAULT_ROWS, ROWS
from ml.suites.task import Task
from pipeline.files import write_json
from pipeline.settings import SuiteSettings
from pipeline.splits.suites import SuiteSplit, splits_of
from pipeline.tables import SUITE_RESULTS
from pipeline.waits import Progress


class SuiteError(ValueError):
    """Suites that cannot be run; the message says what to change in the settings."""


@dataclass(frozen=True)
class Cell:
    """One row on one split, with the suites and measures that ask for it."""

    row: str
    split: SuiteSplit
    asked_by: tuple[tuple[str, str, str], ...]  # suite, the split's name in it, measure


def run_suites(
    collection: Collection,
    settings: SuiteSettings,
    kept: Path,
    code: str = "",
    progress: Progress | None = None,
) -> pl.DataFrame:
    """SUITE_RESULTS of all suites of the settings.

    Finished cells lie in a folder of `kept` that is named after the collection, the settings and the version `code`;
    other folders there are of earlier runs, and are removed. `progress(done, of)` is called after every cell. Raises
    SuiteError for a row that does not exist.
    """
    run = run_id(collection, settings, code)
    folder = kept / run
    if kept.exists():
        for other in kept.iterdir():
            if other != folder:
                shutil.rmtree(other)
    cells = plan_cells(collection, settings)
    figures: list[dict[str, Any]] = []
    task: Task | None = None
    for done, cell in enumerate(cells, start=1):
        file = folder / f"{_name_of(cell)}.json"
        if not file.exists():
            if task is None or task.split is not cell.split:
                task = Task(collection, cell.split, settings.dimensions, settings.seed)
            write_json(list(_measure(task, cell, settings)), file)
        figures += json.loads(file.read_text(encoding="utf-8"))
        if progress is not None:
            progress(done, len(cells))
    rows = [{"run": run[:12], "provider": "", "tag_id": "", **figure} for figure in figures]
    return SUITE_RESULTS.frame(rows).sort(SUITE_RESULTS.key)


def run_id(collection: Collection, settings: SuiteSettings, code: str) -> str:
    """A hash of everything that decides the figures."""
    decides = [collection.digest, settings.model_dump(mode="json"), code]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def plan_cells(collection: Collection, settings: SuiteSettings) -> list[Cell]:
    """Every row on every different split; suites that make the same split share its cells."""
    unknown = [row for row in settings.rows if row not in ROWS]
    if unknown:
        raise SuiteError(f"There is no row `{unknown[0]}` in the suites; there are {', '.join(ROWS)}.")
    splits: dict[str, SuiteSplit] = {}
    asked: dict[str, list[tuple[str, str, str]]] = {}
    for name, suite in settings.suites.items():
        for split in splits_of(suite, collection.annotated, settings.seed):
            if len(split.train) and len(split.test):
                digest = _digest(split)
                splits.setdefault(digest, split)
                asked.setdefault(digest, []).append((name, split.name, suite.measure))
    rows = settings.rows or DEFAULT_ROWS
    return [Cell(row, split, tuple(asked[digest])) for digest, split in splits.items() for row in rows]


def _measure(task: Task, cell: Cell, settings: SuiteSettings) -> Iterator[dict[str, Any]]:
    row = ROWS[cell.row]
    needless = task.split.new and not row.ranks_new and all(m == "ranking" for _, _, m in cell.asked_by)
    scores = {} if needless else row.scores(task)
    for suite, name, measure in cell.asked_by:
        for figure in MEASURES[measure](task, scores, row, settings):
            value = figure.get("value")
            rounded = None if value is None else float(f"{value:.6g}")
            yield {"suite": suite, "split": name, "baseline": cell.row, **figure, "value": rounded}


def _digest(split: SuiteSplit) -> str:
    parts: Sequence[np.ndarray] = (split.train, split.test, split.asked, np.array([split.new]))
    return hashlib.sha256(b"|".join(part.astype(np.int64).tobytes() for part in parts)).hexdigest()


def _name_of(cell: Cell) -> str:
    return f"{_digest(cell.split)[:16]}-{cell.row}"
