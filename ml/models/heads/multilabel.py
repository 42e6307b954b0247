"""A sigmoid per tag: binary cross-entropy (paper), or timm's asymmetric loss (ours)."""

import torch
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor
from torch.nn import functional

from ml.dataset.tag_list import FacetTags
from ml.models.heads.head import Head


class Multilabel(Head):
    """Binary cross-entropy, summed over the facet's tags and averaged over the images annotated in it.

    The sum (ours; the paper does not say) lets a facet weigh by its tags, as in the asymmetric loss. From logits of 0
    an image's loss is 34.7 with 50 tags and 850.5 with 1,227, and 6 % and 0.2 % of it come from the tags that it has;
    the gradient's length over a head is 3 and 17, which `clip_norm` = 1 cuts. From the training frequencies
    (`prior_bias`) the loss is 9 and 16, 71 % and 82 % of it come from its tags, and the gradient is 0.1 for both. AdamW
    divides the size out of a step, but not out of the balance between facets. Measured in
    docs/experiments/loss-size.md.
    """

    in_words = "A tag's probability is the sigmoid of its logit."

    def start_at_prior(self, tags: FacetTags, n_images: int) -> None:
        """The bias is the log-odds of a tag among the images annotated in the facet."""
        share = (torch.tensor(tags.n_train, dtype=torch.float32) / max(n_images, 1)).clamp(1e-4, 1 - 1e-4)
        with torch.no_grad():
            self.linear.bias.copy_(share.logit())

    def sums(self, logits: Tensor, closed: Tensor, sampled: Tensor) -> Tensor:
        """One term."""
        each = self.elements(logits, closed.to(logits.dtype)) * self.class_weight
        return (each.sum(1) * closed.any(1)).sum().reshape(1)

    def elements(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each image and tag."""
        return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def log_scores(self, logits: Tensor) -> Tensor:
        """Log of the sigmoid, written as a softplus: ONNX takes the log of a rounded sigmoid otherwise."""
        return -functional.softplus(-logits)


class Asymmetric(Multilabel):
    """Asymmetric loss (arXiv 2009.14119): easy negatives weigh less; timm's defaults."""

    def __init__(self, width: int, tags: FacetTags, class_weights: bool = False) -> None:
        super().__init__(width, tags, class_weights)
        self.loss = AsymmetricLossMultiLabel(reduction="none")

    def elements(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each image and tag."""
        return self.loss(logits, target)
