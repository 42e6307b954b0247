"""A recipe's network: what is overridden brings its own card, and pictures follow it everywhere."""

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ml.baselines import recipe
from ml.dataset.tag_list import load_tag_list
from ml.dataset.transforms import View, random_box
from ml.experiments.fit import Splits
from ml.models.architectures import Backbone
from ml.models.tokens import tokenize
from ml.models.weights import WeightsError
from ml.training.recipe import Recipe


def test_an_overridden_backbone_brings_its_own_licence_and_pictures():
    before = recipe("multilabel", "demo", base="demo_weights")
    assert before.card.licence.spdx == "Apache-2.0"
    dinov3 = before.override({"backbone": "vit_base_patch16_dinov3.lvd1689m"})
    assert dinov3.backbone == Backbone("vit_base_patch16_dinov3.lvd1689m")  # neither MobileNetV2's file nor its padding
    assert dinov3.card.licence.spdx == "LicenseRef-dinov3-license"
    assert dinov3.card.input.interpolation == "bicubic"
    siglip = recipe("multilabel", "full").override({"backbone": "vit_base_patch16_siglip_224.v2_webli"})
    assert siglip.card.input.mean == siglip.card.input.std == (0.5, 0.5, 0.5)
    assert before.override({"backbone": "gabor", "weights_file": "x"}).backbone == Backbone("gabor", weights="x")
    with pytest.raises(WeightsError, match="timm has no network `vgg0`"):
        _ = before.override({"backbone": "vgg0"}).card


def test_models_of_open_clip_bring_their_context_size_and_scaling():
    clip = recipe("clip_1_tag", "full")
    assert (clip.size, clip.card.text.context, clip.card.input.fit) == (224, 77, "shortest")
    core = clip.override({"open_clip": "PE-Core-L-14-336:meta"})
    assert (core.size, core.card.text.context, core.card.input.fit) == (336, 32, "squash")
    assert tokenize(["a bowl"], core.card.text).shape == (1, 32)
    random_weights = core.override({"pretrained": "false"}).card
    assert (random_weights.weights, random_weights.input) == (None, core.card.input)


def test_the_papers_networks_are_shown_224_pixels_as_published():
    vision, clip = recipe("multilabel", "full"), recipe("clip_1_tag", "full")
    assert vision.evaluation_view == View(224, part=0.875, interpolation="bicubic", fit="shortest")
    assert clip.evaluation_view == View(224, interpolation="bicubic", fit="shortest")
    assert vision.training_view == View(224, (0.08, 1.0), interpolation="bicubic")


def test_the_demos_network_sees_what_it_saw():
    shown = recipe("multilabel", "demo")
    assert shown.evaluation_view == View(128, interpolation="bilinear", fit="box")
    assert shown.training_view == View(128, (0.5, 1.0), interpolation="bilinear")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pictures_decoded_beforehand_are_resized_as_the_network_wants(museum, interpolation: str):
    card = recipe("multilabel", "demo").card
    chosen = Recipe(cache_px=30, network=replace(card, input=replace(card.input, interpolation=interpolation)))
    splits = Splits(museum, load_tag_list(museum))
    decoded = splits.get("validation", chosen).pixels[0]
    sides = (decoded.shape[1], decoded.shape[0])
    assert min(sides) == 30
    picture = Image.open(io.BytesIO(splits.get("validation").jpegs[0].as_py()))
    picture.draft("RGB", sides)
    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    expected = np.asarray(picture.convert("RGB").resize(sides, resampling))
    assert np.array_equal(decoded, expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_training_crops_are_resized_as_the_network_wants(interpolation: str):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    picture, box = Image.fromarray(noise), random_box(120, 90, random.Random(3), (0.5, 1.0))
    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    view = View(32, (0.5, 1.0), flip=False, interpolation=interpolation)  # type: ignore[arg-type]
    shown = view.apply(picture, random.Random(3))
    assert np.array_equal(shown, np.asarray(picture.resize((32, 32), resampling, box=box)))
