"""timm and open_clip load an exported model by their own calls, as the card shows them, and answer as it does."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file

from ml.baselines import baseline, recipe
from ml.dataset.tag_list import load_tag_list
from ml.experiments.make import network_of
from ml.models import weights as weight_files
from ml.registry import export
from ml.registry.libraries import HEADS
from ml.registry.load import load_row
from ml.training import checkpoints
from tests.ml.registry.small_networks import register, write_weights

Made = Callable[..., Path]
VISION = [
    ("multilabel", {"backbone": "test_convnext.r160_in1k"}),
    ("hsoftmax_nodes", {"backbone": "test_efficientnet.r160_in1k", "freeze": "2", "pretrained": "false"}),
    ("softmax", {"backbone": "small_dinov2.seed"}),
]
CLIPS = [
    ("clip_1_tag", {"open_clip": "test-quick:openai"}),
    ("clip_all_tags", {"open_clip": "test-plain:laion2b", "image_size": "32"}),
    ("clip_1_tag", {"open_clip": "test-siglip:webli"}),
]


@pytest.fixture(scope="module")
def made(museum: Path, tmp_path_factory: pytest.TempPathFactory):
    """A row's model folder, as the trainer leaves it, with random heads; the libraries know the small networks."""
    folder = tmp_path_factory.mktemp("exported")
    tag_list = load_tag_list(museum)

    def make(row: str, overrides: dict[str, str], key: str) -> Path:
        chosen = recipe(row, "full").override(overrides)
        network, card = network_of(baseline(row), chosen, tag_list, folder, 3)
        described = {
            "baseline": row,
            "seed": 3,
            "weights": card.origin,
            "split_hash": tag_list.split_hash,
            "tag_list_hash": tag_list.tag_list_hash,
            "facets": {facet: len(tags) for facet, tags in tag_list.facets.items()},
            "recipe": chosen.as_json(),
            "network": card.as_json(),
        }
        torch.manual_seed(1)
        for name, parameter in network.named_parameters():
            if "lora_" in name or "heads" in name:  # zero or tiny at the start: their part must be seen
                torch.nn.init.normal_(parameter, std=0.3)
        checkpoints.save_model(network, described, folder / key)
        return folder / key

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "CACHE", folder / "cache")
        register(folder, patch)
        for name in ("test_convnext.r160_in1k", "small_dinov2.seed", *(values["open_clip"] for _, values in CLIPS)):
            write_weights(name, folder)
        yield make


def by_the_card(folder: Path, image: Image.Image) -> dict[str, torch.Tensor]:
    """Run the code on the folder's card; its `logits`."""
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)[1]
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 10
    names: dict[str, Any] = {"image": image}
    exec(code.replace("path/to/this/folder", str(folder)), names)
    return names["logits"]


def own_logits(model: Path, museum: Path, image: Image.Image) -> dict[str, torch.Tensor]:
    """The project's network on the project's pixels."""
    network, chosen, tag_list = load_row(model, museum)
    pixels = torch.from_numpy(chosen.evaluation_view.apply(image, None).copy()).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(getattr(chosen.card.input, name))[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        answered = network({"image": ((pixels - mean) / std)[None]})
        if isinstance(answered, list):
            return dict(zip(tag_list.facets, answered, strict=True))
        vectors, _, scale, bias = answered
        bias = 0.0 if bias is None else bias
        return {facet: scale * vectors @ network.embed_tags(facet).T + bias for facet in tag_list.facets}


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (190, 260, 3), np.uint8))


@pytest.mark.parametrize(
    ("row", "overrides", "library"),
    [*((*each, "timm") for each in VISION), *((*each, "open_clip") for each in CLIPS)],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else str(value),
)
def test_the_code_on_the_card_gives_our_logits(
    made: Made, museum: Path, picture: Image.Image, tmp_path: Path, row: str, overrides: dict[str, str], library: str
):
    model = made(row, overrides, "-".join([row, *overrides.values()]).replace(":", "."))
    folder = export.write_model_release(model, museum, [], tmp_path / "exported", onnx=False)
    assert not (folder / "weights.safetensors").exists()
    assert ModelCard.load(folder / "README.md").data.library_name == library
    theirs, ours = by_the_card(folder, picture), own_logits(model, museum, picture)
    assert theirs.keys() == ours.keys()
    for facet, logits in ours.items():
        assert logits.std() > 1e-3
        torch.testing.assert_close(theirs[facet], logits, atol=1e-5, rtol=1e-5)


