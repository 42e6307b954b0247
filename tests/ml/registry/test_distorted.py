"""Predictions for distorted pictures are what the model says of each picture that was distorted by hand."""

from pathlib import Path

import numpy as np
import pytest

from ml.baselines import baseline, recipe
from ml.dataset.distortions import DISTORTIONS, UNDISTORTED, distorted
from ml.dataset.prediction_files import read_predictions
from ml.dataset.split import load_split, open_jpeg
from ml.dataset.tag_list import load_tag_list
from ml.experiments.make import network_of
from ml.registry.distorted import main
from ml.registry.score import Scorer
from ml.training import checkpoints
from pipeline.files import write_json

SCALES = ({"slope": 0.7, "intercept": -0.2}, {"slope": 1.0, "intercept": 0.0})


@pytest.fixture(scope="module")
def models(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two untrained rows, as the trainer would leave them, and their ensemble."""
    folder, tags = tmp_path_factory.mktemp("models"), load_tag_list(museum)
    described = {"seed": 3, "tag_list_hash": tags.tag_list_hash, "facets": {f: len(t) for f, t in tags.facets.items()}}
    for seed, row in enumerate(("multilabel", "softmax")):
        chosen = recipe(row, "demo").override({"image_size": "32", "cache_px": "48"})
        network, card = network_of(baseline(row), chosen, tags, None, seed)
        model = described | {"baseline": row, "recipe": chosen.as_json(), "network": card.as_json()}
        checkpoints.save_model(network, model, folder / row)
    scales = [dict.fromkeys(tags.facets, scale) for scale in SCALES]
    ensemble = {"baseline": "ensemble_ml_s", "members": ["multilabel", "softmax"], "scales": scales}
    write_json(described | ensemble, folder / "ensemble_ml_s" / "model.json")
    return folder


def asked(models: Path, museum: Path, out: Path, *rows: str) -> int:
    return main(["--rows", *rows, "--models", str(models), "--dataset", str(museum), "--out", str(out)])


def test_scores_are_those_of_the_picture_distorted_by_hand(models: Path, museum: Path, tmp_path: Path):
    rows, tags = ("multilabel", "ensemble_ml_s"), load_tag_list(museum)
    assert asked(models, museum, tmp_path, *rows) == 0
    split = load_split(museum, "inner_test", tags)
    picture = open_jpeg(split.jpegs[5].as_buffer(), split.name_of(5))
    for row in rows:
        scorer, undistorted = Scorer(row, models, museum), {}
        for name in (UNDISTORTED, *DISTORTIONS):
            found = read_predictions(tmp_path / name / row, split, tags)
            shown = distorted(picture, name, f"{split.record_ids[5]} {split.views[5]}")
            for facet, probabilities in scorer.scores(shown).items():
                assert np.allclose(found[facet][5], np.log(probabilities), atol=5e-3), (row, name, facet)
            undistorted = undistorted or found
            assert name == UNDISTORTED or any(not np.array_equal(found[f], undistorted[f]) for f in found), name


def test_a_row_that_is_not_trained_is_one_sentence(models: Path, museum: Path, tmp_path: Path, capsys):
    assert asked(models, museum, tmp_path, "multilabel", "hsoftmax") == 1
    assert "hsoftmax" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
