"""Champion and challenger: the best row of today against the one that was promoted last."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from ml.evaluation.best_row import best_row
from pipeline.files import whole_folder, write_json
from pipeline.tables import IGNORE_UNSEEN

SPLITS = ("validation", "inner_test")  # the first that was scored decides


class ChampionError(ValueError):
    """A row that cannot be compared or promoted; the message says why."""


@dataclass(frozen=True)
class Contender:
    """A row of the benchmark with its R-Precision, the mean over the facets (unseen tags ignored)."""

    baseline: str
    seed: int
    run: str  # hash of the splits and tag list that the score belongs to
    split: str
    score: float
    low: float
    high: float


def best_contender(results: pl.DataFrame) -> Contender:
    """The best trained row (ml.evaluation.best_row) on validation, which no test decides; on the inner test without it.

    Raises ChampionError when no row has a score.
    """
    for split in SPLITS:
        key = best_row(results, split)
        if key is not None:
            where = {"baseline": key, "split": split, "metric": "r_precision", "facet": "mean"}
            row = results.filter(policy=IGNORE_UNSEEN, **where).row(0, named=True)
            return Contender(key, row["seed"], row["run"], split, row["value"], row["low"], row["high"])
    raise ChampionError("No trained row has been scored: train at least one, then evaluate.")


def read_contender(file: Path) -> Contender | None:
    """The row that a file holds; None when there is no such file yet."""
    return Contender(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def write_contender(row: Contender, file: Path) -> None:
    """Keep the row in a file."""
    write_json(asdict(row), file, sort_keys=True)


def worse(challenger: Contender, champion: Contender | None) -> list[str]:
    """Why the challenger may not replace the champion: its score is below the champion's interval. Empty if it may."""
    if champion is None or challenger.score >= champion.low:
        return []
    other = "" if challenger.run == champion.run else " Their splits differ: look at both before you decide."
    return [
        f"{challenger.baseline} has {challenger.score:.3f} on {challenger.split}; the champion {champion.baseline} has "
        f"{champion.score:.3f} ({champion.low:.3f} to {champion.high:.3f}).{other}"
    ]


def promote(challenger: Contender, models: Path, folder: Path) -> None:
    """Make the challenger the champion: its figures and a copy of its model, whole or not at all."""
    model = models / challenger.baseline
    if not model.is_dir():
        raise ChampionError(f"The model of {challenger.baseline} is not at {model}: train it, then promote it.")
    with whole_folder(folder) as new:
        shutil.copytree(model, new / "model")
        write_contender(challenger, new / "champion.json")
