"""Scores predictions against a release and writes results.json, with the hashes that say what it compares with."""

from pathlib import Path
from typing import Any

from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import evaluate, predicted_splits
from ml.evaluation.informativeness import load_informativeness
from ml.evaluation.reference import reference_rows
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
    dataset = load_dataset(release)
    splits = tuple(predicted_splits(predictions))
    rows = evaluate(predictions, release, settings=settings, splits=splits, device=device)
    truths = {split: load_truth(dataset, split) for split in splits}
    told = {split: load_informativeness(dataset, truth, settings) for split, truth in truths.items()}
    compared = [compare_to_references(predictions, dataset, truths[split], told[split], settings) for split in splits]
    result = {
        "format": FORMAT,
        "split_hash": dataset.split_hash,
        "tag_list_hash": dataset.tag_list_hash,
        "baseline": rows[0]["baseline"],
        "seed": rows[0]["seed"],
        "settings": settings.model_dump(),
        "results": rows,
        "references": reference_rows(release, splits, settings),
        "informativeness": [row for split in splits for row in told[split].rows(dataset.run)],
        "differences": [row for frame in compared for row in frame.to_dicts()],
        "verdicts": {
            split: standing.verdict for frame in compared for (_, split), standing in standings(frame).items()
        },
    }
    if out is not None:
        write_json(result, out, sort_keys=True)
    return result
