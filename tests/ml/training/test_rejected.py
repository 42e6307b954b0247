"""A tag that a person rejected is a negative in training, where nothing else says so."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml.baselines import baseline, recipe
from ml.dataset.batches import Images
from ml.dataset.split import ImageSplit, load_split
from ml.dataset.tag_list import TagList, load_tag_list
from ml.dataset.transforms import View
from ml.experiments.make import network_of
from ml.training.device import Device
from ml.training.predict import predict
from ml.training.progress import Progress
from ml.training.train import train

HERE = Device(torch.device("cpu"))
WEAVING = "300000022"


@pytest.fixture(scope="module")
def rejected(museum: Path, tmp_path_factory) -> tuple[TagList, ImageSplit]:
    """48 training images; of every third nobody stated a discipline, and a person said that it is not weaving."""
    dataset = tmp_path_factory.mktemp("rejected") / "dataset"
    shutil.copytree(museum, dataset)
    records = [f"/train/{number:04d}" for number in range(0, 96, 3)]
    rows = {"record_id": records, "facet": ["classifications"] * len(records), "tag_id": [WEAVING] * len(records)}
    pq.write_table(pa.table(rows), dataset / "rejected_tags.parquet")
    tags = load_tag_list(dataset)
    split = load_split(dataset, "train", tags)
    return tags, split.keep(np.arange(len(split)) < 48).decoded(40)


def chance_of_weaving(key: str, weight: float, tags: TagList, split: ImageSplit, folder: Path) -> np.ndarray:
    """The probability of weaving on each image after a short training."""
    chosen = replace(recipe(key, "demo"), image_size=32, cache_px=None, frozen_views=0, freeze=0, warmup_steps=2)
    chosen = replace(chosen, epochs=12, batch=16, lr=6e-3, repeats=1, rejected_weight=weight)
    model, _ = network_of(baseline(key), chosen, tags, None, seed=1)
    samples = Images(split, tags, View(32))
    last = {"mean": 0.0}

    def validate(_: object) -> dict[str, float]:
        last["mean"] += 1.0  # the last epoch is the best
        return dict(last)

    progress, file = Progress("test", quiet=True), folder / f"{key}.{weight}.safetensors"
    train(model, samples, chosen, HERE, seed=1, identity="x", validate=validate, progress=progress, checkpoint=file)
    place = tags.facets["classifications"].position[WEAVING]
    return np.exp(predict(model, samples, chosen, HERE)["classifications"][:, place])


@pytest.mark.parametrize("key", ["multilabel", "softmax"])
def test_what_was_rejected_becomes_unlikely_and_the_rest_stays(rejected, tmp_path: Path, key: str):
    tags, split = rejected
    without = chance_of_weaving(key, 0.0, tags, split, tmp_path)
    with_negatives = chance_of_weaving(key, 1.0, tags, split, tmp_path)
    judged = np.array([len(split.rejected_tags("classifications", image)) > 0 for image in range(len(split))])
    stated = split.relevant("classifications", len(tags.facets["classifications"]))
    stated = stated[:, tags.facets["classifications"].position[WEAVING]]
    assert judged.sum() == 16
    assert without[judged].max() > 0.5  # without annotation nothing kept the model from saying so
    assert with_negatives[judged].mean() < 0.75 * without[judged].mean()
    assert with_negatives[stated].mean() > 0.6
