"""Published weights answer as their library does; each thing that could be wrong is made wrong, and is seen."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from assets.cli.app import app
from ml.models import weights as weight_files
from ml.models.architectures import Backbone
from ml.models.card import NetworkCard
from ml.models.cards import LOCAL, backbone_card, open_clip_card
from ml.models.clip import published
from ml.models.weights import WEIGHTS, WeightsError, find_published
from ml.registry.inventory import listed, stock
from ml.registry.proof import TOLERANCE, difference
from tests.ml.registry.small_networks import as_local_folder, register, write_weights

CLIPS = ("test-quick:openai", "test-plain:laion2b", "test-siglip:webli")
TOWERS = ("test_convnext.r160_in1k", "small_dinov2.seed")
OTHER_MEAN = {"mean": (0.4, 0.5, 0.6)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """The files of all small networks; open_clip and timm know their names while the tests run."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "CACHE", folder / "cache")
        register(folder, patch)
        for name in (*CLIPS, *TOWERS):
            write_weights(name, folder)
        yield folder


@pytest.fixture(autouse=True)
def own_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache of Hugging Face, whatever this machine's own holds."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def card_of(name: str) -> NetworkCard:
    return open_clip_card(name) if ":" in name else backbone_card(Backbone(name))


@pytest.mark.parametrize("name", [*CLIPS, *TOWERS])
def test_our_answers_are_the_librarys(folder: Path, name: str):
    assert difference(card_of(name), folder) <= TOLERANCE


def test_a_folder_of_open_clip_is_read_by_its_own_configuration(folder: Path, tmp_path: Path):
    """Weights, tokenizer and configuration as they lie on Hugging Face."""
    own = as_local_folder("test-siglip:webli", tmp_path / "model")
    card = open_clip_card(f"{LOCAL}{own}")
    assert (card.input.fit, card.input.interpolation, card.text.context) == ("squash", "bicubic", 12)
    assert difference(card) <= TOLERANCE


WRONG: list[tuple[str, str, Any]] = [
    ("test-quick:openai", "options", {}),  # GELU in place of QuickGELU
    ("test-plain:laion2b", "options", {"force_quick_gelu": True}),
    *((name, "input", OTHER_MEAN) for name in (*CLIPS, *TOWERS)),
    *((name, "input", {"std": (0.3, 0.3, 0.3)}) for name in (*CLIPS, *TOWERS)),
    *((name, "input", {"interpolation": "bilinear"}) for name in (*CLIPS, *TOWERS)),
    ("test-siglip:webli", "input", {"fit": "shortest"}),
    ("test-quick:openai", "input", {"fit": "squash"}),
    ("test-quick:openai", "input", {"fit": "box"}),
    ("test_convnext.r160_in1k", "input", {"part": 1.0}),
    ("test-siglip:webli", "text", {"cleaning": "lower"}),
    ("test-plain:laion2b", "text", {"cleaning": "canonicalize"}),
]


@pytest.mark.parametrize(("name", "part", "wrong"), WRONG, ids=lambda value: str(value).replace(" ", ""))
def test_whatever_is_wrong_is_seen(folder: Path, name: str, part: str, wrong: dict[str, Any]):
    card = card_of(name)
    changed = wrong if part == "options" else replace(getattr(card, part), **wrong)
    assert difference(replace(card, **{part: changed}), folder) > 3 * TOLERANCE


def test_another_tokenizer_is_seen(folder: Path):
    card = card_of("test-plain:laion2b")
    other = replace(card.text, tokenizer=str(folder / "tokenizer"))
    assert difference(replace(card, text=other), folder) > 3 * TOLERANCE


def test_the_bias_and_the_scale_of_a_siglip_are_its_own(folder: Path):
    model, _ = published(open_clip_card("test-siglip:webli"), folder, 160)
    assert (model.logit_bias.item(), model.logit_scale.item()) == (-10.0, 3.0)
    assert {"logit_bias", "logit_scale"} <= dict(model.named_parameters()).keys()


def test_the_context_of_a_text_is_the_models(folder: Path):
    """PE-Core reads 32 tokens, SigLIP 64."""
    assert open_clip_card("PE-Core-B-16:meta").text.context == 32
    assert open_clip_card("ViT-B-16-SigLIP2:webli").text.context == 64
    assert open_clip_card("ViT-B-16:openai").text.context == 77


def test_the_cards_of_the_paper_are_the_publishers():
    card = open_clip_card("ViT-B-16:openai")
    assert card.options == {"force_quick_gelu": True}
    assert (card.input.interpolation, card.input.fit, card.licence.spdx) == ("bicubic", "shortest", "MIT")
    assert open_clip_card("ViT-B-16-SigLIP2:webli").input.fit == "squash"
    assert open_clip_card("PE-Core-B-16:meta").input.interpolation == "bilinear"
    dinov3 = backbone_card(Backbone("vit_base_patch16_dinov3.lvd1689m"))
    assert dinov3.licence.spdx == "LicenseRef-dinov3-license"
    tower = backbone_card(Backbone("vit_base_patch16_siglip_224.v2_webli"))
    assert tower.input.mean == (0.5, 0.5, 0.5)
    assert open_clip_card("ViT-B-16-quickgelu:metaclip_400m").licence.commercial_use is False


