"""Settings: a profile, then what a file and single variables change, checked as if they stood in the code."""

from pathlib import Path

import pytest

from pipeline.settings import SettingsError, demo, load

FULL = {"EUFCC_PROFILE": "full"}


def test_a_variable_changes_one_value():
    changed = load(FULL | {"EUFCC__SPLITS__SEED": "7", "EUFCC__BENCHMARK__ROWS": '["softmax"]'})
    assert changed.splits.seed == 7
    assert changed.benchmark.rows == ("softmax",)
    assert changed.harvest == load(FULL).harvest


def test_a_variable_wins_over_the_file(tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_text('[splits]\nseed = 1\nobjective = "proportional"\n', encoding="utf-8")
    changed = load(FULL | {"EUFCC_SETTINGS": str(file), "EUFCC__SPLITS__SEED": "2"}).splits
    assert (changed.seed, changed.objective) == (2, "proportional")


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"EUFCC_PROFILE": "big"}, "EUFCC_PROFILE is 'big'; it must be `demo`, `full` or `official`"),
        ({"EUFCC_PROFILE": "official"}, "PUBLISHED is not set; set it to the folder with the published train.csv"),
        ({"EUFCC_PROFILE": "official", "PUBLISHED": "nowhere"}, "PUBLISHED is nowhere; set it to the folder"),
        ({"EUFCC__SPLIT__SEED": "1"}, "EUFCC__SPLIT__SEED: there is no section `split`"),
        ({"EUFCC__PROFILE__NAME": "x"}, "there is no section `profile`"),
        ({"EUFCC__SPLITS__SEEED": "1"}, "The setting splits.seeed cannot be used: Extra inputs are not permitted"),
        ({"EUFCC__SPLITS__SEED": "many"}, "The setting splits.seed cannot be used"),
        (
            {"EUFCC__IMAGES__NEAR_DUPLICATE_CANDIDATES": "0"},
            "The setting images.near_duplicate_candidates cannot be used: Input should be greater than or equal to 1",
        ),
        ({"EUFCC_SETTINGS": "nowhere.toml"}, "EUFCC_SETTINGS is nowhere.toml, which cannot be read"),
        ({"WEIGHTS": "nowhere"}, "WEIGHTS is nowhere, but there is no such folder"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(environ: dict[str, str], sentence: str):
    with pytest.raises(SettingsError) as said:
        load(environ)
    assert sentence in str(said.value)
    assert "\n" not in str(said.value)


def test_weights_beside_the_museum_are_used(tmp_path: Path):
    museum = tmp_path / "museum"
    museum.mkdir()
    assert load({"MUSEUM": str(museum)}) == demo(museum, None)
    (tmp_path / "weights").mkdir()
    assert load({"MUSEUM": str(museum)}).features.weights == tmp_path / "weights"


def test_weights_of_the_index_bring_their_extractor_and_recipes():
    settings = load({"WEIGHTS": "index"})
    assert settings.features.extractors == ("efficientnet_lite0",)
    assert settings.features.weights == Path("~/.cache/eufcc/weights").expanduser()
    assert settings.benchmark.recipes == "demo_index"
