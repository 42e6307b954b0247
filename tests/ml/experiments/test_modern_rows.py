"""Rows beyond the paper: nearest images, titles, adapters; networks of today with random weights at their smallest."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml.baselines import BASELINES, MODERN_ROWS, Clip, Title, baseline, recipe
from ml.dataset.prediction_files import read_predictions
from ml.dataset.split import DataError, load_split
from ml.dataset.tag_list import load_tag_list
from ml.dataset.titles import titles_of
from ml.evaluation.best_row import READ_TITLES
from ml.experiments.fit import Job, Splits
from ml.experiments.make import make_row, network_of
from ml.models.architectures import Backbone
from ml.models.card import ImageInput, NetworkCard, TextInput
from ml.models.lora import add_adapters
from ml.models.neighbours import TEMPERATURE, votes
from ml.models.weights import WeightsError
from ml.registry.load import LoadError, load_row
from ml.registry.score import Scorer
from ml.report.results import title
from ml.training.device import Device
from ml.training.progress import Progress
from ml.training.recipe import BaselineError, Recipe
from tests.ml.encoders import small_encoder

__all__ = ["small_encoder"]

HERE = Device(torch.device("cpu"))
QUIET = Progress("test", quiet=True)
# The families of the published networks, at their smallest: class token, RoPE and registers, attention pooling.
SMALL = {
    "dinov2_base": ("vit_small_patch14_dinov2", {"depth": 1, "embed_dim": 32, "num_heads": 2}, 28),
    "dinov3": ("vit_small_patch16_dinov3", {"depth": 1, "embed_dim": 32, "num_heads": 2}, 32),
    "siglip2": ("vit_base_patch16_siglip_224", {"depth": 1, "embed_dim": 32, "num_heads": 2}, 32),
    "pe_core": ("vit_pe_core_tiny_patch16_384", {"depth": 1, "embed_dim": 32, "num_heads": 2}, 32),
    "efficientnet_lite0": ("tf_efficientnet_lite0", {}, 32),
}


def small(key: str) -> Recipe:
    """The demo's recipe of a row, with its network's family at its smallest and random weights."""
    chosen, row = recipe(key, "demo"), BASELINES[key]
    name, options, size = SMALL[getattr(row, "network", None) or "efficientnet_lite0"]
    changes = {"pretrained": False, "image_size": size, "epochs": 1, "batch": 32, "frozen_views": 1}
    return replace(chosen, backbone=Backbone(name, options), **changes)


def job_of(key: str, folder: Path, chosen: Recipe) -> Job:
    return Job(baseline(key), chosen, folder / "models", folder / "predictions", None, 1)


PUBLISHED = [row.key for row in MODERN_ROWS if getattr(row, "network", None) in SMALL]


@pytest.mark.parametrize("key", ["neighbours", *PUBLISHED])
def test_a_row_on_a_frozen_network_is_made_and_loaded_again(key: str, museum: Path, tmp_path: Path):
    job = job_of(key, tmp_path, small(key))
    make_row(job, Splits(museum, load_tag_list(museum)), HERE, QUIET)
    network, _, tags = load_row(job.folder, museum)
    split = load_split(museum, "inner_test", tags)
    assert read_predictions(job.predictions / key, split, tags).keys() == tags.facets.keys()
    described = json.loads((job.folder / "model.json").read_text())
    assert described["weights"] == "random (seed 1)"
    trained = [name for name, each in network.named_parameters() if each.requires_grad]
    assert all(name.startswith("heads.") for name in trained)


def test_every_network_of_today_is_used_by_a_probe_and_by_neighbours():
    for network in SMALL:
        key = network.removesuffix("_base")
        assert BASELINES[f"probe_{key}"].network == BASELINES[f"neighbours_{key}"].network == network


def test_votes_equal_a_slow_count():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    closed = rng.random((12, 6)) < 0.3
    closed[0] = False
    queries, sizes, k = features[:4], [2, 4], 3
    found = votes(*(torch.tensor(each) for each in (queries, features, closed)), sizes, k)
    for query in range(4):
        cosine = features @ queries[query]
        nearest = np.argsort(-cosine)[:k]
        weight = np.exp(cosine[nearest] / TEMPERATURE)
        weight /= weight.sum()
        for facet, own in enumerate(np.split(closed, [2], axis=1)):
            annotated = own.any(1)
            for tag in range(own.shape[1]):
                named = sum(w for w, n in zip(weight, nearest, strict=True) if own[n, tag])
                prior = own[:, tag].sum() / annotated.sum()
                voters = sum(w for w, n in zip(weight, nearest, strict=True) if annotated[n])
                wanted = np.log(max((named + 0.01 * prior) / (voters + 0.01), 1e-6))
                assert float(found[facet][query, tag]) == pytest.approx(wanted, rel=1e-5)


def tiny_clip() -> NetworkCard:
    """open_clip's ViT with two towers of one layer."""
    image = ImageInput(32, (0.5,) * 3, (0.5,) * 3, "bicubic", "shortest", fixed=True)
    options = {
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"width": 32, "layers": 1, "heads": 2},
        "embed_dim": 16,
    }
    return NetworkCard("open_clip", "ViT-B-32", options, None, None, image, TextInput("clip", 77))


