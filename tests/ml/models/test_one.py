"""The formulas of the row `one`, each beside a slow reference: mixing, the memory without a group, the hierarchy."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ml.dataset.confirmed import NO_GROUP
from ml.dataset.tag_list import FacetTags
from ml.models.calibration import mixing_weights
from ml.models.hierarchy import ancestor_pairs, raise_parents
from ml.models.memory import Memory
from ml.models.neighbours import votes
from ml.models.one import known_weights, mix
from ml.models.tag_texts import tag_texts

SEEDS = st.integers(0, 10_000)


def likelihood(weights: np.ndarray, probabilities: np.ndarray, right: np.ndarray) -> float:
    mixed = weights @ probabilities
    return float(np.log(np.where(right, mixed, 1 - mixed)).sum())


@given(SEEDS)
@settings(max_examples=30)
def test_mixing_weights_are_the_most_likely_of_a_fine_grid(seed: int):
    rng = np.random.default_rng(seed)
    probabilities, right = rng.uniform(0.02, 0.98, (3, 40)), rng.random(40) < 0.4
    found = mixing_weights(probabilities, right)
    assert found.sum() == pytest.approx(1)
    steps = np.linspace(0, 1, 41)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b <= 1]
    best = max(likelihood(weights, probabilities, right) for weights in grid)
    assert likelihood(found, probabilities, right) >= best - 1e-3


def test_mixing_weights_go_to_the_part_that_knows_and_are_equal_without_pairs():
    right = np.array([True, False, True, False])
    assert mixing_weights(np.array([np.where(right, 0.9, 0.1), np.full(4, 0.5)]), right)[0] > 0.99
    assert mixing_weights(np.zeros((4, 0)), np.zeros(0, bool)).tolist() == [0.25] * 4


@given(SEEDS)
@settings(max_examples=30)
def test_a_mix_equals_a_slow_sum_over_parts_that_know_the_tag(seed: int):
    rng = np.random.default_rng(seed)
    scores, slope, intercept = rng.normal(-3, 2, (3, 2, 5)), rng.uniform(0.2, 2, 3), rng.normal(size=3)
    weights, known = rng.dirichlet(np.ones(3)), rng.random((3, 2, 5)) < 0.6
    tensors = [torch.tensor(each) for each in (scores, slope[:, None, None], intercept[:, None, None])]
    found = mix(*tensors, known_weights(torch.tensor(weights)[:, None, None], torch.tensor(known)))
    for image in range(2):
        for tag in range(5):
            used = [part for part in range(3) if known[part, image, tag]] or [0, 1, 2]
            total = sum(weights[part] + 1e-6 for part in used)
            wanted = sum(
                (weights[part] + 1e-6) / total / (1 + np.exp(-slope[part] * scores[part, image, tag] - intercept[part]))
                for part in used
            )
            assert float(found[image, tag]) == pytest.approx(np.log(wanted), rel=1e-6)


def random_tree(rng: np.random.Generator) -> FacetTags:
    n = int(rng.integers(1, 12))
    order = rng.permutation(n)  # parents do not come first
    parents = np.full(n, -1)
    for place in range(1, n):
        if rng.random() < 0.7:
            parents[order[place]] = order[rng.integers(0, place)]
    ids = tuple(map(str, range(n)))
    return FacetTags("materials", ids, ids, tuple(parents.tolist()), (1,) * n)


@given(SEEDS)
@settings(max_examples=50)
def test_a_parent_is_the_highest_of_itself_and_all_below_it_in_its_facet(seed: int):
    rng = np.random.default_rng(seed)
    facets = [random_tree(rng), random_tree(rng)]
    scores = torch.tensor(rng.normal(size=(3, sum(map(len, facets)))))
    found = raise_parents(scores, ancestor_pairs(facets))
    start = 0
    for tags in facets:
        for tag in range(len(tags)):
            below = [start + other for other in range(len(tags)) if tag in tags.paths[other]]
            assert torch.equal(found[:, start + tag], scores[:, below].amax(1))
        start += len(tags)


def remembered(rng: np.random.Generator, n: int, groups: list[int]) -> tuple[Memory, torch.Tensor]:
    memory = Memory(6, [3, 2], k=4)
    closed = torch.tensor(rng.random((n, 5)) < 0.4)
    features = normalize(torch.tensor(rng.normal(size=(n, 6)), dtype=torch.float32), dim=1)
    memory.remember(features, closed, torch.tensor(groups))
    return memory, closed


@given(SEEDS, st.lists(st.integers(0, 3), min_size=1, max_size=12))
@settings(max_examples=50)
def test_an_image_is_answered_as_if_its_group_were_not_there(seed: int, groups: list[int]):
    memory, closed = remembered(np.random.default_rng(seed), len(groups), groups)
    queries = memory.features[:1]
    found = memory(queries, torch.tensor([groups[0]]))
    others = [at for at, group in enumerate(groups) if group != groups[0]]
    if others:
        wanted = votes(queries, memory.features[others], closed[others], [3, 2], 4)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))
    assert torch.equal(memory.known(torch.tensor([groups[0]]))[0], closed[others].any(0))
    own = torch.tensor(groups) == groups[0]
    memory.closed = torch.where(own[:, None], ~memory.closed, memory.closed)
    memory.count()
    again = memory(queries, torch.tensor([groups[0]]))
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_an_image_of_no_known_group_sees_all_images():
    memory, closed = remembered(np.random.default_rng(0), 6, [NO_GROUP] * 6)
    wanted = votes(memory.features, memory.features, closed, [3, 2], 4)
    found = memory(memory.features, torch.full((6,), NO_GROUP))
    assert all(torch.allclose(a, b) for a, b in zip(found, wanted, strict=True))


def test_a_decision_counts_at_once_is_replaced_by_the_next_and_is_taken_back_whole():
    rng = np.random.default_rng(1)
    memory = Memory(64, [100, 2], k=20)
    features = normalize(torch.tensor(rng.normal(size=(4_000, 64)), dtype=torch.float32), dim=1)
    closed = torch.zeros(4_000, 102, dtype=torch.bool)
    closed[:, 0] = True
    memory.remember(features, closed, torch.arange(4_000))
    before = {name: tensor.clone() for name, tensor in memory.state_dict().items()}
    query = normalize(torch.tensor(rng.normal(size=(1, 64)), dtype=torch.float32), dim=1)
    empty = memory(query)[0][0, 50]
    decided = torch.zeros(1, 102, dtype=torch.bool)
    decided[0, 50] = True
    began = time.perf_counter()
    memory.remember(query, decided, torch.tensor([9_000]), [7])
    assert time.perf_counter() - began < 1
    assert memory(query)[0][0, 50] > empty + 5
    assert memory.known()[0, 50]
    memory.remember(query, ~decided, torch.tensor([9_000]), [7])
    assert len(memory) == 4_001
    assert not memory.known()[0, 50]
    assert memory.forget([7]) == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in memory.state_dict().items())
    assert memory.forget([7]) == 0
    assert memory.forget([-1]) == 0  # training images stay


def test_a_memory_is_loaded_whatever_its_size():
    memory, _ = remembered(np.random.default_rng(2), 5, [1, 2, 3, 4, 5])
    other = Memory(6, [3, 2], k=4)
    other.load_state_dict(memory.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(other(memory.features), memory(memory.features), strict=True))


def test_a_text_is_label_path_and_scope_note(tree: FacetTags):
    texts = tag_texts(tree, {"1": "Alloys of copper and tin."})
    assert texts[0] == "bronze: metal, copper alloy, bronze. Alloys of copper and tin."
    assert texts[2] == "glass: glass."