def test_low_rank_adapters_are_merged(made: Made, museum: Path, picture: Image.Image, tmp_path: Path):
    model = made("clip_lora", {"open_clip": "test-plain:laion2b"}, "lora")
    folder = export.write_model_release(model, museum, [], tmp_path / "exported", onnx=False)
    assert not [name for name in load_file(folder / "open_clip_model.safetensors") if "lora" in name]
    theirs, ours = by_the_card(folder, picture), own_logits(model, museum, picture)
    for facet, logits in ours.items():
        torch.testing.assert_close(theirs[facet], logits, atol=1e-3, rtol=1e-4)


def test_the_card_says_licence_start_and_figures(made: Made, museum: Path, tmp_path: Path):
    model = made("multilabel", {"backbone": "test_convnext.r160_in1k"}, "card")
    row = {"baseline": "multilabel", "split": "outer_test", "facet": "classifications", "metric": "r_precision"}
    row |= {"policy": "ignore_unseen", "value": 0.51234, "low": None, "high": None, "n": 1234}
    folder = export.write_model_release(model, museum, [row], tmp_path / "exported", onnx=False)
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.base_model) == ("apache-2.0", "timm/test_convnext.r160_in1k")
    (figure,) = data.eval_results
    assert (figure.metric_type, figure.metric_value, figure.dataset_split) == ("r_precision", 0.51234, "outer_test")
    assert figure.metric_name == "R-Precision (disciplines)"
    assert json.loads((folder / "config.json").read_text())["pretrained_cfg"]["license"] == "Apache-2.0"
    assert "| outer test | disciplines | 0.512 | – | – | – | 1,234 |" in (folder / "README.md").read_text()


def test_a_licence_without_a_name_on_the_hub_is_linked(made: Made, museum: Path, tmp_path: Path):
    model = made("softmax", {"backbone": "small_dinov2.seed"}, "other_licence")
    described = json.loads((model / "model.json").read_text())
    described["network"]["licence"] = {"spdx": "LicenseRef-x", "commercial_use": None, "source": "https://x.example"}
    (model / "model.json").write_text(json.dumps(described))
    folder = export.write_model_release(model, museum, [], tmp_path / "exported", onnx=False)
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.license_name, data.license_link) == ("other", "x", "https://x.example")


def test_a_model_that_its_library_loads_otherwise_is_not_exported(
    made: Made, museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """timm's file is damaged on the way: the folder is not written."""
    from timm import models

    written = models.save_for_hf

    def damaged(network: Any, folder: str, **options: Any) -> None:
        written(network, folder, **options)
        file = Path(folder) / "model.safetensors"
        save_file({name: tensor * 1.01 for name, tensor in load_file(file).items()}, file)

    monkeypatch.setattr(models, "save_for_hf", damaged)
    model = made("multilabel", {"backbone": "test_convnext.r160_in1k"}, "damaged")
    with pytest.raises(export.ExportError, match="What timm loads differs by"):
        export.write_model_release(model, museum, [], tmp_path / "exported", onnx=False)
    assert not (tmp_path / "exported").exists()


def test_a_folder_with_other_files_stays(made: Made, museum: Path, tmp_path: Path):
    model = made("multilabel", {"backbone": "test_convnext.r160_in1k"}, "again")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(export.ExportError, match="holds other files"):
        export.write_model_release(model, museum, [], tmp_path, onnx=False)
    folder = tmp_path / "exported"
    for _ in range(2):  # an earlier export is replaced
        export.write_model_release(model, museum, [], folder, onnx=False)
    assert (folder / HEADS).is_file()
