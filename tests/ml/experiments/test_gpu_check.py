"""The check for a lent GPU, on the processor with small networks: all twelve rows, and what happens at the limit."""

import json
from pathlib import Path

import pytest

from ml.baselines import PAPER_ROWS
from ml.experiments.gpu_check import main

SMALL = ["--recipes", "demo", "--override", "image_size=32", "cache_px=40", "batch=48", "epochs=1"]  # two steps


@pytest.fixture
def arguments(museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return ["--dataset", str(museum), "--out", str(tmp_path / "check.json"), "--device", "cpu"]


@pytest.mark.long
def test_all_twelve_rows_are_made_and_measured(arguments: list[str], tmp_path: Path, capsys):
    assert main([*arguments, *SMALL]) == 0
    checked = json.loads((tmp_path / "check.json").read_text())
    assert list(checked["rows"]) == [row.key for row in PAPER_ROWS]
    assert checked["unfinished"] == []
    trained = {key: row for key, row in checked["rows"].items() if row["training_s"] and "ensemble" not in key}
    assert len(trained) == 9
    for row in trained.values():
        assert row["images_per_s"] > 0
        assert row["peak_memory_mb"] > 0
        assert 0 <= row["data_wait"] <= 1
    assert capsys.readouterr().out.count("\n| ") == 12


def test_what_the_limit_cuts_off_is_named(arguments: list[str], tmp_path: Path, capsys):
    assert main([*arguments, "--limit", "0.5", *SMALL]) == 1
    checked = json.loads((tmp_path / "check.json").read_text())
    assert "clip_1_tag_prompt" in checked["unfinished"]
    assert checked["complaint"] == "The limit of 0.5 s was reached."
    assert "not made: multilabel" in capsys.readouterr().err


def test_an_error_of_the_trainer_is_told(arguments: list[str], tmp_path: Path, capsys):
    assert main([*arguments, "--override", "image_size=big"]) == 1
    assert "The recipe value `image_size` cannot be `big`" in capsys.readouterr().err
