"""Softmaxes within segments of the tags; the probability of a tag is the product along its path."""

import torch
from torch import Tensor

from ml.dataset.tag_list import FacetTags
from ml.models.heads.head import Head


class HSoftmax(Head):
    """One softmax per segment of the tags: a subclass says in `weight_groups` which segment a tag belongs to.

    Several true tags in a segment: a uniform target over them.
    """

    parents: Tensor
    segment: Tensor

    def __init__(self, width: int, tags: FacetTags, class_weights: bool = False) -> None:
        super().__init__(width, tags, class_weights)
        segments, depths = self.weight_groups(tags), torch.tensor(tags.depths)
        self.n_segments, self.n_levels = max(segments) + 1, int(depths.max()) + 1
        self.register_buffer("segment", torch.tensor(segments), persistent=False)
        self.register_buffer("parents", torch.tensor(tags.parents, dtype=torch.long), persistent=False)
        for depth in range(1, self.n_levels):
            self.register_buffer(f"level_{depth}", torch.nonzero(depths == depth).flatten(), persistent=False)

    def conditional(self, logits: Tensor) -> Tensor:
        """Log-probability of each tag within its segment."""
        return segment_log_softmax(logits, self.segment, self.n_segments)

    def cross_entropy(self, logits: Tensor, closed: Tensor) -> Tensor:
        """The weighted cross-entropy of each image and tag; 0 where the image has no tag of the segment."""
        return -(self.target(closed) * self.conditional(logits))

    def target(self, closed: Tensor) -> Tensor:
        """The uniform target over the true tags of each segment, times their class weights."""
        true = closed.float()
        count = true.new_zeros((len(true), self.n_segments)).index_add(1, self.segment, true)
        return true / count[:, self.segment].clamp(min=1) * self.class_weight

    def log_scores(self, logits: Tensor) -> Tensor:
        """The sum of the log-probabilities from the top down to each tag (images x tags; protocol, section 5).

        One pass per level, not per node. The terms are at most 0 and rounding is monotone, so that no tag ends above
        its parent, exactly.
        """
        total = self.conditional(logits).clamp(max=0)
        for depth in range(1, self.n_levels):
            here = getattr(self, f"level_{depth}")
            total = total.index_add(1, here, total[:, self.parents[here]])
        return total


class HSoftmaxNodes(HSoftmax):
    """A softmax among siblings (YOLO9000, arXiv 1612.08242, section 4): cross-entropies added up over an image's nodes.

    The loss is a mean over the annotated images. A tag that ends at an inner node: no loss below it.
    """

    in_words = "A tag's probability is the product of softmaxes among siblings, from the top tag down to it."

    @staticmethod
    def weight_groups(tags: FacetTags) -> list[int]:
        """Siblings compete; groups are numbered in the order in which the parents first appear."""
        number = {parent: group for group, parent in enumerate(dict.fromkeys(tags.parents))}
        return [number[parent] for parent in tags.parents]

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """One term: every node's cross-entropy, added up."""
        return self.cross_entropy(logits, closed).sum().reshape(1)


class HSoftmaxLevels(HSoftmax):
    """A softmax over all tags of a depth (paper: "per level instead of at individual tree nodes").

    One weighted cross-entropy per depth, each a weighted mean over the images that reach the depth.
    """

    in_words = "A tag's probability is the product of softmaxes over each depth, from the top tag down to it."

    @staticmethod
    def weight_groups(tags: FacetTags) -> list[int]:
        """Tags of the same depth compete."""
        return tags.depths.tolist()

    def weights(self, closed: Tensor, sampled: Tensor) -> Tensor:
        """Per depth, the sum of the targets' weights."""
        return self._by_level(self.target(closed))

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """One term per depth."""
        return self._by_level(self.cross_entropy(logits, closed))

    def _by_level(self, values: Tensor) -> Tensor:
        return values.new_zeros(self.n_segments).index_add(0, self.segment, values.sum(0))


def segment_log_softmax(logits: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Log-softmax within each segment of the columns: `segment[c]` is the segment of column c."""
    largest = logits.new_full((logits.shape[0], n_segments), -torch.inf)
    largest = largest.scatter_reduce(1, segment.expand_as(logits), logits.detach(), "amax")
    shifted = logits - largest[:, segment]
    totals = logits.new_zeros((logits.shape[0], n_segments)).index_add(1, segment, shifted.exp())
    return shifted - totals.log()[:, segment]
