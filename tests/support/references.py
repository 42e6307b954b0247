"""The reference rows of a dataset folder without a run around it."""

from pathlib import Path

from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import Row, results_of
from ml.evaluation.informativeness import load_informativeness
from ml.evaluation.reference import score_references
from pipeline.settings import EvaluationSettings


def reference_rows(dataset: Path, splits: tuple[str, ...], settings: EvaluationSettings) -> list[Row]:
    """Rows of `results` for the label prior, the museum's name and the oracle."""
    loaded = load_dataset(dataset)
    rows: list[Row] = []
    for split in splits:
        truth = load_truth(loaded, split)
        told = load_informativeness(loaded, truth, settings)
        for scored in score_references(loaded, truth, settings):
            rows += results_of(scored, loaded, settings, told)
    return rows
