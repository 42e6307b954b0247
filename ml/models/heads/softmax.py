"""A softmax over the facet's tags; the target is one random tag of the image per step (paper)."""

import torch
from torch import Tensor

from ml.models.heads.head import Head


class Softmax(Head):
    """Cross-entropy against the drawn tag, optionally weighted by class; the weighted mean over the batch."""

    def weights(self, closed: Tensor, draws: Tensor) -> Tensor:
        """The sum of the drawn tags' weights; an image without annotation draws -1 and weighs 0."""
        return self._weight_of(draws).sum().reshape(1)

    def sums(self, logits: Tensor, closed: Tensor, draws: Tensor) -> Tensor:
        """One term."""
        chosen = torch.log_softmax(logits, 1).gather(1, draws.clamp(min=0)[:, None])[:, 0]
        return -(self._weight_of(draws) * chosen).sum().reshape(1)

    def _weight_of(self, draws: Tensor) -> Tensor:
        return torch.where(draws >= 0, self.class_weight[draws.clamp(min=0)], 0.0)

    def log_scores(self, logits: Tensor) -> Tensor:
        """Log of the softmax."""
        return torch.log_softmax(logits, 1)
