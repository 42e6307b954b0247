"""A row with a memory is exported as ONNX with the memory as a table beside it, and both answer as torch does."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml.baselines import baseline, recipe
from ml.dataset.batches import Images, every_image_once
from ml.dataset.split import load_split
from ml.dataset.tag_list import TagList, load_tag_list
from ml.experiments.make import network_of
from ml.models.network import Batch
from ml.models.one import OneModel
from ml.registry.export import write_model_release
from ml.registry.load import load_row
from ml.registry.memory import memory_of
from ml.registry.memory_table import MemoryTableError, write_memory
from ml.training import checkpoints
from ml.training.device import on_device
from ml.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter warns of its own ways
EQUAL = 1e-4  # natural logs of probabilities


def untrained_one(museum: Path, folder: Path, base: str) -> Path:
    """The row `one` with the museum's training images in its memory, as the trainer would leave it."""
    tags = load_tag_list(museum)
    chosen = replace(recipe("one", "demo", base=base), pretrained=False, text_encoder=None)
    network, card = network_of(baseline("one"), chosen, tags, None, 3)
    assert isinstance(network, OneModel)
    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = None  # of all that is shown below, so that features are as large as after a training
            module.train()
    shown = images_of(museum, "train", chosen, tags)
    with torch.inference_mode():
        network({"image": shown["image"]})
        features = network.eval()({"image": shown["image"]})["features"]
    network.memory.remember(features, shown["closed"], shown["group"])
    described = {"baseline": "one", "seed": 3, "weights": "random (seed 3)", "split_hash": tags.split_hash}
    described |= {"tag_list_hash": tags.tag_list_hash, "recipe": chosen.as_json(), "network": card.as_json()}
    described |= {"facets": {facet: len(each) for facet, each in tags.facets.items()}}
    checkpoints.save_model(network, described, folder)
    return folder


def images_of(museum: Path, split: str, chosen: Recipe, tags: TagList) -> Batch:
    """The images of a split as evaluation shows them."""
    images = Images(load_split(museum, split, tags), tags, chosen.evaluation_view, 0)
    draws = list(every_image_once(len(images), rank=0, world=1))
    return on_device(images.__getitems__(draws), torch.device("cpu"), chosen)


@pytest.fixture(scope="module")
def exported(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The model's folder and its export, with the demo's network at the demo's size."""
    folder = tmp_path_factory.mktemp("memory_export")
    model = untrained_one(museum, folder / "one", "demo")
    return model, write_model_release(model, museum, [], folder / "release")


def answered(release: Path, image: np.ndarray, more: pa.Table | None = None) -> list[np.ndarray]:
    """What the code on the card gives: scores by facet, then features; `more` is added to the table first."""
    (code,) = re.findall(r"```python\n(import json\n.*?)```", (release / "README.md").read_text(), re.DOTALL)
    assert "path/to/this/folder" in code
    code = code.replace("path/to/this/folder", str(release))
    read = 'memory = pq.read_table(folder / "memory.parquet")\n'
    assert read in code
    code = code.replace(read, read + "if more is not None:\n    memory = pa.concat_tables([memory, more])\n")
    names = {"image": image, "more": more, "pa": pa}
    exec(code, names)  # the card's own lines
    return [*names["scores"], names["features"]]


def test_the_code_on_the_card_answers_as_torch_does(exported: tuple[Path, Path], museum: Path):
    model, release = exported
    network, chosen, tags = load_row(model, museum)
    shown = images_of(museum, "inner_test", chosen, tags)["image"].contiguous()
    found = answered(release, shown.numpy())
    with torch.inference_mode():
        outputs = network({"image": shown})
        wanted = [*network.log_scores(outputs).values(), outputs["features"]]
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one - other.numpy()).max() < EQUAL


def test_a_further_row_of_the_table_is_learned_as_a_decision_is(exported: tuple[Path, Path], museum: Path):
    model, release = exported
    network, chosen, tags = load_row(model, museum)
    shown = images_of(museum, "inner_test", chosen, tags)["image"].contiguous()
    table = pq.read_table(release / "memory.parquet")
    assert table.column_names == ["image_id", "group_id", "features", "tags"]
    memory = memory_of(network)
    assert memory is not None
    closed = torch.zeros(1, sum(memory.sizes), dtype=torch.bool)
    closed[0, 0] = True
    with torch.inference_mode():
        features = network({"image": shown[:1]})["features"]
        memory.remember(features, closed, torch.tensor([1]), [0])
        wanted = [each.numpy() for each in network.log_scores(network({"image": shown})).values()]
    first_tag = next(iter(tags.facets.values())).tag_ids[0]
    row = {"image_id": "new", "group_id": "new", "features": features[0].tolist(), "tags": [first_tag]}
    found = answered(release, shown.numpy(), pa.Table.from_pylist([row], schema=table.schema))
    assert max(np.abs(one - other).max() for one, other in zip(found, wanted, strict=False)) < EQUAL
    before = answered(release, shown.numpy())
    assert np.abs(found[0] - before[0]).max() > 10 * EQUAL


def test_a_table_names_the_images_or_says_that_it_cannot(exported: tuple[Path, Path], museum: Path, tmp_path: Path):
    model, release = exported
    table = pq.read_table(release / "memory.parquet")
    split = load_split(museum, "train", load_tag_list(museum))
    assert table["group_id"].to_pylist() == list(split.groups)
    assert table["image_id"].to_pylist() == list(split.groups)  # each image is a group of its own in this museum
    network, _, tags = load_row(model, museum)
    memory = memory_of(network)
    assert memory is not None
    memory.groups[0] += 1
    with pytest.raises(MemoryTableError, match="has other training images than the model remembers"):
        write_memory(memory, tags, museum, tmp_path / "memory.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_published_networks_size_answers_as_torch_does(museum: Path, tmp_path: Path):
    model = untrained_one(museum, tmp_path / "one", "demo_index")
    release = write_model_release(model, museum, [], tmp_path / "release")
    test_the_code_on_the_card_answers_as_torch_does((model, release), museum)
