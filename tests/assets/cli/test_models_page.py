"""The page of networks is what the command writes, names every network of every row, and only commands that exist."""

import re
from pathlib import Path

from assets.cli.models_page import DESCRIBED, models_page
from ml.baselines import BASELINES, recipe
from ml.models.architectures import BACKBONES
from ml.models.sentence_encoder import ENCODERS

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_page_is_that_of_the_cards():
    assert PAGE.read_text(encoding="utf-8") == models_page(), "run `eufcc models`"


def test_every_network_of_a_row_is_on_the_page():
    recipes = [recipe(key, "full") for key in BASELINES]
    assert {each["open_clip"] for each in DESCRIBED if "open_clip" in each} == {r.open_clip for r in recipes} - {None}
    assert {each["backbone"] for each in DESCRIBED if "backbone" in each} == set(BACKBONES)
    assert {each["encoder"] for each in DESCRIBED if "encoder" in each} == set(ENCODERS)


def test_its_commands_name_rows_and_targets_that_exist():
    rows = {key for each in DESCRIBED for key in re.findall(r"--baseline ([a-z0-9_ ]+?) …", each["command"])}
    assert {key for keys in rows for key in keys.split()} <= set(BASELINES)
    assert len(rows) == 6
    others = {each["command"] for each in DESCRIBED if "--baseline" not in each["command"]}
    assert all(re.search(r"make (demo|run)", command) for command in others)


def test_a_memory_that_was_not_measured_is_blank():
    for each in DESCRIBED:
        assert ("training_gb" in each) == ("measured" in each)
        if "measured" in each:
            text = (PAGE.parent / each["measured"]).read_text(encoding="utf-8")
            assert f"{each['training_gb']} GB" in text
