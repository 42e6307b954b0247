"""Every loss and every score against a plain float64 reference that walks the tree node by node."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.dataset.tag_list import FacetTags
from ml.models.heads import HEADS
from ml.models.heads.head import Head
from ml.models.heads.hsoftmax import segment_log_softmax

# Images: {metal, copper alloy, bronze}; {glass, metal, gold}; nothing annotated; {metal, copper alloy} stops inside.
CLOSED = torch.tensor(
    [[1, 1, 0, 1, 0, 0], [0, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0]], dtype=torch.bool
)
DRAWS = torch.tensor([3, 4, -1, 1])
LOGITS = torch.tensor(np.random.default_rng(5).normal(size=(4, 6)), dtype=torch.float64)


def log_softmax(values: list[float]) -> list[float]:
    total = math.log(sum(math.exp(value) for value in values))
    return [value - total for value in values]


def path_of(tags: FacetTags, tag: int) -> list[int]:
    return [] if tag < 0 else [*path_of(tags, tags.parents[tag]), tag]


def groups_of(tags: FacetTags, kind: str) -> list[list[int]]:
    """Which tags share a softmax."""
    if kind == "softmax":
        return [list(range(len(tags)))]
    depths = [len(path_of(tags, tag)) for tag in range(len(tags))]
    keys = tags.parents if kind == "hsoftmax_nodes" else depths
    return [[tag for tag in range(len(tags)) if keys[tag] == key] for key in sorted(set(keys))]


def weight_of(tags: FacetTags, group: list[int], tag: int, weighted: bool, cap: float = 10.0) -> float:
    if not weighted:
        return 1.0
    total = sum(tags.n_train[other] for other in group)
    return min(total / (len(group) * tags.n_train[tag]), cap)


def grouped_loss(tags: FacetTags, kind: str, weighted: bool) -> float:
    """The hierarchical losses of the protocol, one node or level after the other."""
    total, annotated = 0.0, sum(bool(row.any()) for row in CLOSED)
    for group in groups_of(tags, kind):
        node_sum, node_weight = 0.0, 0.0
        for image, row in enumerate(CLOSED.tolist()):
            true = [tag for tag in group if row[tag]]
            if not true:
                continue  # no loss below an inner node, none without annotation
            log_p = dict(zip(group, log_softmax([float(LOGITS[image, tag]) for tag in group]), strict=True))
            for tag in true:
                weight = weight_of(tags, group, tag, weighted) / len(true)
                node_sum -= weight * log_p[tag]
                node_weight += weight
        total += node_sum / annotated if kind == "hsoftmax_nodes" else node_sum / node_weight
    return total


def softmax_loss(tags: FacetTags, weighted: bool) -> float:
    group = list(range(len(tags)))
    total, weights = 0.0, 0.0
    for image, tag in enumerate(DRAWS.tolist()):
        if tag >= 0:
            weight = weight_of(tags, group, tag, weighted)
            total -= weight * log_softmax(LOGITS[image].tolist())[tag]
            weights += weight
    return total / weights


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def multilabel_loss() -> float:
    losses = []
    for image, row in enumerate(CLOSED.tolist()):
        if any(row):
            each = [
                -math.log(sigmoid(float(LOGITS[image, t])) if y else 1 - sigmoid(float(LOGITS[image, t])))
                for t, y in enumerate(row)
            ]
            losses.append(sum(each))
    return sum(losses) / len(losses)


def asymmetric_loss() -> float:
    """arXiv 2009.14119, equation 7, with gamma 4 and 1 and margin 0.05; summed over tags, averaged over images."""
    losses = []
    for image, row in enumerate(CLOSED.tolist()):
        total = 0.0
        for tag, y in enumerate(row):
            p = sigmoid(float(LOGITS[image, tag]))
            shifted = min(1 - p + 0.05, 1.0)
            total -= (1 - p) * math.log(p) if y else (1 - shifted) ** 4 * math.log(shifted)
        if any(row):
            losses.append(total)
    return sum(losses) / len(losses)


def loss_of(
    head: Head, logits: torch.Tensor, closed: torch.Tensor = CLOSED, draws: torch.Tensor = DRAWS
) -> torch.Tensor:
    return (head.sums(logits, closed, draws) / head.weights(closed, draws).clamp(min=1e-8)).sum()


def head_of(kind: str, tags: FacetTags, weighted: bool = False) -> Head:
    return HEADS[kind](4, tags, class_weights=weighted).double()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["softmax", "hsoftmax_nodes", "hsoftmax_levels"])
def test_the_softmax_losses_equal_the_reference(tree: FacetTags, kind: str, weighted: bool):
    expected = softmax_loss(tree, weighted) if kind == "softmax" else grouped_loss(tree, kind, weighted)
    assert loss_of(head_of(kind, tree, weighted), LOGITS).item() == pytest.approx(expected, rel=1e-7)


def test_binary_cross_entropy_equals_the_reference(tree: FacetTags):
    assert loss_of(head_of("multilabel", tree), LOGITS).item() == pytest.approx(multilabel_loss(), rel=1e-9)


def test_the_asymmetric_loss_equals_the_reference(tree: FacetTags):
    assert loss_of(head_of("asymmetric", tree), LOGITS).item() == pytest.approx(asymmetric_loss(), rel=1e-5)


@pytest.mark.parametrize("kind", ["multilabel", "softmax", "hsoftmax_nodes", "hsoftmax_levels"])
def test_gradients_are_right(tree: FacetTags, kind: str):
    head = head_of(kind, tree, weighted=True)
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss_of(head, values), (logits,))


@pytest.mark.parametrize("kind", list(HEADS))
def test_an_image_without_annotation_gives_no_loss_and_no_gradient(tree: FacetTags, kind: str):
    head = head_of(kind, tree)
    logits = LOGITS.clone().requires_grad_()
    loss_of(head, logits).backward()
    assert logits.grad is not None
    assert logits.grad[2].abs().max() == 0
    assert logits.grad[0].abs().max() > 0
    nobody = loss_of(head, LOGITS[2:3], CLOSED[2:3], DRAWS[2:3])
    assert nobody.item() == 0


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_batch_cut_in_two_gives_the_same_loss(tree: FacetTags, kind: str):
    head = head_of(kind, tree, weighted=True)
    totals = sum(head.weights(CLOSED[part], DRAWS[part]) for part in (slice(0, 1), slice(1, 4)))
    cut = sum((head.sums(LOGITS[p], CLOSED[p], DRAWS[p]) / totals).sum() for p in (slice(0, 1), slice(1, 4)))
    assert float(cut) == pytest.approx(loss_of(head, LOGITS).item(), rel=1e-6)


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_rejected_tag_costs_the_log_of_what_is_left(tree: FacetTags, kind: str):
    head = head_of(kind, tree)
    rejected = torch.zeros_like(CLOSED)
    rejected[2, 0] = rejected[0, 4] = True  # in the third image nothing is annotated
    left = [1 - head.log_scores(LOGITS)[image, tag].exp().item() for image, tag in ((2, 0), (0, 4))]
    expected = -sum(math.log(value) for value in left)
    assert head.negatives(LOGITS, rejected).item() == pytest.approx(expected, rel=1e-3)
    logits = LOGITS.clone().requires_grad_()
    head.negatives(logits, rejected).sum().backward()
    assert logits.grad is not None
    assert logits.grad[2, 0] > 0  # the step lowers it
    assert logits.grad[0, 4] > 0
    assert logits.grad[[1, 3]].abs().max() == 0


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_rejected_tag_that_was_certain_still_has_a_gradient(tree: FacetTags, kind: str):
    logits = torch.zeros(1, len(tree))
    logits[0, 1] = 12.0  # metal, at the top
    logits.requires_grad_()
    negative = HEADS[kind](4, tree).negatives(logits, torch.arange(len(tree))[None] == 1)
    negative.sum().backward()
    assert torch.isfinite(negative).all()
    assert logits.grad is not None
    assert logits.grad[0, 1] > 0.01


def test_a_tag_that_ends_at_an_inner_node_has_no_loss_below_it(tree: FacetTags):
    head = head_of("hsoftmax_nodes", tree)
    logits = LOGITS[3:4].clone().requires_grad_()
    loss_of(head, logits, CLOSED[3:4], DRAWS[3:4]).backward()
    assert logits.grad is not None
    assert logits.grad[0, [0, 5]].abs().max() == 0  # bronze and brass, below copper alloy


@pytest.mark.parametrize("kind", ["hsoftmax_nodes", "hsoftmax_levels"])
def test_scores_are_products_along_paths(tree: FacetTags, kind: str):
    groups = groups_of(tree, kind)
    scores = head_of(kind, tree).log_scores(LOGITS)
    for image in range(len(LOGITS)):
        log_p = {}
        for group in groups:
            values = log_softmax([float(LOGITS[image, tag]) for tag in group])
            log_p |= dict(zip(group, values, strict=True))
        for tag in range(len(tree)):
            expected = sum(log_p[node] for node in path_of(tree, tag))
            assert scores[image, tag].item() == pytest.approx(expected, rel=1e-9)


def test_siblings_sum_to_one(tree: FacetTags):
    head = head_of("hsoftmax_nodes", tree)
    conditional = head.conditional(LOGITS).exp()
    for group in groups_of(tree, "hsoftmax_nodes"):
        assert torch.allclose(conditional[:, group].sum(1), torch.ones(4, dtype=torch.float64))


@st.composite
def trees(draw: st.DrawFn) -> FacetTags:
    """Any forest of up to 30 tags, its positions shuffled."""
    size = draw(st.integers(1, 30))
    above = [draw(st.integers(-1, place - 1)) for place in range(size)]
    order = draw(st.permutations(range(size)))
    parents = [0] * size
    for place, parent in enumerate(above):
        parents[order[place]] = order[parent] if parent >= 0 else -1
    names = tuple(str(place) for place in range(size))
    return FacetTags("materials", names, names, tuple(parents), tuple([1] * size))


@settings(max_examples=30)
@given(tags=trees(), seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 3.0, 60.0]))
def test_no_tag_outranks_its_ancestors_exactly(tags: FacetTags, seed: int, scale: float):
    logits = torch.tensor(np.random.default_rng(seed).normal(size=(3, len(tags))) * scale, dtype=torch.float32)
    for kind in ("hsoftmax_nodes", "hsoftmax_levels"):
        scores = HEADS[kind](2, tags).log_scores(logits)
        for tag, parent in enumerate(tags.parents):
            if parent >= 0:
                assert (scores[:, tag] <= scores[:, parent]).all()


def test_the_segment_softmax_bears_large_logits():
    values = segment_log_softmax(torch.tensor([[1000.0, 999.0, -1000.0]]), torch.tensor([0, 0, 1]), 2)
    assert torch.allclose(values, torch.tensor([[-0.3132617, -1.3132617, 0.0]]))


def test_class_weights_come_from_training_counts_and_are_capped(tree: FacetTags):
    weights = tree.class_weights([0] * 6, cap=4.0)  # 160 images-times-tags over 6 classes
    assert weights == pytest.approx([160 / 60, 160 / 300, 160 / 300, 160 / 120, 160 / 150, 4.0])


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_head_can_start_at_the_training_frequencies(tree: FacetTags, kind: str):
    head = HEADS[kind](4, tree)
    head.start_at_prior(tree, n_images=100)
    scores = head.log_scores(head(torch.zeros(1, 4)))[0].exp().tolist()
    assert scores[1] == pytest.approx(scores[2])  # metal and glass are equally frequent
    assert scores[4] > scores[5]
