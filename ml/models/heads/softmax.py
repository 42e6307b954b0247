"""A softmax over the facet's tags; the target is one random tag of the image per step (paper)."""

import torch
from torch import Tensor

from ml.models.heads.head import Head


class Softmax(Head):
    """Cross-entropy against the drawn tag, optionally weighted by class (WCE); the weighted mean over the batch.

    A class weighs N / (C n), at most WEIGHT_CAP. Whether the cap is reached depends on the counts as much as on the
    number of tags: see there.
    """

    in_words = "A tag's probability is the softmax over its facet's logits."

    def weights(self, closed: Tensor, sampled: Tensor) -> Tensor:
        """The sum of the drawn tags' weights; an image without annotation draws -1 and weighs 0."""
        return self._weight_of(sampled).sum().reshape(1)

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """One term."""
        chosen = torch.log_softmax(logits, 1).gather(1, sampled.clamp(min=0)[:, None])[:, 0]
        return -(self._weight_of(sampled) * chosen).sum().reshape(1)

    def _weight_of(self, sampled: Tensor) -> Tensor:
        return torch.where(sampled >= 0, self.class_weight[sampled.clamp(min=0)], 0.0)

    def log_scores(self, logits: Tensor) -> Tensor:
        """Log of the softmax."""
        return torch.log_softmax(logits, 1)
