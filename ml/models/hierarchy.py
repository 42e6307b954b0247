"""Scores that agree with the tree of tags: a tag is at least as probable as each tag below it."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ml.dataset.tag_list import FacetTags


class AncestorPairs(NamedTuple):
    """Every tag with each of its ancestors, as positions among the tags of all facets; int64 (pairs,)."""

    tags: Tensor
    ancestors: Tensor


def ancestor_pairs(facets: Iterable[FacetTags]) -> AncestorPairs:
    """The pairs of facets whose tags stand side by side."""
    pairs: list[tuple[int, int]] = []
    start = 0
    for facet in facets:
        for tag, path in enumerate(facet.paths):
            pairs += [(start + tag, start + above) for above in path if above != tag]
        start += len(facet)
    both = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return AncestorPairs(both[:, 0].contiguous(), both[:, 1].contiguous())


def raise_parents(scores: Tensor, pairs: AncestorPairs) -> Tensor:
    """The scores (images x tags), each tag's raised to the highest below it.

    Scores of tags without a tag below them stay as they are.
    """
    below = scores[:, pairs.tags.to(scores.device)]
    return scores.scatter_reduce(1, pairs.ancestors.to(scores.device).expand_as(below), below, "amax")
