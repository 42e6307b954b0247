"""What distorted pictures cost: figures as a slow count over the prediction files."""

from pathlib import Path

import numpy as np
import pytest

from ml.dataset.ground_truth import EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import read_predictions, write_predictions
from ml.evaluation.robustness import Robustness, main, robustness
from tests.ml.scored import FAST, random_scores

SKILLS = {"undistorted": 0.4, "blur": 0.05, "grey": 0.4}
ROWS = ("softmax", "multilabel")


@pytest.fixture(scope="module")
def folders(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds: a row that loses its skill by blur, and one that loses nothing."""
    loaded, made = load_dataset(dataset), []
    truth = load_truth(loaded, "inner_test")
    for seed in (0, 1):
        made.append(tmp_path_factory.mktemp(f"seed-{seed}"))
        for name, skill in SKILLS.items():
            for row, own in (("softmax", skill), ("multilabel", 0.4)):
                scores = random_scores(dataset, "inner_test", seed, own)
                into = made[-1] / name / row
                write_predictions(scores, truth, loaded, into, baseline=row, seed=seed, logarithms=False)
    return made


@pytest.fixture(scope="module")
def found(folders: list[Path], dataset: Path) -> Robustness:
    return robustness(folders, dataset, ROWS, FAST, against="multilabel")


def slow(folders: list[Path], dataset: Path, name: str, row: str) -> float:
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, "inner_test")
    means = []
    for folder in folders:
        for facet, scores in read_predictions(folder / name / row, truth, loaded).items():
            shares = []
            for image in range(len(scores)):
                right = set(truth.relevance[facet].tags[truth.relevance[facet].images == image].tolist())
                if right:
                    best = np.argsort(-scores[image], kind="stable")[: len(right)]
                    shares.append(len(right & set(best.tolist())) / len(right))
            means.append(np.mean(shares))
    return float(np.mean(means))


def test_figures_are_those_of_a_slow_count(folders: list[Path], dataset: Path, found: Robustness):
    for row in ROWS:
        assert found.undistorted[row] == pytest.approx(slow(folders, dataset, "undistorted", row), abs=0.03)  # ties
    blur = next(each for each in found.changes if (each.distortion, each.row) == ("blur", "softmax"))
    wanted = slow(folders, dataset, "blur", "softmax") - slow(folders, dataset, "undistorted", "softmax")
    assert blur.change == pytest.approx(wanted, abs=0.03)
    assert blur.low < blur.change < blur.high < 0


def test_what_changes_nothing_costs_nothing_and_a_change_against_another_row_is_their_difference(found: Robustness):
    changes = {(each.distortion, each.row, each.against): each for each in found.changes}
    assert changes["grey", "softmax", None][2:5] == (0, 0, 0)
    assert changes["blur", "multilabel", None][2:5] == (0, 0, 0)
    own, against = changes["blur", "softmax", None], changes["blur", "softmax", "multilabel"]
    assert against[2:5] == own[2:5]
    assert ("blur", "multilabel", "multilabel") not in changes


def test_few_groups_have_figures_without_intervals(folders: list[Path], dataset: Path):
    settings = FAST.model_copy(update={"least_groups": 10_000})
    each = robustness(folders, dataset, ROWS, settings).changes[0]
    assert each.change < 0
    assert np.isnan([each.low, each.high]).all()


def test_the_command_prints_a_line_for_each_distortion(folders: list[Path], dataset: Path, monkeypatch, capsys):
    given = ["--distorted", *map(str, folders), "--dataset", str(dataset), "--rows", *ROWS, "--against", "multilabel"]
    monkeypatch.setattr("sys.argv", ["robustness", *given])
    main()
    changes, against = capsys.readouterr().out.split("\n\n")
    assert [line.split("|")[1].strip() for line in changes.splitlines()[2:]] == ["undistorted", "blur", "grey"]
    assert changes.splitlines()[0] == "|  | softmax | multilabel |"
    assert [line.split("|")[1].strip() for line in against.splitlines()[2:]] == ["blur", "grey"]
    assert against.splitlines()[0] == "| minus multilabel | softmax |"


def test_a_row_without_predictions_is_named(folders: list[Path], dataset: Path):
    with pytest.raises(EvaluationError, match="softmax_wce has no predictions"):
        robustness(folders, dataset, ["softmax_wce"], FAST)
