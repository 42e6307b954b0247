"""The compiled metrics against their definition, on small cases by hand and ten thousand at random."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dataset.relevance import Relevance
from ml.evaluation.image_scores import ImageScores, score_images
from pipeline.tables import COUNT_UNSEEN, IGNORE_UNSEEN

spec = importlib.util.spec_from_file_location("reference_metrics", Path(__file__).with_name("reference_metrics.py"))
slow = importlib.util.module_from_spec(spec)
spec.loader.exec_module(slow)


def one(scores: list[float], relevant: list[int], unseen: int = 0, dtype=np.float32) -> ImageScores:
    return score_images(np.array([scores], dtype), Relevance.from_lists([relevant], [unseen]))


def value(scores: ImageScores, metric: str, policy: str = IGNORE_UNSEEN) -> float:
    return scores.column(metric, policy)[0]


def test_the_papers_example_counts_every_level_of_a_tag():
    # metal, non-ferrous metal, bronze are right; the model puts paper second
    scores = one([0.9, 0.5, 0.4, 0.8], [0, 1, 2])
    assert value(scores, "r_precision") == pytest.approx(2 / 3)
    assert value(scores, "acc_at_1") == 1
    assert value(scores, "avg_rank_position") == pytest.approx((1 + 3 + 4) / 3)


def test_a_tie_counts_as_its_expected_value():
    scores = one([1.0, 1.0, 0.0], [0])
    assert value(scores, "acc_at_1") == 0.5
    assert value(scores, "r_precision") == 0.5
    assert value(scores, "avg_rank_position") == 1.5


def test_scores_all_equal_are_a_random_ranking():
    scores = one([0.0] * 20, [3, 4])
    assert value(scores, "r_precision") == pytest.approx(2 / 20)
    assert value(scores, "acc_at_10") == pytest.approx(
        1 - (18 / 20 * 17 / 19) * np.prod([(16 - i) / (18 - i) for i in range(8)])
    )
    assert value(scores, "avg_rank_position") == 10.5


def test_unseen_tags_are_ignored_or_counted_as_missed():
    scores = one([0.9, 0.1], [0], unseen=1)
    assert value(scores, "r_precision") == 1
    assert value(scores, "r_precision", COUNT_UNSEEN) == 0.5
    assert value(scores, "avg_rank_position") == 1
    assert value(scores, "avg_rank_position", COUNT_UNSEEN) == (1 + 3) / 2
    assert value(scores, "acc_at_1", COUNT_UNSEEN) == 1


def test_an_image_without_a_scorable_tag_leaves_the_facet():
    scores = one([0.9, 0.1], [], unseen=2)
    assert np.isnan(value(scores, "r_precision"))
    assert value(scores, "r_precision", COUNT_UNSEEN) == 0
    assert value(scores, "avg_rank_position", COUNT_UNSEEN) == 3.5
    assert np.isnan(score_images(np.zeros((1, 2), np.float32), Relevance.from_lists([[]])).values).all()


def test_hierarchical_figures_give_credit_for_the_right_branch():
    # 0 metal > 1 bronze, 0 metal > 2 iron; bronze is right, iron is predicted ahead of it
    relevance = Relevance(np.array([0, 2]), np.array([0, 1], np.int32), np.array([False, True]), np.zeros(1, np.int32))
    scores = score_images(np.array([[0.2, 0.3, 0.9]], np.float32), relevance, parents=np.array([-1, 0, 0]))
    # the two best are iron and bronze, closed upwards: iron, bronze, metal
    assert value(scores, "hierarchical_precision") == pytest.approx(2 / 3)
    assert value(scores, "hierarchical_recall") == 1
    assert value(scores, "hierarchical_f") == pytest.approx(0.8)
    assert value(scores, "leaf_r_precision") == 0
    assert value(scores, "coherence_violations") == 1
    assert value(scores, "confidence") == pytest.approx(0.9)


def random_case(generator: np.random.Generator) -> tuple[list[float], set[int], set[int], int]:
    n_tags = int(generator.integers(1, 7))
    scores = generator.integers(0, int(generator.integers(1, 8)), n_tags) / 8 - 0.25
    relevant = set(generator.permutation(n_tags)[: generator.integers(1, n_tags + 1)].tolist())
    stated = set(sorted(relevant)[: int(generator.integers(1, len(relevant) + 1))])
    return scores.tolist(), relevant, stated, int(generator.integers(0, 3))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_ten_thousand_random_cases_equal_the_definition(dtype):
    generator = np.random.default_rng(340)
    for _ in range(5_000):
        scores, relevant, stated, unseen = random_case(generator)
        tags = sorted(relevant)
        relevance = Relevance(
            np.array([0, len(tags)]),
            np.array(tags, np.int32),
            np.array([tag in stated for tag in tags]),
            np.array([unseen], np.int32),
        )
        found = score_images(np.array([scores], dtype), relevance, top_k=(1, 2, 4))
        wanted = {
            ("r_precision", IGNORE_UNSEEN): slow.expected(scores, relevant, slow.r_precision),
            ("avg_rank_position", IGNORE_UNSEEN): slow.expected(scores, relevant, slow.mean_position),
            ("r_precision", COUNT_UNSEEN): slow.expected(scores, relevant, slow.r_precision, unseen),
            ("avg_rank_position", COUNT_UNSEEN): slow.expected(scores, relevant, slow.mean_position, unseen),
            ("leaf_r_precision", IGNORE_UNSEEN): slow.expected(scores, relevant, slow.leaf_r_precision, stated),
        }
        for k in (1, 2, 4):
            wanted[f"acc_at_{k}", IGNORE_UNSEEN] = slow.expected(scores, relevant, slow.accuracy, k)
        for (metric, policy), exact in wanted.items():
            assert value(found, metric, policy) == pytest.approx(float(exact), abs=1e-12), (metric, scores, relevant)


def test_rows_do_not_depend_on_batches_or_their_order():
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 30, (500, 40)).astype(np.float16)
    lists = [generator.permutation(40)[: generator.integers(0, 5)].tolist() for _ in range(500)]
    parents = np.where(np.arange(40) % 4 == 0, -1, np.arange(40) // 4 * 4)
    relevance = Relevance.from_lists(lists)
    whole = score_images(scores, relevance, parents=parents)
    pieces = ImageScores(relevance, (1, 10))
    order = generator.permutation(500)
    for start in range(0, 500, 77):
        pieces.add(scores[order[start : start + 77]], order[start : start + 77], parents)
    np.testing.assert_array_equal(whole.values, pieces.values)
    np.testing.assert_array_equal(whole.hits, pieces.hits)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_tags_does_not_matter(levels, random):
    relevant = list(range(0, len(levels), 2))
    order = list(range(len(levels)))
    random.shuffle(order)
    shuffled = [levels[tag] for tag in order]
    first = one(levels, relevant)
    second = one(shuffled, [order.index(tag) for tag in relevant])
    for metric in ("r_precision", "acc_at_1", "acc_at_10", "avg_rank_position"):
        assert value(first, metric) == pytest.approx(value(second, metric), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(floats=st.lists(st.floats(width=16, allow_nan=False), min_size=1, max_size=20))
def test_floats_rank_as_they_compare(dtype, floats):
    scores = np.array([floats], dtype)
    found = score_images(scores, Relevance.from_lists([[0]]))
    larger, equal = (scores > scores[0, 0]).sum(), (scores == scores[0, 0]).sum()
    assert value(found, "avg_rank_position") == larger + (equal + 1) / 2
    assert value(found, "confidence") == scores.max()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_nan_is_an_error(dtype):
    with pytest.raises(ValueError, match="NaN"):
        one([0.5, float("nan")], [0], dtype=dtype)


def test_relevance_among_some_tags_is_renumbered():
    relevance = Relevance.from_lists([[0, 2, 3], [1], []]).among(np.array([2, 3]), 4)
    assert relevance.starts.tolist() == [0, 2, 2, 2]
    assert relevance.tags.tolist() == [0, 1]
