"""The text tower of a pretrained sentence encoder, with a small one whose files the test writes itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from ml.baselines import baseline, recipe
from ml.dataset.tag_list import load_tag_list
from ml.experiments.fit import Job, Splits
from ml.experiments.make import is_made, make_row, network_of
from ml.models.card import TextInput
from ml.models.sentence_encoder import ENCODERS, SentenceEncoder, SentenceTower
from ml.models.tokens import tokenize
from ml.models.weights import WeightsError
from ml.registry.load import load_row
from ml.training.device import Device
from ml.training.optimization import optimizer_for
from ml.training.progress import Progress
from tests.ml.encoders import SIZES, small_encoder

__all__ = ["small_encoder"]

HERE = Device(torch.device("cpu"))


def small(key: str = "clip_1_tag", **changes: object):
    """The demo's recipe with the encoder `small`."""
    chosen = replace(recipe(key, "demo"), image_size=32, cache_px=40, epochs=2, batch=32, text_encoder="small")
    return replace(chosen, **changes)


def published(folder: Path) -> BertModel:
    torch.manual_seed(0)
    return BertModel(BertConfig(**SIZES)).half().float().eval()


def test_a_sentence_is_the_mean_of_its_words_at_unit_length(small_encoder: Path):
    tower = SentenceTower(ENCODERS["small"], 8, locked=True).eval()
    tower.load_published(small_encoder / "small.safetensors")
    tokens = tokenize(
        ["Gold bowls", "glass", "carpets of knotted copper"], TextInput(str(small_encoder / "small.json"), 12)
    )
    assert tokens.shape == (3, 12)
    reference = published(small_encoder)
    with torch.inference_mode():
        for row, vector in zip(tokens, tower.encode(tokens), strict=True):
            words = row[row != 0][None]  # a text alone, without padding
            mean = reference(words).last_hidden_state[0].mean(0)
            assert torch.allclose(vector, mean / mean.norm(), atol=1e-5)


def test_a_long_text_is_cut_and_keeps_its_end(small_encoder: Path):
    tokens = tokenize(["gold " * 50], TextInput(str(small_encoder / "small.json"), 6))
    assert tokens.tolist() == [[2, 11, 11, 11, 11, 3]]


@pytest.mark.parametrize("locked", [True, False])
def test_a_locked_encoder_stays_and_a_tuned_one_moves(locked: bool, small_encoder: Path, museum: Path):
    chosen, tags = small(pretrained=False, text_locked=locked, head_lr=1e-2, lr=1e-3), load_tag_list(museum)
    model, _ = network_of(baseline("clip_1_tag"), chosen, tags, small_encoder, seed=1)
    groups = optimizer_for(model, chosen, HERE).param_groups
    scale = {id(each): group["lr_scale"] for group in groups for each in group["params"]}
    encoder = [scale.get(id(each)) for each in model.text.encoder.parameters()]
    assert set(encoder) == ({None} if locked else {1.0})
    assert scale[id(model.text.projection.weight)] == pytest.approx(10.0)
    tokens = torch.tensor([[2, 5, 3, 0], [2, 6, 3, 0]])
    first, again = model.train().text(tokens), model.text(tokens.flip(0)).flip(0)
    assert torch.equal(first, again) == locked  # dropout of the tuned one
    first.sum().backward()
    moved = [each.grad is not None for each in model.text.encoder.parameters()]
    assert any(moved) != locked


def test_a_row_is_trained_and_its_model_needs_no_vocabulary(small_encoder: Path, museum: Path, tmp_path: Path):
    # its weights are found beside the vocabulary; the image network begins at random
    chosen = small(backbone=recipe("clip_1_tag", "demo").backbone, pretrained=True)
    job = Job(baseline("clip_1_tag"), chosen, tmp_path / "models", tmp_path / "predictions", small_encoder, 1)
    tags = load_tag_list(museum)
    make_row(job, Splits(museum, tags), HERE, Progress("test", quiet=True))
    assert is_made(job, tags)
    assert not is_made(replace(job, recipe=replace(chosen, text_locked=False)), tags)
    described = json.loads((job.folder / "model.json").read_text())
    assert "text tower small from a test (MIT)" in described["weights"]
    assert described["network"]["text"]["tokenizer"] == "small_vocabulary"

    trained, _ = network_of(job.row, chosen, tags, small_encoder, seed=1)
    for file in small_encoder.iterdir():
        file.unlink()
    loaded, _, _ = load_row(job.folder, museum)
    assert torch.equal(loaded.tag_tokens("materials"), trained.tag_tokens("materials"))
    with torch.inference_mode():
        scores = loaded.log_scores(loaded({"image": torch.zeros(1, 3, 32, 32)}))
    assert {facet: values.shape[1] for facet, values in scores.items()} == {
        facet: len(each) for facet, each in tags.facets.items()
    }


def test_weights_of_another_network_are_refused(small_encoder: Path):
    tower = SentenceTower(SentenceEncoder("small", "x", SIZES | {"num_hidden_layers": 3}), 8, locked=True)
    with pytest.raises(WeightsError, match=r"of another network: `encoder\.layer\.2.*` does not fit"):
        tower.load_published(small_encoder / "small.safetensors")