@pytest.mark.parametrize("name", ["no_such_network", "ViT-B-16:nowhere", "nothing:openai"])
def test_a_name_that_no_library_knows_is_one_sentence(name: str):
    with pytest.raises(WeightsError, match=r"^(timm has no network|open_clip has no model) `"):
        card_of(name)


class Evil:
    """Code in a pickle."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("executed",))


@pytest.mark.parametrize("name", ["test-plain:laion2b", "test_convnext.r160_in1k"])
@pytest.mark.parametrize("damage", ["truncated", "bytes", "pickled", "swapped", "other"])
def test_a_bad_file_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd, name: str, damage: str
):
    """Cut off, overwritten, a pickle with code, another file after the first use, another network from the start."""
    monkeypatch.setattr(weight_files, "CACHE", tmp_path / "cache")
    card, file = card_of(name), tmp_path / f"{name.replace(':', '.')}.safetensors"
    good = (folder / file.name).read_bytes()
    if damage == "swapped":
        file.write_bytes(good)
        difference(card, tmp_path)
        state = load_file(file)
        save_file({key: tensor + 1 if tensor.is_floating_point() else tensor for key, tensor in state.items()}, file)
        card, expected = card_of(name), "is not the file that was pinned as"
    elif damage == "other":
        save_file({"weight": torch.ones(3)}, file)
        expected = "is of another network"
    else:
        pickled = pickle.dumps({"state_dict": Evil()})
        file.write_bytes({"truncated": good[: len(good) // 2], "bytes": b"\xff" * 500, "pickled": pickled}[damage])
        expected = "is damaged"
    with pytest.raises(WeightsError, match=expected) as raised:
        difference(card, tmp_path)
    assert "\n" not in str(raised.value)
    assert "executed" not in capfd.readouterr().out


def test_a_pickle_with_code_is_not_run(tmp_path: Path, capfd):
    file = tmp_path / "weights.pth"
    torch.save({"state_dict": {"a": Evil()}}, file)
    with pytest.raises(WeightsError, match="holds more than tensors, or is damaged"):
        weight_files.read_weights(file)
    assert "executed" not in capfd.readouterr().out


def test_weights_are_pinned_when_they_are_seen_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_files, "CACHE", tmp_path)
    assert card_of("small_dinov2.seed").weights.sha256 is None
    _, seen = find_published(card_of("small_dinov2.seed").weights, folder)
    assert len(seen.sha256) == 64
    assert card_of("small_dinov2.seed").weights.sha256 == seen.sha256
    (tmp_path / "pins.json").write_text("{")
    with pytest.raises(WeightsError, match=r"pins\.json cannot be read"):
        card_of("small_dinov2.seed")


def test_missing_weights_are_one_sentence_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EUFCC_OFFLINE", "1")
    monkeypatch.setattr(weight_files, "CACHE", tmp_path)
    with pytest.raises(WeightsError, match=r"put small_dinov2\.seed\.safetensors into a folder"):
        find_published(card_of("small_dinov2.seed").weights, tmp_path)


def test_every_network_of_the_recipes_is_listed_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_files, "CACHE", tmp_path)
    found = {each.name: each for each in stock([], tmp_path)}
    assert found.keys() == listed().keys() >= {"convnext_base.fb_in1k", "ViT-B-16:openai", "gabor", *WEIGHTS}
    assert found["gabor"].state == "random"
    assert {each.state for name, each in found.items() if name != "gabor"} == {"missing"}
    assert all(each.licence for name, each in found.items() if name != "gabor")
    assert found["convnext_base.fb_in1k"].size_mb == pytest.approx(350, abs=5)


def test_the_command_proves_what_is_here_and_refuses_what_is_not_right(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EUFCC_OFFLINE", "1")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    asked = ["check-weights", "test-quick:openai", "small_dinov2.seed", "--folder", str(folder), "--json"]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [(row["name"], row["state"], row["licence"]) for row in rows] == [
        ("test-quick:openai", "present", "MIT"),
        ("small_dinov2.seed", "present", "Apache-2.0"),
    ]
    assert all(row["difference"] <= TOLERANCE and len(row["sha256"]) == 64 for row in rows)
    (tmp_path / "test-quick.openai.safetensors").write_bytes(b"nothing")
    done = CliRunner().invoke(app, [*asked[:2], "--folder", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 1
    assert "refused" in done.output
    assert "is not the file that was pinned as `test-quick:openai`" in done.output
    done = CliRunner().invoke(app, ["check-weights", "test_convnext.r160_in1k", "--folder", str(tmp_path)])
    assert done.exit_code == 1
    assert "test_convnext.r160_in1k: missing" in done.output


@pytest.mark.shared
def test_the_real_networks_of_shared_answer_as_timms_do(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_files, "CACHE", tmp_path)
    found = {each.name: each for each in stock([], shared / "weights")}
    assert found["mobilenetv2"].state == "present"
    assert found["mobilenetv2"].difference <= TOLERANCE
