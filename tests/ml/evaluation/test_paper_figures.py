"""The paper's figures on published splits: those of `results`, those without leaks recounted, and their changes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import evaluate
from ml.evaluation.image_scores import ImageScores
from ml.evaluation.paper_figures import leaked_images, paper_figures
from pipeline import FACETS
from pipeline.tables import PAPER_FIGURES, SPLIT_TABLE
from tests.ml.published_run import MENDED_ROWS, ROWS, write_published_storage
from tests.ml.scored import FAST, random_scores

METRICS = ["r_precision", "acc_at_1", "acc_at_10", "avg_rank_position"]


@pytest.fixture(scope="module")
def storage(museum, once) -> Path:
    return once("published_storage", lambda folder: write_published_storage(museum, folder))


@pytest.fixture(scope="module")
def figures(storage: Path) -> pl.DataFrame:
    return PAPER_FIGURES.read(storage / "paper_figures.parquet")


def figure(figures: pl.DataFrame, splits: str, split: str, facet: str, metric: str, row: str = "softmax") -> dict:
    return figures.filter(splits=splits, split=split, facet=facet, metric=metric, baseline=row).row(0, named=True)


@pytest.mark.parametrize(("splits", "place"), [("published", ""), ("mended", "mended")])
def test_the_figures_of_a_facet_are_those_of_the_results(storage, figures, splits, place):
    folder = storage / place / "predictions" / "softmax"
    results = evaluate(folder, storage / place / "dataset", settings=FAST)
    wanted = [row for row in results if row["metric"] in METRICS and row["policy"] == "ignore_unseen"]
    compared = 0
    for row in wanted:
        if row["facet"] == "mean":
            continue
        found = figure(figures, splits, row["split"], row["facet"], row["metric"])
        named = ("value", "low", "high")
        assert [found[name] for name in named] == [row[name] for name in named]
        assert found["images"] == row["n"]
        compared += 1
    assert compared == 2 * len(FACETS) * len(METRICS)


def test_a_mean_is_that_of_all_facets(figures):
    for split in ("inner_test", "outer_test"):
        for metric in METRICS:
            facets = [figure(figures, "published", split, facet, metric)["value"] for facet in FACETS]
            mean = figure(figures, "published", split, "mean", metric)
            assert mean["value"] == pytest.approx(np.mean(facets), rel=1e-5)
            assert mean["facets"] == len(FACETS)


def test_without_leaks_the_images_of_training_do_not_count(storage, figures):
    """Counted again image by image, with what the group ids of the splits say."""
    dataset = load_dataset(storage / "dataset")
    truth = load_truth(dataset, "inner_test")
    splits = SPLIT_TABLE.read(storage / "dataset" / "splits.parquet")
    in_training = set(splits.filter(pl.col("split").is_in(["train", "validation"]))["group_id"])
    clean = np.array([group not in in_training for group in truth.images["group_id"]])
    assert 0 < clean.sum() < len(clean)
    assert (leaked_images(dataset, truth) == ~clean).all()
    scores = random_scores(storage / "dataset", "inner_test", 0, 0.35)
    for facet in FACETS:
        counted = ImageScores(truth.relevance[facet].of(np.flatnonzero(clean)), FAST.top_k)
        annotated = np.flatnonzero(np.diff(counted.relevance.starts) + counted.relevance.unseen > 0)
        matrix = scores[facet][clean].astype(np.float16)
        counted.add(matrix[annotated], annotated, dataset.facets[facet].parents)
        values = counted.column("r_precision")
        found = figure(figures, "without_leaks", "inner_test", facet, "r_precision")
        assert found["value"] == pytest.approx(np.nanmean(values), rel=1e-5)
        assert found["images"] == (~np.isnan(values)).sum()
        published = figure(figures, "published", "inner_test", facet, "r_precision")
        assert found["change"] == pytest.approx(found["value"] - published["value"], abs=1e-5)
        assert published["change"] is None


def test_every_change_is_inside_its_interval(figures):
    known = figures.drop_nulls("change_low")
    assert set(known["splits"]) == {"without_leaks", "mended"}
    assert known.filter(
        ~pl.col("change").is_between(pl.col("change_low") - 1e-6, pl.col("change_high") + 1e-6)
    ).is_empty()
    nothing_leaks = figure(figures, "without_leaks", "outer_test", "subjects", "acc_at_1")
    assert nothing_leaks["units"] <= 2


def test_a_row_that_was_not_trained_again_has_no_mended_figures(storage, figures):
    assert set(figures.filter(splits="mended")["baseline"]) == set(MENDED_ROWS)
    assert set(figures.filter(splits="published")["baseline"]) == set(ROWS)
    alone = paper_figures(storage, FAST, ROWS)
    assert alone.equals(figures.filter(pl.col("splits") != "mended").select(alone.columns), null_equal=True)
