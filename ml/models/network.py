"""What the training loop and the predictions ask of a network, whatever its kind."""

from typing import Any

from torch import Tensor, nn

Batch = dict[str, Tensor]


class Network(nn.Module):
    """A trainable row: `forward` maps a batch to outputs; the loss of a step is the sum of `loss` over its parts."""

    def weights(self, batch: Batch) -> Tensor:
        """The batch's weight per term of the loss; the trainer adds them up over micro-batches and ranks."""
        raise NotImplementedError

    def loss(self, outputs: Any, batch: Batch, totals: Tensor) -> Tensor:
        """This batch's share of the step's loss, given the summed weights."""
        raise NotImplementedError

    def log_scores(self, outputs: Any) -> dict[str, Tensor]:
        """Natural log of each tag's probability, images x tags per facet."""
        raise NotImplementedError
