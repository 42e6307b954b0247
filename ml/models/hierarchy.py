"""Scores that agree with the tree of tags: a tag is at least as probable as each tag below it."""

import torch
from torch import Tensor

from ml.dataset.tag_list import FacetTags


def levels_upwards(tags: FacetTags) -> list[tuple[Tensor, Tensor]]:
    """For every depth from the lowest up to 1: the positions of its tags, and those of their parents."""
    depths, parents = torch.from_numpy(tags.depths), torch.tensor(tags.parents, dtype=torch.int64)
    found = []
    for depth in range(int(tags.depths.max(initial=0)), 0, -1):
        here = (depths == depth).nonzero()[:, 0]
        found.append((here, parents[here]))
    return found


def raise_parents(scores: Tensor, levels: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The scores (images x tags), each tag's raised to the highest below it; `levels` as from `levels_upwards`.

    Scores of tags without a tag below them stay as they are.
    """
    for here, parents in levels:
        here, parents = here.to(scores.device), parents.to(scores.device)
        below = scores[:, here]
        scores = scores.scatter_reduce(1, parents.expand_as(below), below, "amax")
    return scores
