"""The row `one`: it is made and loaded again, and nothing of a test reaches its weights, scales or memory."""

import hashlib
import io
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ml.baselines import BASELINES, ONE_ROWS, One, baseline, recipe
from ml.dataset.prediction_files import read_predictions
from ml.dataset.split import ImageSplit, load_split
from ml.dataset.tag_list import load_tag_list
from ml.experiments.fit import Job, Splits
from ml.experiments.make import make_row
from ml.models.one import OneModel
from ml.registry.load import load_row
from ml.training.checkpoints import read_description
from ml.training.device import Device, on_device, threads
from ml.training.progress import Progress
from pipeline.files import sha256_of

HERE = Device(torch.device("cpu"))


def made(key: str, dataset: Path, folder: Path) -> Path:
    """The row's model folder."""
    chosen = replace(recipe(key, "demo"), image_size=32, cache_px=None, epochs=1, batch=16)
    job = Job(baseline(key), chosen, folder / "models", folder / "predictions", None, 1, cache=folder / "cache")
    with threads(1):  # sums of another number of threads are other weights in the last bits
        make_row(job, Splits(dataset, load_tag_list(dataset)), HERE, Progress("test", quiet=True))
    return job.folder


@pytest.fixture(scope="module")
def one(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and the predictions of `one`."""
    folder = tmp_path_factory.mktemp("one")
    made("one", museum, folder)
    return folder


def test_it_has_predictions_for_every_test_and_answers_the_same_when_loaded_again(one: Path, museum: Path):
    network, chosen, tags = load_row(one / "models" / "one", museum)
    assert isinstance(network, OneModel)
    split = load_split(museum, "inner_test", tags)
    stored = read_predictions(one / "predictions" / "one", split, tags)
    assert len(network.memory) == 96
    shown = [chosen.evaluation_view.apply(picture(split, at), random.Random(0)) for at in range(4)]
    pixels = torch.from_numpy(np.stack([np.array(each) for each in shown]))
    batch = on_device({"image": pixels}, HERE.torch_device, chosen)
    with torch.inference_mode():
        answered = network.log_scores(network(batch))
    for facet, scores in stored.items():
        assert np.allclose(scores[:4], answered[facet].numpy(), atol=2e-2), facet


def test_parts_are_scaled_by_their_log_odds(one: Path, museum: Path):
    """So that nothing bounds a probability: of log-probabilities, it is at most the sigmoid of the intercept."""
    network, chosen, tags = load_row(one / "models" / "one", museum)
    assert isinstance(network, OneModel)
    split = load_split(museum, "validation", tags)
    shown = [chosen.evaluation_view.apply(picture(split, at), random.Random(0)) for at in range(4)]
    with torch.inference_mode():
        outputs = network(on_device({"image": torch.from_numpy(np.stack(shown))}, HERE.torch_device, chosen))
        scores, votes = network.part_scores(outputs), torch.cat(network.memory(outputs["features"]), 1)
    assert torch.equal(scores["multilabel"], torch.cat(outputs["multilabel"], 1))
    assert torch.allclose(scores["memory"].sigmoid(), votes.exp(), atol=2e-4)
    assert scores["memory"].isfinite().all()


def picture(split: ImageSplit, image: int) -> Image.Image:
    return Image.open(io.BytesIO(split.jpegs[image].as_py()))


def test_it_learns_what_can_be_seen(one: Path):
    validation = read_description(one / "models" / "one")["validation"]
    assert validation["mean"] > 0.8


def test_no_tag_is_less_probable_than_one_below_it(one: Path, museum: Path):
    tags = load_tag_list(museum)
    stored = read_predictions(one / "predictions" / "one", load_split(museum, "outer_test", tags), tags)
    for facet, scores in stored.items():
        for child, parent in enumerate(tags.facets[facet].parents):
            if parent >= 0:
                assert (scores[:, parent] >= scores[:, child]).all()


def with_other_tests(museum: Path, folder: Path) -> Path:
    """A copy of the dataset whose test images are grey and have each other's tags."""
    shutil.copytree(museum, folder)
    grey = io.BytesIO()
    Image.new("RGB", (80, 80), (90, 90, 90)).save(grey, "JPEG")
    for name in ("inner_test", "outer_test"):
        file = folder / name / "part-00000.parquet"
        table = pq.read_table(file)
        other = pa.array(list(reversed(range(len(table)))))
        for column in table.column_names:
            if column in BASELINES["one"].facets:
                table = table.set_column(table.column_names.index(column), column, table[column].take(other))
        images = [{**image, "bytes": grey.getvalue()} for image in table["image"].to_pylist()]
        at = table.column_names.index("image")
        table = table.set_column(at, table.schema.field("image"), pa.array(images, table.schema.field("image").type))
        pq.write_table(table, file, row_group_size=100)
    return folder


def test_other_test_images_and_tags_leave_model_scales_and_weights_as_they_are(one: Path, museum: Path, tmp_path: Path):
    other = made("one", with_other_tests(museum, tmp_path / "dataset"), tmp_path)
    first = one / "models" / "one"
    assert sha256_of(other / "weights.safetensors") == sha256_of(first / "weights.safetensors")
    weights = [read_description(each)["cost"]["mixing_weights"] for each in (first, other)]
    assert weights[0] == weights[1]
    file = "predictions/one/inner_test/materials.parquet"
    assert hashed(tmp_path / file) != hashed(one / file)  # the copy is another test indeed


def hashed(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("key", ["one_without_memory", "one_without_texts"])
def test_a_part_that_is_switched_off_is_not_there(key: str):
    row = baseline(key)
    assert isinstance(row, One)
    assert key.removeprefix("one_without_") not in row.parts
    assert len(row.parts) == 2


def test_the_ablation_switches_every_part_off_once():
    whole = baseline("one")
    changed = [[f for f in vars(whole) if f != "key" and getattr(row, f) != getattr(whole, f)] for row in ONE_ROWS[1:]]
    assert sorted(changed) == [["memory"], ["texts"]]


def test_it_learns_from_labels_alone():
    assert baseline("one").needs == ()
    assert recipe("one", "demo").ema_decay is None
