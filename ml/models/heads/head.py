"""What every head promises: logits, a loss that masks images without annotation, and log-probabilities to rank by."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ml.dataset.tag_list import FacetTags

# Ours: the most that a rare class weighs. Where the k-th tag has 1/k of the first's images it cuts nothing: the largest
# weight is 4.5 with 50 tags and 7.6 with 1,227. With 1/k^1.5 it cuts 24 % of 50 tags (from up to 15) and 76 % of 1,227
# (from up to 77); these have 2 % of the images in both, and make 20 % and 51 % of the loss. The loss is divided by the
# batch's weights, so that its own size stays. Measured in docs/experiments/loss-size.md.
WEIGHT_CAP = 10.0
ALMOST = 1 - 1e-4  # ours: the most that a rejected tag's probability counts, so that its loss stays finite


class Head(nn.Module):
    """A linear layer over one facet's tags, and the loss on its logits.

    The loss of a step is the sum over k of `sums[k] / totals[k]`, where `totals` are the `weights` added over all
    micro-batches and ranks: so the gradient does not depend on how a batch is cut. The weights follow from the targets
    alone and are 0 for an image without annotation in the facet.
    """

    in_words: ClassVar[str]  # how its logits become probabilities, for a model's card
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
        """The batch's weight per term of the loss, from `closed` (images x tags, bool) and the drawn tag per image.

        Here the number of annotated images, for a mean over them.
        """
        return closed.any(1).sum().float().reshape(1)

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
