"""An exported model answers as the model does; what does not is not written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from assets.cli.app import app
from assets.engine.project import current_project
from ml.baselines import baseline, recipe
from ml.dataset.tag_list import load_tag_list
from ml.experiments.make import network_of
from ml.registry import export, load
from ml.registry.score import Scorer
from ml.training import checkpoints

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter warns of its own ways


@pytest.fixture(scope="module")
def model(museum: Path, tmp_path_factory) -> Path:
    """An untrained hierarchical row, as the trainer would leave it."""
    folder = tmp_path_factory.mktemp("models") / "hsoftmax_nodes"
    tag_list = load_tag_list(museum)
    chosen = recipe("hsoftmax_nodes", "demo")
    network, card = network_of(baseline("hsoftmax_nodes"), chosen, tag_list, None, 3)
    described = {
        "baseline": "hsoftmax_nodes",
        "seed": 3,
        "weights": "random (seed 3)",
        "split_hash": tag_list.split_hash,
        "tag_list_hash": tag_list.tag_list_hash,
        "facets": {facet: len(tags) for facet, tags in tag_list.facets.items()},
        "recipe": chosen.as_json(),
        "network": card.as_json(),
    }
    checkpoints.save_model(network, described, folder)
    return folder


def test_a_recipe_survives_its_json(model: Path):
    described = json.loads((model / "model.json").read_text())
    again = load.recipe_from(described)
    assert json.loads(json.dumps(again.as_json())) == described["recipe"] | {"pretrained": False}
    assert json.loads(json.dumps(again.card.as_json())) == described["network"]


def test_the_export_says_how_pictures_are_resized():
    """In words and in figures, for each way of its network."""
    demo = export.preprocessing(recipe("multilabel", "demo"))
    assert (demo["interpolation"], demo["fit"]) == ("bilinear", "box")
    assert "resized to 128 x 128 pixels (bilinear)" in demo["in_words"]
    vision = export.preprocessing(recipe("multilabel", "full"))
    assert (
        "resized to a short side of 256 pixels, of which the central 224 x 224 pixels (bicubic)" in vision["in_words"]
    )
    core = export.preprocessing(recipe("clip_1_tag", "full").override({"open_clip": "PE-Core-B-16:meta"}))
    assert "resized to 224 x 224 pixels whatever its shape" in core["in_words"]
    assert (core["interpolation"], core["mean"]) == ("bilinear", [0.5, 0.5, 0.5])


def test_the_assistant_shows_pictures_as_the_models_card_says(model: Path, museum: Path, tmp_path: Path):
    """The same weights under a card with another interpolation score another way."""
    folder = Path(shutil.copytree(model, tmp_path / "models" / model.name))
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    picture = Image.fromarray(noise)
    described = json.loads((folder / "model.json").read_text())
    described["recipe"]["cache_px"] = None  # nothing is resized beforehand
    (folder / "model.json").write_text(json.dumps(described))
    before = Scorer(model.name, tmp_path / "models", museum).scores(picture)["materials"]
    described["network"]["input"]["interpolation"] = "bicubic"
    (folder / "model.json").write_text(json.dumps(described))
    after = Scorer(model.name, tmp_path / "models", museum).scores(picture)["materials"]
    assert np.abs(before - after).max() > 1e-6


def test_a_model_from_before_cards_is_shown_what_it_was_trained_on(model: Path, museum: Path, tmp_path: Path):
    folder = Path(shutil.copytree(model, tmp_path / model.name))
    described = json.loads((folder / "model.json").read_text())
    del described["network"]
    described["recipe"]["backbone"] |= {"mean": [0.4, 0.4, 0.4], "std": [0.3, 0.3, 0.3], "licence": "MIT"}
    (folder / "model.json").write_text(json.dumps(described))
    _, chosen, _ = load.load_row(folder, museum)
    assert chosen.card.input.mean == (0.4, 0.4, 0.4)
    assert (chosen.card.input.interpolation, chosen.card.input.fit, chosen.size) == ("bilinear", "box", 128)


def test_a_model_release_is_complete_and_its_onnx_answers_alike(model: Path, museum: Path, tmp_path: Path):
    row = {"baseline": "hsoftmax_nodes", "split": "inner_test", "facet": "mean", "metric": "r_precision"}
    row |= {"policy": "ignore_unseen", "value": 0.51234, "low": 0.5, "high": 0.53, "n": 1234}
    folder = export.write_model_release(model, museum, [row], tmp_path / "release")
    names = {"README.md", "model.json", "model.onnx", "preprocessing.json", "tag_list.json", "weights.safetensors"}
    assert {file.name for file in folder.iterdir()} == names
    network, chosen, tag_list = load.load_row(model, museum)
    exported = export.Exported(network, tuple(tag_list.facets))
    assert export.parity(exported, folder / "model.onnx", 5, chosen.image_size) < 1e-3
    card = (folder / "README.md").read_text()
    assert "| inner test | mean of the facets | 0.512 (0.500 to 0.530) | – | – | – |  |" in card
    assert tag_list.split_hash in card


def test_the_command_exports_a_row_of_the_profile(model: Path, museum: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("EUFCC_PROFILE", "demo")
    storage = current_project().storage
    shutil.copytree(model, storage / "models" / model.name)
    (storage / "dataset").symlink_to(museum)
    done = CliRunner().invoke(app, ["export", model.name, "--no-onnx"], catch_exceptions=False)
    assert done.exit_code == 0
    folder = storage / "model_releases" / model.name
    assert done.stdout.strip() == str(folder)
    assert (folder / "weights.safetensors").read_bytes() == (model / "weights.safetensors").read_bytes()
    assert not (folder / "model.onnx").exists()


def test_without_the_packages_of_onnx_the_export_says_so(model: Path, museum: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(export.ExportError, match=r"ONNX needs onnxscript: install `eufcc\[export\]`"):
        export.export_onnx(*load.load_row(model, museum), tmp_path / "model.onnx")


@pytest.mark.long
def test_an_export_that_answers_otherwise_is_not_written(model: Path, museum: Path, tmp_path: Path, monkeypatch):
    network, chosen, tag_list = load.load_row(model, museum)
    other = network_of(baseline("hsoftmax_nodes"), chosen, tag_list, None, 4)[0].eval()
    export.export_onnx(network, chosen, tag_list, tmp_path / "model.onnx")
    assert export.parity(export.Exported(other, tuple(tag_list.facets)), tmp_path / "model.onnx", 1, chosen.size) > 1e-3
    monkeypatch.setattr(export, "parity", lambda *_: 0.5)
    with pytest.raises(export.ExportError, match=r"differs by 0\.5 from the model: not written"):
        export.export_onnx(network, chosen, tag_list, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_model_of_another_tag_list_is_refused(model: Path, museum: Path, tmp_path: Path):
    copy = Path(shutil.copytree(model, tmp_path / "hsoftmax_nodes"))
    described = json.loads((copy / "model.json").read_text()) | {"tag_list_hash": "0" * 64}
    (copy / "model.json").write_text(json.dumps(described))
    with pytest.raises(load.LoadError, match="was trained for another tag list"):
        load.load_row(copy, museum)


def test_scores_are_log_probabilities(model: Path, museum: Path):
    network, chosen, tag_list = load.load_row(model, museum)
    scores = export.Exported(network, tuple(tag_list.facets))(torch.zeros(2, 3, chosen.image_size, chosen.image_size))
    assert all((score <= 0).all() and score.shape[0] == 2 for score in scores)
