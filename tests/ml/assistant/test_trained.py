"""Trained models at the assistant score as they did when their predictions were written."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.assistant.dataset_images import DatasetImages
from ml.assistant.pictures import for_model
from ml.assistant.thresholds import on_validation, threshold
from ml.assistant.trained import ModelError, default_of, find_models, start_with
from ml.assistant.vocabulary import read_tag_list
from ml.experiments.run import main
from ml.registry.champion import Contender, write_contender
from pipeline import FACETS
from pipeline.release.folder import dataset_schema
from tests.ml.torch_threads import one_thread  # noqa: F401

COLOURS = ("saddlebrown", "navy", "darkgreen", "gold", "crimson", "gray")
SPLITS = {"train": 24, "validation": 12, "inner_test": 6, "outer_test": 6}


@pytest.fixture(scope="module")
def storage(tmp_path_factory, drawn_vase) -> Path:
    """A storage folder with drawn images and three trained rows."""
    folder = tmp_path_factory.mktemp("storage")
    dataset = folder / "dataset"
    dataset.mkdir()
    tag_list = Path(__file__).with_name("tag_list.json").read_text()
    (dataset / "tag_list.json").write_text(tag_list)
    order, _ = read_tag_list(dataset / "tag_list.json")
    paths = {row["tag_id"]: row["path"] for rows in json.loads(tag_list)["facets"].values() for row in rows}
    metadata = {"split_hash": "0" * 64, "tag_list_hash": "1" * 64}
    schema = dataset_schema().with_metadata(metadata)
    for split, n in SPLITS.items():
        rows = [row_of(split, number, order, paths, drawn_vase) for number in range(n)]
        (dataset / split).mkdir()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), dataset / split / "part-00000.parquet")
    rows = ("multilabel", "softmax", "ensemble_ml_s")
    arguments = ["--dataset", str(dataset), "--models", str(folder / "models"), "--device", "cpu", "--override"]
    overrides = ["epochs=1", "warmup_steps=1"]
    for key in rows:
        assert main(["--baseline", key, "--predictions", str(folder / "predictions"), *arguments, *overrides]) == 0
    return folder


def row_of(split: str, number: int, order: dict, paths: dict, drawn_vase) -> dict:
    """One image of the dataset: its colour decides its tags."""
    colour = number % len(COLOURS)
    row = {
        "record_id": f"/1/{split}_{number:03d}",
        "view": 0,
        "image_id": f"{list(SPLITS).index(split)}{number:063d}",
        "image": {"bytes": drawn_vase(COLOURS[colour], (200 + 10 * number, 180)), "path": f"{number}.jpg"},
        "data_provider": f"Museum {number % 2}",
        "group_id": f"/1/{split}_{number:03d}#0",
    }
    for facet in FACETS:
        leaf = order[facet][(colour * 3) % len(order[facet])]
        row[facet], row[f"{facet}_stated"] = sorted(paths[leaf]), [leaf]
    return row


@pytest.mark.parametrize("key", ["multilabel", "softmax", "ensemble_ml_s"])
def test_a_model_scores_as_in_its_predictions(storage, key):
    order, _ = read_tag_list(storage / "dataset" / "tag_list.json")
    models = find_models(storage / "models", storage / "predictions", storage / "dataset", order)
    suggester, images = models.get(key), DatasetImages(storage / "dataset", "inner_test")
    for image_id, place in images.locations.items():
        scores = suggester.scores(image_id, for_model(images.jpeg(image_id), 256))
        for facet in FACETS:
            written = pq.read_table(storage / "predictions" / key / "inner_test" / f"{facet}.parquet").to_pylist()
            (log_scores,) = [row["scores"] for row in written if row["record_id"] == place.record_id]
            np.testing.assert_allclose(scores[facet], np.exp(np.float32(log_scores)), rtol=4e-3, atol=1e-4)


def test_pictures_of_one_colour_are_alike_to_a_trained_model(storage):
    order, _ = read_tag_list(storage / "dataset" / "tag_list.json")
    models = find_models(storage / "models", storage / "predictions", storage / "dataset", order)
    examples = DatasetImages(storage / "dataset")
    pictures = [for_model(examples.jpeg(image_id), 256) for image_id in list(examples.locations)[:7]]
    features = {}
    for key in ("multilabel", "softmax", "ensemble_ml_s"):
        features[key] = np.stack([models.get(key).features(picture) for picture in pictures])
        np.testing.assert_allclose(np.linalg.norm(features[key], axis=1), 1, rtol=1e-5)
        cosines = features[key] @ features[key].T
        assert cosines[0, 1:].argmax() + 1 == 6  # the same colour again
    both = np.hstack([features["multilabel"], features["softmax"]]) / np.sqrt(2)
    np.testing.assert_allclose(features["ensemble_ml_s"], both, rtol=1e-4, atol=1e-6)


def test_a_model_of_another_tag_list_is_left_out(storage):
    order, _ = read_tag_list(storage / "dataset" / "tag_list.json")
    file = storage / "models" / "softmax" / "model.json"
    kept = file.read_text()
    try:
        file.write_text(json.dumps(json.loads(kept) | {"tag_list_hash": "2" * 64}))
        models = find_models(storage / "models", storage / "predictions", storage / "dataset", order)
    finally:
        file.write_text(kept)
    assert sorted(models.infos) == ["ensemble_ml_s", "multilabel"]


def test_the_default_is_best_on_validation_over_all_facets():
    def described(mean: float, facets=FACETS) -> dict:
        return {"validation": dict.fromkeys(facets, mean) | {"mean": mean}}

    only_materials = described(0.9, ("materials",))
    models = {"softmax": described(0.5), "multilabel_materials": only_materials, "multilabel": described(0.6)}
    assert default_of(models) == "multilabel"
    assert default_of({"multilabel": described(0.5), "ensemble_ml_s_clip": described(0.5)}) == "ensemble_ml_s_clip"
    assert default_of({}) is None


def test_the_desk_starts_with_the_wanted_model_or_the_promoted_one(storage, tmp_path):
    order, _ = read_tag_list(storage / "dataset" / "tag_list.json")
    models = find_models(storage / "models", storage / "predictions", storage / "dataset", order)
    models.default = "multilabel"
    start_with(models, None, tmp_path)
    assert models.default == "multilabel"  # none was promoted
    for promoted, default in (("softmax", "softmax"), ("forgotten", "softmax")):
        (tmp_path / "champion").mkdir(exist_ok=True)
        champion = Contender(promoted, 0, "0" * 64, "validation", 0.5, 0.4, 0.6)
        write_contender(champion, tmp_path / "champion" / "champion.json")
        start_with(models, None, tmp_path)
        assert models.default == default
    start_with(models, "ensemble_ml_s", tmp_path)
    assert models.default == "ensemble_ml_s"
    with pytest.raises(ModelError, match=r"no trained model `magic`.*multilabel"):
        start_with(models, "magic", tmp_path)


def test_examples_of_a_tag_come_from_different_providers_first(storage):
    examples = DatasetImages(storage / "dataset")
    tag = next(iter(examples.locations.values())).tags[0]
    found = examples.of_tag(tag, 4)
    assert len(found) == 4
    assert examples.jpeg(found[0]).startswith(b"\xff\xd8\xff")


def test_the_threshold_is_the_lowest_score_that_is_right_often_enough():
    scores = np.array([[0.9, 0.8, 0.3], [0.7, 0.6, 0.2], [0.5, 0.5, 0.5]])
    relevant = np.array([[True, True, False], [True, False, False], [False, False, False]])
    assert threshold(scores, relevant, 0.7) == 0.6  # 3 of 4; the third image is not annotated
    assert threshold(scores, relevant, 0.9) == 0.7
    assert threshold(scores, ~relevant & relevant.any(1, keepdims=True), 0.9) == 1.0
    assert threshold(scores, np.zeros_like(relevant), 0.5) is None


def test_thresholds_of_another_tag_list_are_not_used(storage):
    file = storage / "dataset" / "tag_list.json"
    kept = file.read_text()
    known = on_validation(storage / "predictions", ["multilabel"], storage / "dataset")["multilabel"]
    assert set(known.sure_from) == set(known.calibration) == set(FACETS)
    try:
        file.write_text(json.dumps(json.loads(kept) | {"tag_list_hash": "2" * 64}))
        assert on_validation(storage / "predictions", ["multilabel"], storage / "dataset") == {}
    finally:
        file.write_text(kept)
