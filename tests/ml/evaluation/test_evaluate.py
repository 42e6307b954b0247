"""An evaluation equals a slow recomputation, and refuses what does not fit with one clear sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.dataset.ground_truth import EvaluationError
from ml.dataset.open import load_dataset
from ml.dataset.relevance import Relevance
from ml.evaluation.evaluate import evaluate, hits_of_parents, thirds
from pipeline import FACETS, TEST_SPLITS
from pipeline.settings import EvaluationSettings
from pipeline.tables import RESULTS
from tests.ml.scored import write_prior_predictions
from tests.support.references import reference_rows

FAST = EvaluationSettings(resamples=200, batch_rows=7, least_groups=2, least_support=0, least_headroom=0)


def table(rows) -> pl.DataFrame:
    return RESULTS.frame(rows)


def figure(rows: pl.DataFrame, **where) -> dict:
    found = rows.filter(**({"policy": "ignore_unseen", "split": "inner_test"} | where))
    assert found.height == 1, found
    return found.row(0, named=True)


def expected_r_precision(scores: np.ndarray, relevant: list[int], size: int) -> float:
    """By counting for each relevant tag how many random tie-breaks put it among the `size` best."""
    total = 0.0
    for tag in relevant:
        larger = int((scores > scores[tag]).sum())
        equal = int((scores == scores[tag]).sum())
        total += min(1, max(0, (size - larger) / equal))
    return total / size


def test_figures_equal_a_slow_path_that_reads_the_parquet_itself(dataset: Path, predictions: Path):
    rows = table(evaluate(predictions, dataset, settings=FAST))
    lists = json.loads((dataset / "tag_list.json").read_text())["facets"]
    images = pl.read_parquet(dataset / "inner_test" / "part-00000.parquet")
    means = []
    for facet in FACETS:
        ids = [tag["tag_id"] for tag in lists[facet]]
        scores = pl.read_parquet(predictions / "inner_test" / f"{facet}.parquet")
        joined = images.join(scores, on=["record_id", "view"])
        ignoring, counting, unseen = [], [], 0
        for row in joined.iter_rows(named=True):
            known = [ids.index(tag) for tag in row[facet] if tag in ids]
            unseen += len(row[facet]) - len(known)
            values = np.array(row["scores"])
            if known:
                ignoring.append(expected_r_precision(values, known, len(known)))
            if row[facet]:
                share = expected_r_precision(values, known, len(row[facet])) if known else 0
                counting.append(share)
        found = figure(rows, facet=facet, metric="r_precision")
        assert found["value"] == pytest.approx(np.mean(ignoring), rel=1e-5)
        assert found["n"] == len(ignoring)
        assert found["low"] <= found["value"] <= found["high"]
        other = figure(rows, facet=facet, metric="r_precision", policy="count_unseen")
        assert other["value"] == pytest.approx(np.mean(counting), rel=1e-5)
        assert other["n"] == len(counting)
        assert (found["ignored_share"] > 0) == (facet == "materials" and unseen > 0)
        means.append(np.mean(ignoring))
    assert figure(rows, facet="mean", metric="r_precision")["value"] == pytest.approx(np.mean(means), rel=1e-5)


def test_a_dataset_older_than_a_facet_is_scored_as_before(dataset: Path, predictions: Path, monkeypatch):
    before = evaluate(predictions, dataset, settings=FAST)
    for name in ("dataset.open.FACETS", "dataset.tag_list.FACETS", "evaluation.evaluate.FACETS"):
        monkeypatch.setattr(f"ml.{name}", (*FACETS, "styles"))
    for module in ("evaluate", "informativeness"):
        monkeypatch.setattr(f"ml.evaluation.{module}.MEAN_FACETS", (*FACETS, "styles"))
    assert evaluate(predictions, dataset, settings=FAST) == before


def test_a_facet_outside_the_means_has_a_row_and_no_part_in_the_mean(dataset: Path, predictions: Path, monkeypatch):
    for module in ("evaluate", "informativeness"):
        monkeypatch.setattr(f"ml.evaluation.{module}.MEAN_FACETS", FACETS[:2])
    rows = table(evaluate(predictions, dataset, settings=FAST))
    values = {facet: figure(rows, facet=facet, metric="r_precision")["value"] for facet in (*FACETS, "mean")}
    assert values["mean"] == pytest.approx(np.mean([values[facet] for facet in FACETS[:2]]), rel=1e-5)
    assert values["mean"] != pytest.approx(np.mean([values[facet] for facet in FACETS]), rel=1e-5)


def test_rows_are_results_and_the_same_each_time(dataset: Path, predictions: Path, tmp_path: Path):
    first, second = (evaluate(predictions, dataset, settings=FAST) for _ in range(2))
    assert first == second
    RESULTS.write(table(first), tmp_path / "results.parquet")
    assert {(row["split"], row["baseline"], row["seed"]) for row in first} == {
        ("inner_test", "softmax", 7),
        ("outer_test", "softmax", 7),
    }


def test_the_oracle_is_perfect_and_above_all_and_the_prior_is_one_ranking(dataset: Path):
    rows = table(reference_rows(dataset, ("inner_test",), FAST))
    for facet in FACETS:
        oracle = figure(rows, baseline="oracle", facet=facet, metric="r_precision")
        assert (oracle["value"], oracle["low"], oracle["high"]) == (1.0, 1.0, 1.0)
    assert figure(rows, baseline="oracle", facet="object_types", metric="avg_rank_position")["value"] > 1
    with_unseen = figure(rows, baseline="oracle", facet="materials", metric="r_precision", policy="count_unseen")
    assert with_unseen["value"] < 1
    prior = figure(rows, baseline="label_prior", facet="object_types", metric="r_precision")
    assert 0 < prior["value"] < 1


def test_the_prior_as_files_scores_like_the_prior_in_memory(dataset: Path, tmp_path: Path):
    write_prior_predictions(dataset, tmp_path / "label_prior", ("inner_test", "outer_test"))
    from_files = evaluate(tmp_path / "label_prior", dataset, settings=FAST)
    in_memory = [row for row in reference_rows(dataset, TEST_SPLITS, FAST) if row["baseline"] == "label_prior"]
    assert from_files == in_memory


@pytest.fixture
def spoiled(predictions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(predictions, tmp_path / "spoiled"))


def rewrite(file: Path, change) -> None:
    pq.write_table(change(pq.read_table(file)), file)


def with_metadata(table: pa.Table, **changes: str) -> pa.Table:
    return table.replace_schema_metadata({k.decode(): v.decode() for k, v in table.schema.metadata.items()} | changes)


def test_predictions_for_another_split_are_refused(spoiled: Path, dataset: Path):
    rewrite(spoiled / "inner_test" / "materials.parquet", lambda t: with_metadata(t, split_hash="0" * 64))
    with pytest.raises(
        EvaluationError, match=r"materials.parquet was predicted for the split 000000000000, the dataset"
    ):
        evaluate(spoiled, dataset, settings=FAST)


def test_predictions_for_another_tag_list_are_refused(spoiled: Path, dataset: Path):
    rewrite(spoiled / "inner_test" / "subjects.parquet", lambda t: with_metadata(t, tag_list_hash="1" * 64))
    with pytest.raises(EvaluationError, match="was predicted for the tag list 111111111111"):
        evaluate(spoiled, dataset, settings=FAST)


def test_a_missing_hash_is_refused(spoiled: Path, dataset: Path):
    rewrite(spoiled / "inner_test" / "subjects.parquet", lambda t: t.replace_schema_metadata({}))
    with pytest.raises(EvaluationError, match="does not say its split_hash"):
        evaluate(spoiled, dataset, settings=FAST)


def test_a_missing_facet_is_refused(spoiled: Path, dataset: Path):
    (spoiled / "outer_test" / "subjects.parquet").unlink()
    with pytest.raises(EvaluationError, match="no predictions for the facet subjects of outer_test"):
        evaluate(spoiled, dataset, settings=FAST)


def test_nan_scores_are_refused_with_the_record(spoiled: Path, dataset: Path):
    def spoil(rows: pa.Table) -> pa.Table:
        scores = np.array(rows.column("scores").to_pylist(), np.float16)
        scores[3, 1] = np.nan
        column = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), scores.shape[1])
        return rows.set_column(rows.schema.get_field_index("scores"), "scores", column)

    file = spoiled / "inner_test" / "object_types.parquet"
    record = pq.read_table(file).column("record_id")[3].as_py()
    rewrite(file, spoil)
    with pytest.raises(EvaluationError, match=f"has NaN scores for {record}"):
        evaluate(spoiled, dataset, settings=FAST)


def test_repeated_images_are_refused(spoiled: Path, dataset: Path):
    rewrite(spoiled / "inner_test" / "materials.parquet", lambda t: pa.concat_tables([t, t.slice(2, 1)]))
    with pytest.raises(EvaluationError, match="view 0 more than once"):
        evaluate(spoiled, dataset, settings=FAST)


def test_missing_images_are_refused(spoiled: Path, dataset: Path):
    rewrite(spoiled / "inner_test" / "materials.parquet", lambda t: t.slice(1))
    with pytest.raises(EvaluationError, match="misses 1 images of inner_test, for example /"):
        evaluate(spoiled, dataset, settings=FAST)


def test_images_of_another_split_are_refused(spoiled: Path, dataset: Path):
    other = pq.read_table(spoiled / "outer_test" / "materials.parquet").slice(0, 1)
    rewrite(spoiled / "inner_test" / "materials.parquet", lambda t: pa.concat_tables([t, other]))
    with pytest.raises(EvaluationError, match="which is not in inner_test"):
        evaluate(spoiled, dataset, settings=FAST)


def test_an_unknown_tag_is_refused(spoiled: Path, dataset: Path):
    names = json.dumps(["300200001", "300999999"])
    rewrite(spoiled / "inner_test" / "materials.parquet", lambda t: with_metadata(t, tag_ids=names))
    with pytest.raises(EvaluationError, match="scores the unknown tag 300999999; materials does not list it"):
        evaluate(spoiled, dataset, settings=FAST)


def test_a_wrong_number_of_scores_is_refused(spoiled: Path, dataset: Path):
    shutil.copy(spoiled / "inner_test" / "object_types.parquet", spoiled / "inner_test" / "materials.parquet")
    with pytest.raises(EvaluationError, match="has 4 scores an image; materials has 2 tags"):
        evaluate(spoiled, dataset, settings=FAST)


def test_columns_named_in_another_order_are_put_right(spoiled: Path, dataset: Path, predictions: Path):
    ids = load_dataset(dataset).facets["object_types"].tag_ids

    def reverse(rows: pa.Table) -> pa.Table:
        scores = np.array(rows.column("scores").to_pylist(), np.float16)[:, ::-1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), scores.shape[1])
        rows = rows.set_column(rows.schema.get_field_index("scores"), "scores", column)
        return with_metadata(rows, tag_ids=json.dumps(ids[::-1]))

    rewrite(spoiled / "inner_test" / "object_types.parquet", reverse)
    assert evaluate(spoiled, dataset, settings=FAST) == evaluate(predictions, dataset, settings=FAST)


def test_rows_in_another_order_score_the_same(spoiled: Path, dataset: Path, predictions: Path):
    rewrite(spoiled / "inner_test" / "object_types.parquet", lambda t: t.take(pa.array(range(t.num_rows))[::-1]))
    assert evaluate(spoiled, dataset, settings=FAST) == evaluate(predictions, dataset, settings=FAST)


def test_a_folder_that_is_no_dataset_or_no_predictions_is_refused(tmp_path: Path, dataset: Path, predictions: Path):
    with pytest.raises(EvaluationError, match=r"no tag_list\.json"):
        evaluate(predictions, tmp_path, settings=FAST)
    with pytest.raises(EvaluationError, match="holds no predictions"):
        evaluate(tmp_path, dataset, settings=FAST)


def test_thirds_of_the_tag_list_by_training_images():
    assert thirds(np.array([5, 100, 1, 7, 7, 2])).tolist() == [1, 0, 2, 0, 1, 2]


def test_a_pair_finds_its_parent_in_the_same_image():
    relevance = Relevance.from_lists([[0, 1], [1, 2], [0, 2]])
    hits = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    parents = np.array([-1, 0, 0])
    np.testing.assert_array_equal(hits_of_parents(relevance, hits, parents), [np.nan, 0.1, np.nan, np.nan, np.nan, 0.5])
