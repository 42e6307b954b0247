"""Scores predictions against a release and writes results.json, with the hashes that say what it compares with."""

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ml.dataset.ground_truth import Dataset, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import Row, check_device, predicted_splits, results_of, score_predictions
from ml.evaluation.informativeness import Informativeness, load_informativeness
from ml.evaluation.reference import score_references
from ml.evaluation.score_run import compare_to_references
from ml.evaluation.verdicts import standings
from pipeline.files import write_json
from pipeline.settings import EvaluationSettings

FORMAT = "eufcc-results/1"


def evaluate_submission(
    predictions: Path,
    release: Path,
    out: Path | None = None,
    settings: EvaluationSettings | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Score `<predictions>/<split>/<facet>.parquet` on a release or dataset folder; write `out` (results.json).

    The results include the reference rows, what each test can tell, and the verdict on the predictions. They carry the
    split and tag-list hash: results compare only where both are the same. Raises EvaluationError, one sentence, for
    predictions that do not fit.
    """
    settings = settings or EvaluationSettings()
    check_device(device)
    dataset = load_dataset(release)
    parts = [_on_split(predictions, dataset, split, settings, device) for split in predicted_splits(predictions)]
    rows = [row for part in parts for row in part.results]
    result = {
        "format": FORMAT,
        "split_hash": dataset.split_hash,
        "tag_list_hash": dataset.tag_list_hash,
        "baseline": rows[0]["baseline"],
        "seed": rows[0]["seed"],
        "settings": settings.model_dump(),
        "results": rows,
        "references": [row for part in parts for row in part.references],
        "informativeness": [row for part in parts for row in part.told.rows(dataset.run)],
        "differences": [row for part in parts for row in part.differences.to_dicts()],
        "verdicts": {
            split: standing.verdict for part in parts for (_, split), standing in standings(part.differences).items()
        },
    }
    if out is not None:
        write_json(result, out, sort_keys=True)
    return result


class _Part(NamedTuple):
    """The tables of one split."""

    results: list[Row]
    references: list[Row]
    told: Informativeness
    differences: pl.DataFrame


def _on_split(predictions: Path, dataset: Dataset, split: str, settings: EvaluationSettings, device: str) -> _Part:
    truth = load_truth(dataset, split)
    told = load_informativeness(dataset, truth, settings)
    scored = score_predictions(predictions, dataset, truth, settings, device=device)
    references = list(score_references(dataset, truth, settings))
    return _Part(
        results_of(scored, dataset, settings, told),
        [row for each in references for row in results_of(each, dataset, settings, told)],
        told,
        compare_to_references(predictions, scored, references, dataset, told, settings),
    )
