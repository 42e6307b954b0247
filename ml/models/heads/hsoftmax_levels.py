"""One softmax over all tags of a depth (paper: "per level instead of at individual tree nodes")."""

import torch
from torch import Tensor

from ml.dataset.tag_list import FacetTags
from ml.models.heads.head import Head, Tree, segment_log_softmax, segment_share


class HSoftmaxLevels(Head):
    """One weighted cross-entropy per depth, each a weighted mean over the images that reach the depth."""

    level: Tensor

    def __init__(self, width: int, tags: FacetTags, class_weights: bool = False) -> None:
        super().__init__(width, tags, class_weights)
        self.register_buffer("level", torch.tensor(tags.depths), persistent=False)
        self.tree = Tree(tags)
        self.n_levels = self.tree.n_levels

    @staticmethod
    def weight_groups(tags: FacetTags) -> list[int]:
        """Tags of the same depth compete."""
        return tags.depths.tolist()

    def weights(self, closed: Tensor, sampled: Tensor) -> Tensor:
        """Per depth, the sum of the targets' weights."""
        return self._by_level(self._target(closed))

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """One term per depth."""
        per_level = segment_log_softmax(logits, self.level, self.n_levels)
        return -self._by_level(self._target(closed) * per_level)

    def log_scores(self, logits: Tensor) -> Tensor:
        """A tag's probability in its level times those of its ancestors in theirs (protocol, section 5)."""
        return self.tree.along_paths(segment_log_softmax(logits, self.level, self.n_levels))

    def _target(self, closed: Tensor) -> Tensor:
        return segment_share(closed, self.level, self.n_levels) * self.class_weight

    def _by_level(self, values: Tensor) -> Tensor:
        return values.new_zeros(self.n_levels).index_add(0, self.level, values.sum(0))
