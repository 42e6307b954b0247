"""Several seeds: each is trained in a folder of its own, and the table holds the mean and the range."""

from pathlib import Path

import pytest

from ml.experiments.seeds import figures_of, main, table


def test_the_table_holds_mean_and_range():
    seeds = [
        {"softmax": {"inner_test": 0.5, "outer_test": 0.2}},
        {"softmax": {"inner_test": 0.7, "outer_test": 0.4}},
    ]
    assert table(seeds).splitlines()[-1] == "| softmax | 0.600 (0.500 to 0.700) | 0.300 (0.200 to 0.400) |"


def test_two_seeds_are_trained_and_scored(museum: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    overrides = ["--override", "epochs=1", "image_size=32", "cache_px=none", "batch=32"]
    places = ["--dataset", str(museum), "--out", str(tmp_path)]
    assert main(["--seeds", "1", "2", *places, "--baseline", "softmax", *overrides]) == 0
    printed = capfd.readouterr().err.splitlines()
    found = [figures_of(tmp_path / f"seed-{seed}" / "predictions", museum) for seed in (1, 2)]
    assert printed[-1] == table(found).splitlines()[-1]
    assert found[0]["softmax"]["inner_test"] != found[1]["softmax"]["inner_test"]
    assert found[0]["label_prior"] == found[1]["label_prior"]


def test_what_was_made_is_not_trained_again(museum: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    overrides = ["--override", "epochs=1", "image_size=32", "cache_px=none", "batch=32"]
    given = ["--dataset", str(museum), "--out", str(tmp_path), "--baseline", "softmax", *overrides]
    assert main(["--seeds", "1", *given]) == 0
    first = capfd.readouterr()
    made = tmp_path / "seed-1" / "models" / "softmax" / "model.json"
    before = made.stat().st_mtime_ns
    assert main(["--seeds", "1", *given]) == 0
    again = capfd.readouterr()
    assert made.stat().st_mtime_ns == before
    assert (again.out, again.err) == ("", "\n".join(first.err.splitlines()[-4:]) + "\n")
    assert main(["--seeds", "1", *given[:-1], "batch=16"]) == 0  # another recipe
    assert made.stat().st_mtime_ns > before
