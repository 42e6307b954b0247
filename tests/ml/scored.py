"""A small dataset folder with predictions for it: fixtures of the evaluation and report tests."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.baselines import PRIOR
from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import write_predictions
from ml.evaluation.informativeness import informativeness_rows
from ml.evaluation.rankings import prior_scores
from ml.report.write import write_report
from pipeline import DATASET_SPLITS, FACETS
from pipeline.release.folder import write_dataset
from pipeline.settings import EvaluationSettings
from pipeline.tables import INFORMATIVENESS, TABLES, features_table

SMALL_MUSEUM = Path(__file__).parents[1] / "pipeline" / "conftest.py"


def small_museum():
    """The module that draws the small museum of the release tests."""
    spec = importlib.util.spec_from_file_location("small_museum", SMALL_MUSEUM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["small_museum"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def museum(tmp_path_factory):
    """Ninety records, five providers, four facets, every split."""
    return small_museum().make_museum(tmp_path_factory.mktemp("museum"))


@pytest.fixture(scope="session")
def dataset(museum, once) -> Path:
    """Their dataset folder."""
    tables = (museum.records, museum.record_tags, museum.tags, museum.splits, museum.split_tags)
    return once("scored_dataset", lambda folder: write_dataset(museum.images, *tables, folder))


def random_scores(dataset: Path, split: str, seed: int, skill: float = 0.0) -> dict[str, np.ndarray]:
    """Probabilities per facet; `skill` is added where a tag is right."""
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, split)
    generator = np.random.default_rng(seed)
    scores = {}
    for facet in FACETS:
        relevance = truth.relevance[facet]
        matrix = generator.integers(0, 8, (len(relevance), len(loaded.facets[facet]))) / 16
        matrix[relevance.images, relevance.tags] += skill
        scores[facet] = matrix
    return scores


@pytest.fixture(scope="session")
def predictions(dataset, tmp_path_factory) -> Path:
    """A middling model's predictions of both test sets."""
    folder = tmp_path_factory.mktemp("predictions") / "softmax"
    loaded = load_dataset(dataset)
    for number, split in enumerate(("inner_test", "outer_test")):
        scores = random_scores(dataset, split, number, skill=0.25)
        write_predictions(
            scores, load_truth(loaded, split), loaded, folder, baseline="softmax", seed=7, logarithms=False
        )
    return folder


def write_prior_predictions(dataset: Path, predictions: Path, splits: tuple[str, ...]) -> None:
    """The label prior as prediction files."""
    loaded = load_dataset(dataset)
    for split in splits:
        truth = load_truth(loaded, split)
        lists = [tags for tags in loaded.facets.values() if len(tags)]
        scores = {tags.facet: np.tile(prior_scores(tags), (len(truth.groups), 1)) for tags in lists}
        write_predictions(scores, truth, loaded, predictions, baseline=PRIOR, seed=0, logarithms=False)


FAST = EvaluationSettings(resamples=200, example_images=4, least_groups=4, least_providers=2, least_images=10)
SKILL = {"softmax": 0.35, "multilabel": 0.3, "clip_zero_shot": 0.02, "clip_1_tag_prompt": 0.2}


@pytest.fixture(scope="session")
def storage(museum, dataset: Path, once) -> Path:
    """A run's storage: dataset, tables and predictions of four rows and of a single head."""
    return once("scored_storage", lambda folder: write_storage(museum, dataset, folder))


def write_features(dataset: Path, folder: Path) -> None:
    """Features of every image in which its tags can be seen, as if a good network had described it."""
    loaded = load_dataset(dataset)
    generator, found = np.random.default_rng(1), {}
    for split in DATASET_SPLITS:
        truth = load_truth(loaded, split)
        matrices = []
        for facet, tags in loaded.facets.items():
            matrix = np.zeros((len(truth.groups), len(tags)))
            matrix[truth.relevance[facet].images, truth.relevance[facet].tags] = 1
            matrices.append(matrix)
        seen = np.hstack(matrices)
        found |= dict(zip(truth.images["image_id"], seen + generator.normal(0, 0.1, seen.shape), strict=True))
    table = features_table(len(next(iter(found.values()))))
    rows = [{"image_id": name, "extractor": "x", "vector": found[name].tolist()} for name in sorted(found)]
    table.write(table.frame(rows), folder / "part-00000.parquet")


def write_storage(museum, dataset: Path, folder: Path) -> None:
    """The files of that storage."""
    folder.mkdir()
    (folder / "dataset").symlink_to(dataset)
    for name in ("records", "record_tags", "tags", "splits", "split_tags"):
        TABLES[name].write(getattr(museum, name), folder / f"{name}.parquet")
    loaded = load_dataset(dataset)
    write_features(dataset, folder / "features")
    told = informativeness_rows(dataset, folder / "features", FAST)
    INFORMATIVENESS.write(told, folder / "informativeness.parquet")
    for number, (row, skill) in enumerate(SKILL.items()):
        for split in ("inner_test", "outer_test"):
            scores = random_scores(dataset, split, number, skill)
            truth, into = load_truth(loaded, split), folder / "predictions" / row
            write_predictions(scores, truth, loaded, into, baseline=row, seed=1, logarithms=False)
            if row == "multilabel":
                alone = {"materials": scores["materials"]}
                single = folder / "predictions" / "multilabel_materials"
                write_predictions(
                    alone, truth, loaded, single, baseline="multilabel_materials", seed=1, logarithms=False
                )
        model = {"weights": "random (seed 1)", "cost": {"parameters_m": 1.5}}
        (folder / "models" / row).mkdir(parents=True)
        (folder / "models" / row / "model.json").write_text(json.dumps(model))
    lines = [{"event": "epoch", "epoch": e, "loss": 1 / e, "validation": {"mean": 0.1 * e}} for e in (1, 2, 3)]
    (folder / "models" / "softmax" / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="session")
def report(storage: Path, once) -> Path:
    """The report of that storage."""
    return once("scored_report", lambda folder: write_small_report(storage, folder))


def write_small_report(storage: Path, folder: Path) -> None:
    """The report, with what its summary must say."""
    folder.mkdir()
    summary = write_report(storage, folder, FAST)
    assert summary.n_rows == 5
    assert summary.best_inner in ("softmax", "multilabel")
    assert sum(summary.verdicts.values()) == 9
