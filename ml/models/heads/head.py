"""What every head promises: logits, a loss that masks images without annotation, and log-probabilities to rank by."""

import numpy as np
import torch
from torch import Tensor, nn

from ml.dataset.tag_list import FacetTags

WEIGHT_CAP = 10.0  # ours: the most that a rare class weighs
ALMOST = 1 - 1e-4  # ours: the most that a rejected tag's probability counts, so that its loss stays finite


class Head(nn.Module):
    """A linear layer over one facet's tags, and the loss on its logits.

    The loss of a step is the sum over k of `sums[k] / totals[k]`, where `totals` are the `weights` added over all
    micro-batches and ranks: so the gradient does not depend on how a batch is cut. The weights follow from the targets
    alone and are 0 for an image without annotation in the facet.
    """

    class_weight: Tensor

    def __init__(self, width: int, tags: FacetTags, class_weights: bool = False, cap: float = WEIGHT_CAP) -> None:
        super().__init__()
        self.linear = nn.Linear(width, len(tags))
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        weights = tags.class_weights(self.weight_groups(tags), cap) if class_weights else np.ones(len(tags))
        self.register_buffer("class_weight", torch.tensor(weights, dtype=torch.float32), persistent=False)

    @staticmethod
    def weight_groups(tags: FacetTags) -> list[int]:
        """Which tags compete with each other: class weights are relative within a group."""
        return [0] * len(tags)

    def start_at_prior(self, tags: FacetTags, n_images: int) -> None:
        """Set the bias so that an untrained head predicts the training frequencies."""
        counts = torch.tensor(tags.n_train, dtype=torch.float32).clamp(min=0.5)
        with torch.no_grad():
            self.linear.bias.copy_((counts / max(n_images, 1)).log())

    def forward(self, features: Tensor) -> Tensor:
        """Logits, images x tags."""
        return self.linear(features)

    def weights(self, closed: Tensor, sampled: Tensor) -> Tensor:
        """The batch's weight per term of the loss, from `closed` (images x tags, bool) and the drawn tag per image."""
        raise NotImplementedError

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """The batch's weighted sum per term of the loss."""
        raise NotImplementedError

    def negatives(self, logits: Tensor, rejected: Tensor) -> Tensor:
        """The batch's sum of -log(1 - P) over `rejected` (images x tags, bool): tags that a person said are wrong.

        It is there for every head, and for facets without annotation too, where nothing else is known.
        """
        probability = self.log_scores(logits).exp() * ALMOST
        return -(torch.log1p(-probability) * rejected).sum().reshape(1)

    def log_scores(self, logits: Tensor) -> Tensor:
        """Natural log of each tag's probability, images x tags."""
        raise NotImplementedError


class Tree(nn.Module):
    """The tags' tree as index tensors, for probabilities that multiply along a path."""

    parents: Tensor

    def __init__(self, tags: FacetTags) -> None:
        super().__init__()
        self.register_buffer("parents", torch.tensor(tags.parents, dtype=torch.long), persistent=False)
        depths = torch.tensor(tags.depths)
        self.n_levels = int(depths.max()) + 1
        for depth in range(1, self.n_levels):
            self.register_buffer(f"level_{depth}", torch.nonzero(depths == depth).flatten(), persistent=False)

    def along_paths(self, log_factors: Tensor) -> Tensor:
        """The sum of `log_factors` from the top down to each tag (images x tags).

        One pass per level, not per node. Factors are at most 0 and rounding is monotone, so that no tag ends above its
        parent, exactly.
        """
        total = log_factors.clamp(max=0)
        for depth in range(1, self.n_levels):
            here = getattr(self, f"level_{depth}")
            total = total.index_add(1, here, total[:, self.parents[here]])
        return total


def segment_log_softmax(logits: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Log-softmax within each segment of the columns: `segment[c]` is the segment of column c."""
    largest = logits.new_full((logits.shape[0], n_segments), -torch.inf)
    largest = largest.scatter_reduce(1, segment.expand_as(logits), logits.detach(), "amax")
    shifted = logits - largest[:, segment]
    totals = logits.new_zeros((logits.shape[0], n_segments)).index_add(1, segment, shifted.exp())
    return shifted - totals.log()[:, segment]


def segment_share(closed: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """A uniform target over the true columns of each segment; 0 everywhere in a segment without a true column."""
    true = closed.float()
    count = true.new_zeros((len(true), n_segments)).index_add(1, segment, true)
    return true / count[:, segment].clamp(min=1)
