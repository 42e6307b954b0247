"""Scores the whole benchmark of a run: all predictions of a storage folder, the reference rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from ml.baselines import ORACLE, REFERENCES, place_in_paper
from ml.dataset.ground_truth import Dataset, EvaluationError, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import open_predictions
from ml.dataset.tag_list import FacetTags
from ml.evaluation.breakdowns import breakdowns_of
from ml.evaluation.comparisons import compare_rows, main_ratios
from ml.evaluation.evaluate import Row, Scored, results_of, score_predictions
from ml.evaluation.exchanged import EXCHANGED, exchanged_ratios
from ml.evaluation.image_scores import ImageScores
from ml.evaluation.informativeness import Informativeness, load_informativeness
from ml.evaluation.intervals import Ratios
from ml.evaluation.losses import losses_of
from ml.evaluation.reference import score_references
from pipeline import TEST_SPLITS
from pipeline.settings import EvaluationSettings
from pipeline.tables import BREAKDOWNS, COMPARISONS, INFORMATIVENESS, RESULTS


@dataclass(frozen=True)
class Benchmark:
    """The tables `results`, `breakdowns`, `comparisons` and `informativeness` of a run."""

    results: pl.DataFrame
    breakdowns: pl.DataFrame
    comparisons: pl.DataFrame
    informativeness: pl.DataFrame


def evaluate_benchmark(
    storage: Path, settings: EvaluationSettings | None = None, rows: Sequence[str] | None = None
) -> Benchmark:
    """Score `<storage>/predictions/<row>` on both test sets of `<storage>/dataset`, with the reference rows.

    Without `rows`, every folder there is; a row has the name that its files give it. Every pair of rows is compared,
    and every row with the label prior, with the museum's name alone, and with its own scores given to other pictures.
    A test without pictures has no figures. Raises EvaluationError where neither test has any, where there are no
    predictions, some do not fit the dataset, two folders hold the same row, or one holds a reference.
    """
    settings = settings or EvaluationSettings()
    dataset = load_dataset(storage / "dataset")
    folders = prediction_folders(storage, rows)
    results: list[Row] = []
    breakdowns: list[Row] = []
    comparisons = [COMPARISONS.empty()]
    informativeness: list[Row] = []
    for split in TEST_SPLITS:
        truth = load_truth(dataset, split)
        told = load_informativeness(dataset, truth, settings)
        informativeness += told.rows(dataset.run)
        if truth.images.is_empty():  # a test without pictures has no figures
            continue
        ratios: dict[str, Ratios] = {}
        named: dict[str, Path] = {}
        for folder, scored, depths in score_rows(folders, dataset, truth, settings):
            if folder is not None:
                _claim(scored.baseline, folder, named)
            results += results_of(scored, dataset, settings, told)
            breakdowns += breakdowns_of(scored, dataset, depths)
            if scored.baseline != ORACLE:
                ratios[scored.baseline] = main_ratios(scored)
        if split == "outer_test":
            breakdowns += losses_of(folders, dataset, truth)
        pairs = [pair for pair in combinations(ratios, 2) if not set(pair) <= set(REFERENCES)]
        comparisons.append(compare_rows(ratios, pairs, dataset, told, split, settings))
        comparisons.append(_compare_exchanged(named, ratios, dataset, truth, told, settings))
    if not results:
        raise EvaluationError(f"{dataset.folder} has no picture in either test: there is nothing to score.")
    return Benchmark(
        RESULTS.frame(results).sort(RESULTS.key),
        BREAKDOWNS.frame(breakdowns).sort(BREAKDOWNS.key),
        pl.concat(comparisons).sort(COMPARISONS.key),
        INFORMATIVENESS.frame(informativeness).sort(INFORMATIVENESS.key),
    )


def _claim(row: str, folder: Path, named: dict[str, Path]) -> None:
    """Note the folder of a row; EvaluationError where the row has another one already, or is a reference."""
    if row in REFERENCES:
        raise EvaluationError(f"{folder} holds predictions of {row}, which every table has as a reference; remove it.")
    if row in named:
        raise EvaluationError(f"{named[row]} and {folder} both hold predictions of {row}; remove one of them.")
    named[row] = folder


def score_rows(
    folders: Sequence[Path], dataset: Dataset, truth: Truth, settings: EvaluationSettings
) -> Iterator[tuple[Path | None, Scored, dict[str, dict[int, ImageScores]]]]:
    """Each row's folder and its scores on one split, as a whole and by depth; the reference rows last, without one."""
    for folder in folders:
        scored = score_predictions(folder, dataset, truth, settings)
        lists = [dataset.facets[facet] for facet in scored.predicted if len(dataset.facets[facet])]
        depths = {tags.facet: score_depths(folder, dataset, truth, tags, settings) for tags in lists}
        yield folder, scored, depths
    for scored in score_references(dataset, truth, settings):
        yield None, scored, {}


