"""A run is scored by the names that its prediction files give; what cannot be told apart or scored is one sentence."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.baselines import PRIOR
from ml.dataset.ground_truth import EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.comparisons import main_ratios
from ml.evaluation.exchanged import EXCHANGED
from ml.evaluation.reference import score_prior
from ml.evaluation.score_run import evaluate_benchmark
from pipeline.settings import EvaluationSettings
from tests.ml.scored import write_prior_predictions

QUICK = EvaluationSettings(resamples=20, exchanges=1)


@pytest.fixture
def run(storage: Path, tmp_path: Path) -> Path:
    """A storage folder with the dataset, and an empty folder for predictions."""
    (tmp_path / "dataset").symlink_to(storage / "dataset")
    (tmp_path / "predictions").mkdir()
    return tmp_path


def test_a_folder_of_another_name_holds_the_row_that_its_files_name(run: Path, storage: Path):
    shutil.copytree(storage / "predictions" / "softmax", run / "predictions" / "of_last_week")
    made = evaluate_benchmark(run, QUICK)
    assert "softmax" in made.results["baseline"].to_list()
    assert made.comparisons.filter(second=EXCHANGED)["first"].unique().to_list() == ["softmax"]


def test_a_copy_beside_the_row_is_refused_with_both_folders(run: Path, storage: Path):
    for name in ("softmax", "softmax_copy"):
        shutil.copytree(storage / "predictions" / "softmax", run / "predictions" / name)
    with pytest.raises(EvaluationError, match=r"softmax and .*softmax_copy both hold predictions of softmax; remove"):
        evaluate_benchmark(run, QUICK)


def test_predictions_of_a_reference_are_refused(run: Path, dataset: Path):
    write_prior_predictions(dataset, run / "predictions" / PRIOR, ("inner_test", "outer_test"))
    with pytest.raises(EvaluationError, match="label_prior, which every table has as a reference; remove it"):
        evaluate_benchmark(run, QUICK)


@pytest.mark.parametrize("split", ["inner_test", "outer_test"])
def test_a_test_without_images_cannot_be_scored(dataset: Path, split: str):
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, split)
    nobody = np.zeros(0, np.int64)
    relevance = {facet: of_facet.of(nobody) for facet, of_facet in truth.relevance.items()}
    empty = replace(truth, images=truth.images.clear(), groups=nobody, relevance=relevance)
    with pytest.raises(EvaluationError, match=f"{split} has no images: nothing can be scored on it"):
        main_ratios(score_prior(loaded, empty, QUICK))
