"""The best row is found, compared with the one in use, and promoted whole."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ml.registry.champion import ChampionError, Contender, best_contender, promote, read_contender, worse
from pipeline.tables import RESULTS

CHAMPION = Contender("softmax", 0, "run", "inner_test", 0.60, 0.58, 0.62)


def results(*rows: tuple[str, str, float | None]) -> pl.DataFrame:
    kept = {"run": "run", "seed": 0, "facet": "mean", "metric": "r_precision", "policy": "ignore_unseen", "n": 9}
    return RESULTS.frame(
        [
            {**kept, "baseline": name, "split": split, "value": value, "low": value, "high": value}
            for name, split, value in rows
        ]
    )


def test_the_best_trained_row_on_validation_is_the_challenger():
    scored = [
        ("oracle", "validation", 0.99),
        ("a", "validation", 0.5),
        ("b", "validation", 0.6),
        ("a", "inner_test", 0.9),
    ]
    assert best_contender(results(*scored)).baseline == "b"
    assert (
        best_contender(
            results(("oracle", "inner_test", 0.9), ("b", "inner_test", 0.5), ("a", "inner_test", 0.5))
        ).baseline
        == "a"
    )


def test_without_a_trained_row_there_is_no_challenger():
    with pytest.raises(ChampionError, match="train at least one"):
        best_contender(
            results(("oracle", "inner_test", 0.9), ("label_prior", "inner_test", 0.2), ("a", "inner_test", None))
        )


def test_a_score_below_the_interval_of_the_one_in_use_is_worse():
    assert worse(CHAMPION, None) == []
    assert worse(replace(CHAMPION, score=0.58), CHAMPION) == []
    [said] = worse(replace(CHAMPION, score=0.57, baseline="clip"), CHAMPION)
    assert said.startswith("clip has 0.570 on inner_test; the champion softmax has 0.600 (0.580 to 0.620).")
    assert "splits differ" in worse(replace(CHAMPION, score=0.5, run="other"), CHAMPION)[0]


def test_promotion_replaces_the_model_whole(tmp_path: Path):
    for row, content in (("softmax", "old"), ("clip", "new")):
        (tmp_path / "models" / row).mkdir(parents=True)
        (tmp_path / "models" / row / f"{row}.txt").write_text(content)
        promote(replace(CHAMPION, baseline=row), tmp_path / "models", tmp_path / "champion")
    files = [str(file.relative_to(tmp_path / "champion")) for file in sorted((tmp_path / "champion").rglob("*"))]
    assert files == ["champion.json", "model", "model/clip.txt"]
    kept = read_contender(tmp_path / "champion" / "champion.json")
    assert kept == replace(CHAMPION, baseline="clip")
    with pytest.raises(ChampionError, match="train it"):
        promote(replace(CHAMPION, baseline="gone"), tmp_path / "models", tmp_path / "champion")
    assert read_contender(tmp_path / "champion" / "champion.json") == kept
