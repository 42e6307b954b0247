"""Rows compared over seeds: figures as a slow count over the prediction files, and rows that are the same."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.dataset.ground_truth import EvaluationError
from ml.dataset.prediction_files import read_predictions, write_predictions
from ml.dataset.split import ImageSplit, load_split
from ml.dataset.tag_list import TagList, load_tag_list
from ml.evaluation.over_seeds import FIGURES, OverSeeds, compare_over_seeds, family
from pipeline.settings import EvaluationSettings
from tests.ml.museum import write_museum

QUICK = EvaluationSettings(resamples=400, least_groups=2)


@pytest.fixture(scope="module")
def museum(once) -> Path:
    """A dataset folder of coloured shapes."""
    return once("coloured_shapes", write_museum)


@pytest.fixture(scope="module")
def seeds(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a row that knows half of each answer, and of one that knows nothing."""
    folder, tags = tmp_path_factory.mktemp("seeds"), load_tag_list(museum)
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        for name in ("inner_test", "outer_test"):
            split = load_split(museum, name, tags)
            for row, knows in (("good", 1.5), ("bad", 0.0)):
                scores = {f: _scores(split, f, len(t), rng, knows) for f, t in tags.facets.items()}
                write_predictions(
                    scores, split, tags, folder / f"seed-{seed}/predictions/{row}", baseline=row, seed=seed
                )
    return folder


def _scores(split: ImageSplit, facet: str, n_tags: int, rng: np.random.Generator, knows: float) -> np.ndarray:
    logits = rng.normal(size=(len(split), n_tags)) + knows * split.relevant(facet, n_tags)
    return -np.log1p(np.exp(-logits)).astype(np.float32)


def found(seeds: Path, museum: Path, row: str, other: str) -> dict[tuple[str, str], OverSeeds]:
    compared = compare_over_seeds(seeds, museum, row, [other], 0.01, QUICK)
    return {(each.split, each.figure): each for each in compared}


def slow_r_precision(folder: Path, split: ImageSplit, tags: TagList) -> float:
    means = []
    for facet, scores in read_predictions(folder, split, tags).items():
        shares = []
        for image in range(len(split)):
            right = set(split.closed_tags(facet, image).tolist())
            if right:
                best = sorted(range(scores.shape[1]), key=lambda tag: -scores[image, tag])[: len(right)]
                shares.append(len(right & set(best)) / len(right))
        means.append(np.mean(shares))
    return float(np.mean(means))


def slow_calibration(folder: Path, split: ImageSplit, tags: TagList) -> float:
    errors = []
    for facet, scores in read_predictions(folder, split, tags).items():
        bins: dict[int, list[float]] = {}
        n = 0
        for image in range(len(split)):
            right = split.closed_tags(facet, image)
            if len(right):
                best = int(scores[image].argmax())
                sure = float(np.exp(scores[image, best]))
                bins.setdefault(min(int(sure * QUICK.calibration_bins), 14), []).append(sure - (best in right))
                n += 1
        errors.append(sum(abs(sum(each)) for each in bins.values()) / n)
    return float(np.mean(errors))


@pytest.mark.parametrize("split", ["inner_test", "outer_test"])
def test_figures_are_those_of_a_slow_count_over_the_prediction_files(split: str, seeds: Path, museum: Path):
    compared = found(seeds, museum, "good", "bad")
    tags = load_tag_list(museum)
    images = load_split(museum, split, tags)
    for figure, slow in (("r_precision", slow_r_precision), ("calibration_error", slow_calibration)):
        for row, value in (("good", compared[split, figure].value), ("bad", compared[split, figure].other)):
            each = [slow(seeds / f"seed-{seed}/predictions/{row}", images, tags) for seed in (0, 1)]
            assert value == pytest.approx(np.mean(each), abs=2e-3), (figure, row)


def test_the_better_row_is_superior_and_the_worse_one_is_not_even_non_inferior(seeds: Path, museum: Path):
    better = found(seeds, museum, "good", "bad")["inner_test", "r_precision"]
    assert 0 < better.low < better.difference < better.high
    assert better.p_superior < 0.05
    assert better.p_not_inferior <= better.p_superior
    worse = found(seeds, museum, "bad", "good")["inner_test", "r_precision"]
    assert worse.p_not_inferior > 0.95


def test_a_row_is_not_inferior_to_itself_and_not_superior(seeds: Path, museum: Path):
    same = found(seeds, museum, "good", "good")["inner_test", "r_precision"]
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    assert same.p_superior == 1
    assert same.p_not_inferior < 0.01


def test_few_providers_have_figures_without_intervals(seeds: Path, museum: Path):
    outer = found(seeds, museum, "good", "bad")["outer_test", "r_precision"]
    assert np.isnan([outer.low, outer.high, outer.p_superior, outer.p_not_inferior]).all()
    assert outer.difference > 0


def test_a_facet_that_no_image_of_a_test_is_annotated_in_is_left_out(seeds: Path, museum: Path, tmp_path: Path):
    dataset = tmp_path / "dataset"
    shutil.copytree(museum, dataset)
    file = dataset / "outer_test" / "part-00000.parquet"
    table = pq.read_table(file)
    for column in ("subjects", "subjects_stated"):
        at = table.column_names.index(column)
        kind = table.schema.field(column).type
        table = table.set_column(at, table.schema.field(column), pa.array([[]] * len(table), kind))
    pq.write_table(table, file)
    whole, without = (found(seeds, each, "good", "bad") for each in (museum, dataset))
    assert without["inner_test", "r_precision"] == whole["inner_test", "r_precision"]
    for figure in FIGURES:
        assert 0 < without["outer_test", figure].value < 1
        assert without["outer_test", figure].value != whole["outer_test", figure].value


def test_a_row_without_predictions_is_named(seeds: Path, museum: Path):
    with pytest.raises(EvaluationError, match="no predictions of other"):
        list(compare_over_seeds(seeds, museum, "other", ["bad"], 0.01, QUICK))


def test_holm_corrects_a_family_by_name():
    assert family({"a": 0.04, "b": 0.01}) == {"a": pytest.approx(0.04), "b": pytest.approx(0.02)}
