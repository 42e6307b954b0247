"""WiSE-FT: the mix of weights is what it says, and is chosen on training images held out, never on reported ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml.baselines import baseline, recipe
from ml.dataset.batches import Images
from ml.dataset.split import DataError, ImageSplit, load_split
from ml.dataset.tag_list import load_tag_list
from ml.experiments import wise_ft
from ml.experiments.fit import Job, Splits
from ml.experiments.make import make_row, network_of
from ml.experiments.wise_ft import best_share, copy_of, held_out_provider, judging_images, mix_weights, mixed
from ml.models.prompts import TextTower
from ml.training.checkpoints import CheckpointError, read_description
from ml.training.device import Device
from ml.training.progress import Progress
from ml.training.recipe import Recipe

HERE = Device(torch.device("cpu"))
QUIET = Progress("test", quiet=True)


class Watched(Splits):
    """Splits that remember which were asked for."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(dataset, load_tag_list(dataset))
        self.asked: set[str] = set()

    def get(self, name: str, recipe: Recipe | None = None) -> ImageSplit:
        self.asked.add(name)
        return super().get(name, recipe)


def remembering(function: Callable[..., Any], records: list[set[str]]) -> Callable[..., Any]:
    """The function, which notes the images that it is given."""

    def called(*arguments: Any) -> Any:
        images = next(each for each in arguments if isinstance(each, Images))
        records.append(set(images.split.record_ids))
        return function(*arguments)

    return called


def job(key: str, museum: Path, folder: Path, epochs: int = 2) -> Job:
    text = TextTower(context=12, width=32, heads=2, layers=1, embed=32)
    chosen = replace(recipe(key, "demo"), image_size=32, cache_px=None, epochs=epochs, batch=32, text_tower=text)
    return Job(baseline(key), chosen, folder / "models", folder / "predictions", None, seed=1)


def test_a_mix_is_on_the_straight_line_and_counters_are_the_end():
    start = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(3)}
    end = {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(9)}
    assert mixed(start, end, 0.25)["w"].tolist() == [0.25, 2.5]
    assert mixed(start, end, 0.25)["n"].item() == 9
    assert torch.equal(mixed(start, end, 1.0)["w"], end["w"])


def test_weights_of_float16_are_mixed_in_float32():
    start, end = ({"w": torch.tensor([value], dtype=torch.float16)} for value in (1.0, 1.001))
    half_way = mixed(start, end, 0.5)["w"]
    assert half_way.dtype == torch.float32
    assert half_way.item() == (start["w"].item() + end["w"].item()) / 2  # float16 has no number between them


def test_a_tenth_of_the_groups_judges(museum: Path):
    split = load_split(museum, "train", load_tag_list(museum))
    many = replace(split, groups=tuple(f"group {number // 3}" for number in range(96 * 30)))
    chosen = judging_images(many)
    assert 0.08 < chosen.mean() < 0.12
    assert np.array_equal(chosen[::3], chosen[2::3])  # never a part of a group
    assert len(split.keep(np.arange(96) < 5).groups) == 5


def test_the_best_share_is_that_of_the_best_mean_over_both_judges():
    scored = {
        0.0: {"alike": 0.2, "held_out": 0.3},
        0.5: {"alike": 0.5, "held_out": 0.4},
        1.0: {"alike": 0.6, "held_out": 0.3},
    }
    assert best_share(scored) == 0.5  # of two equal means the one nearer to the start


def test_the_provider_held_out_leaves_enough_to_train_on(museum: Path):
    split = load_split(museum, "train", load_tag_list(museum))
    with pytest.raises(DataError, match="No training provider is small enough"):
        held_out_provider(split)  # three museums of a third each
    names = ("Big",) * 70 + ("Small B",) * 10 + ("Small A",) * 10 + ("Tiny",) * 6
    assert held_out_provider(replace(split, providers=names)) == "Small A"


def test_the_row_is_a_mix_chosen_without_the_tests(museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    splits = Watched(museum)
    few = np.arange(96) % 8 == 0
    train = splits.get("train")
    providers = tuple("Museum D" if d else name for d, name in zip(few, train.providers, strict=True))
    splits._read["train"] = replace(train, providers=providers)
    tuned = job("clip_1_tag_prompt", museum, tmp_path)
    make_row(tuned, splits, HERE, QUIET)
    made = job("clip_wise_ft", museum, tmp_path)
    start, _ = network_of(made.row, made.recipe, splits.tag_list, None, 1)
    model, _ = network_of(made.row, made.recipe, splits.tag_list, None, 1)

    splits.asked.clear()
    seen: dict[str, list[set[str]]] = {"predict": [], "fit": []}
    for name, records in seen.items():
        monkeypatch.setattr(wise_ft, name, remembering(getattr(wise_ft, name), records))
    chosen = mix_weights(made.row, made, model, splits, HERE, QUIET)
    assert splits.asked == {"train", "validation"}  # validation chooses the trial's epoch
    assert chosen["wise_held_out"] == "Museum D"
    alike, held_out = seen["predict"][:2]
    assert seen["predict"] == [alike, held_out] * 11
    validation = set(splits.get("validation").record_ids)
    assert alike
    assert not (alike | held_out) & validation
    assert not alike & held_out
    (trained,) = seen["fit"]
    assert trained == set(train.record_ids) - alike - held_out
    assert list(chosen["wise_scores"]) == [f"{step / 10:g}" for step in range(11)]
    end = load_file(tuned.folder / "weights.safetensors")
    expected = mixed(copy_of(start), end, chosen["wise_share"])
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())

    make_row(made, splits, HERE, QUIET)
    assert read_description(made.folder)["cost"]["wise_share"] == chosen["wise_share"]
    assert (made.predictions / "clip_wise_ft" / "outer_test" / "materials.parquet").exists()


def test_without_the_fine_tuned_row_it_is_one_sentence(museum: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="train clip_1_tag_prompt first"):
        make_row(job("clip_wise_ft", museum, tmp_path), Splits(museum, load_tag_list(museum)), HERE, QUIET)