def test_adapters_alone_are_trained_and_the_network_stays(museum: Path):
    row = baseline("clip_lora")
    assert isinstance(row, Clip)
    chosen = replace(recipe("clip_lora", "demo"), network=tiny_clip(), pretrained=False)
    model, _ = network_of(row, chosen, load_tag_list(museum), None, seed=1)
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert "logit_scale" in trained
    assert any("lora_A" in name for name in trained)
    assert all("lora_" in name or name == "logit_scale" for name in trained)
    images = {"image": torch.randn(2, 3, 32, 32)}
    with torch.no_grad():
        before = model.eval()(images)[0]
        for name, each in model.named_parameters():
            if "lora_B" in name:
                each.add_(0.5)
        assert not torch.allclose(before, model(images)[0])
    with pytest.raises(WeightsError, match="no layer that can take adapters"):
        add_adapters(torch.nn.Linear(2, 2), 4)


def with_titles(museum: Path, folder: Path) -> Path:
    """A copy of the dataset with `records.parquet` beside it: a title says the object type, in words of its own."""
    (folder / "dataset").symlink_to(museum)
    tags = load_tag_list(museum)
    by_language = pa.list_(pa.struct([("language", pa.string()), ("text", pa.string())]))
    ids, titles = [], []
    for name in ("train", "validation", "inner_test", "outer_test"):
        split = load_split(museum, name, tags)
        for number, record in enumerate(split.record_ids):
            own = [tags.facets["object_types"].labels[tag] for tag in split.closed_tags("object_types", number)]
            ids.append(record)
            titles.append([{"language": "sv", "text": "x"}, {"language": "en", "text": " ".join(own)}])
    pq.write_table(pa.table({"record_id": ids, "titles": pa.array(titles, by_language)}), folder / "records.parquet")
    return folder / "dataset"


def test_titles_prefer_english_and_a_missing_file_is_one_sentence(tmp_path: Path):
    lists = [
        [{"language": "sv", "text": "skål"}, {"language": "en", "text": "bowl"}],
        [{"language": "de", "text": "Schale"}, {"language": "sv", "text": "skål"}],
        [],
        None,
    ]
    by_language = pa.list_(pa.struct([("language", pa.string()), ("text", pa.string())]))
    table = pa.table({"record_id": ["a", "b", "c", "d"], "titles": pa.array(lists, by_language)})
    (tmp_path / "dataset").mkdir()
    with pytest.raises(DataError, match="which is not there: copy it") as error:
        titles_of(tmp_path / "dataset", ["a"])
    assert "\n" not in str(error.value)
    pq.write_table(table, tmp_path / "records.parquet")
    assert titles_of(tmp_path / "dataset", ["b", "a", "c", "d", "e"]) == ["Schale", "bowl", "", "", ""]


def test_a_row_that_reads_titles_says_so_and_is_never_promoted():
    reading = [key for key, row in BASELINES.items() if row.reads_title]
    assert reading == ["title_neighbours", "ensemble_ml_title"]
    assert set(READ_TITLES) == set(reading)
    assert all(title(key).endswith("(title read)") for key in reading)
    assert not any("title read" in title(key) for key in BASELINES if key not in reading)


def test_titles_find_tags_that_they_name(small_encoder: Path, museum: Path, tmp_path: Path):
    dataset = with_titles(museum, tmp_path)
    tags = load_tag_list(dataset)
    row = Title("title_neighbours", encoder="small")
    job = Job(row, recipe("title_neighbours", "demo"), tmp_path / "m", tmp_path / "p", small_encoder, 1)
    outcome = make_row(job, Splits(dataset, tags), HERE, QUIET)
    assert outcome["validation"]["object_types"] > 0.99
    assert outcome["validation"]["materials"] < 0.99
    described = json.loads((job.folder / "model.json").read_text())
    assert described["reads"] == "title"
    with pytest.raises(BaselineError, match="it reads titles, not pictures"):
        network_of(row, job.recipe, tags, None, 1)
    with pytest.raises(LoadError, match="reads titles"):
        Scorer("title_neighbours", job.models, dataset)


def test_titles_are_compared_in_batches_and_a_split_may_be_empty(
    small_encoder: Path, museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset = with_titles(museum, tmp_path)
    tags, row = load_tag_list(dataset), Title("title_neighbours", encoder="small")
    splits = Splits(dataset, tags)
    outer = splits.get("outer_test")
    splits._read["outer_test"] = outer.keep(np.zeros(len(outer), dtype=bool))
    at_once: list[int] = []

    def watched(queries: torch.Tensor, *others: Any) -> list[torch.Tensor]:
        at_once.append(len(queries))
        return votes(queries, *others)

    monkeypatch.setattr("ml.experiments.title.votes", watched)
    found = {}
    for size in (256, 5):
        chosen = replace(recipe("title_neighbours", "demo"), eval_batch=size)
        job = Job(row, chosen, tmp_path / f"m{size}", tmp_path / f"p{size}", small_encoder, 1)
        make_row(job, splits, HERE, QUIET)
        assert max(at_once) <= size
        at_once.clear()
        folder = job.predictions / row.key
        assert {len(each) for each in read_predictions(folder, splits.get("outer_test"), tags).values()} == {0}
        found[size] = read_predictions(folder, splits.get("inner_test"), tags)
    for facet, scores in found[256].items():
        assert np.allclose(scores, found[5][facet], atol=1e-5)
