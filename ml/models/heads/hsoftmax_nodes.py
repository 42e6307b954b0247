"""Conditional softmax among siblings at each node (YOLO9000, arXiv 1612.08242, section 4): P(tag) is a product."""

import torch
from torch import Tensor

from ml.dataset.tag_list import FacetTags
from ml.models.heads.head import Head, Tree, segment_log_softmax, segment_share


def siblings(tags: FacetTags) -> list[int]:
    """For each tag the number of its sibling group, in the order in which the parents first appear."""
    number = {parent: group for group, parent in enumerate(dict.fromkeys(tags.parents))}
    return [number[parent] for parent in tags.parents]


class HSoftmaxNodes(Head):
    """One weighted cross-entropy per node on the true paths, added up over an image's nodes.

    Several true children: a uniform target over them. A tag that ends at an inner node: no loss below it.
    """

    group: Tensor

    def __init__(self, width: int, tags: FacetTags, class_weights: bool = False) -> None:
        super().__init__(width, tags, class_weights)
        groups = siblings(tags)
        self.register_buffer("group", torch.tensor(groups), persistent=False)
        self.n_groups = max(groups) + 1
        self.tree = Tree(tags)

    @staticmethod
    def weight_groups(tags: FacetTags) -> list[int]:
        """Siblings compete."""
        return siblings(tags)

    def weights(self, closed: Tensor, sampled: Tensor) -> Tensor:
        """The number of annotated images: the loss is a mean over images of the sum over the nodes they pass."""
        return closed.any(1).sum().float().reshape(1)

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """One term: every node's cross-entropy, added up."""
        target = segment_share(closed, self.group, self.n_groups) * self.class_weight
        return -(target * self.conditional(logits)).sum().reshape(1)

    def conditional(self, logits: Tensor) -> Tensor:
        """Log-probability of each tag given its parent; siblings sum to one."""
        return segment_log_softmax(logits, self.group, self.n_groups)

    def log_scores(self, logits: Tensor) -> Tensor:
        """The product along the path: no tag outranks an ancestor."""
        return self.tree.along_paths(self.conditional(logits))
