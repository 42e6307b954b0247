"""`--missing` leaves a row alone that was made from the same recipe, seed, split and tags, and no other."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ml.baselines import baseline, recipe
from ml.dataset.tag_list import load_tag_list
from ml.experiments.fit import Job, Splits
from ml.experiments.make import is_made, make_row
from ml.models.prompts import TextTower
from ml.training.device import Device
from ml.training.progress import Progress


@pytest.mark.parametrize("key", ["clip_zero_shot", "neighbours"])
def test_a_finished_row_is_made_until_its_recipe_or_seed_changes(key: str, museum: Path, tmp_path: Path):
    text = TextTower(context=24, width=32, heads=2, layers=1, embed=32)
    chosen = replace(recipe(key, "demo"), image_size=32, cache_px=None, text_tower=text)
    job = Job(baseline(key), chosen, tmp_path / "models", tmp_path / "predictions", None, seed=1)
    tags = load_tag_list(museum)
    assert not is_made(job, tags)
    make_row(job, Splits(museum, tags), Device(torch.device("cpu")), Progress("test", quiet=True))
    assert is_made(job, tags)
    assert not is_made(replace(job, seed=2), tags)
    longer = replace(chosen, text_tower=replace(text, context=25))
    assert not is_made(replace(job, recipe=longer), tags)
    image = replace(chosen.card.input, size=48)
    assert not is_made(replace(job, recipe=replace(chosen, network=replace(chosen.card, input=image))), tags)