def compare_to_references(
    folder: Path,
    scored: Scored,
    references: Sequence[Scored],
    dataset: Dataset,
    told: Informativeness,
    settings: EvaluationSettings,
) -> pl.DataFrame:
    """COMPARISONS of the predictions in a folder, `scored`, with what needs no eyes: `verdicts.TO_BEAT`."""
    row, truth = folder.name, scored.truth
    ratios = {row: main_ratios(scored)}
    ratios |= {each.baseline: main_ratios(each) for each in references if each.baseline != ORACLE}
    pairs = [(row, second) for second in ratios if second != row]
    known = compare_rows(ratios, pairs, dataset, told, truth.name, settings)
    return pl.concat([known, _compare_exchanged({row: folder}, ratios, dataset, truth, told, settings)])


def _compare_exchanged(
    named: Mapping[str, Path],
    ratios: Mapping[str, Ratios],
    dataset: Dataset,
    truth: Truth,
    told: Informativeness,
    settings: EvaluationSettings,
) -> pl.DataFrame:
    """COMPARISONS of each row of these folders with its own scores, given to other pictures."""
    own = {row: ratios[row] for row in named}
    blind = {f"{row} {EXCHANGED}": _exchanged(folder, dataset, truth, settings) for row, folder in named.items()}
    pairs = [(row, f"{row} {EXCHANGED}") for row in own]
    compared = compare_rows(own | blind, pairs, dataset, told, truth.name, settings)
    return compared.with_columns(second=pl.lit(EXCHANGED))


def _exchanged(folder: Path, dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Ratios:
    def score(other: Truth) -> Scored:
        return score_predictions(folder, dataset, other, settings, further=False)

    return exchanged_ratios(score, truth, settings)


def prediction_folders(storage: Path, rows: Sequence[str] | None = None) -> list[Path]:
    """The prediction folders of the rows, by default of all there are, in the paper's order, then by name."""
    root = storage / "predictions"
    folders = [path for path in root.glob("*") if path.is_dir()] if rows is None else [root / row for row in rows]
    missing = [path.name for path in folders if not path.is_dir()]
    if missing or not folders:
        raise EvaluationError(f"{root} has no predictions of {missing[0] if missing else 'any row'}; train it first.")
    return sorted(folders, key=lambda path: place_in_paper(path.name))


def score_depths(
    folder: Path, dataset: Dataset, truth: Truth, tags: FacetTags, settings: EvaluationSettings
) -> dict[int, ImageScores]:
    """The same predictions ranked among the tags of one depth at a time."""
    file = open_predictions(folder, dataset, truth, tags)
    relevance = truth.relevance[tags.facet]
    columns = {int(depth) + 1: np.flatnonzero(tags.depths == depth) for depth in np.unique(tags.depths)}
    by_depth = {
        depth: ImageScores(relevance.among(where, len(tags)), settings.top_k) for depth, where in columns.items()
    }
    for batch, images in file.batches(settings.batch_rows):
        for depth, where in columns.items():
            scores = by_depth[depth]
            has_one = np.diff(scores.relevance.starts)[images] > 0
            scores.add(batch[has_one][:, where], images[has_one], np.full(len(where), -1))
    return by_depth
