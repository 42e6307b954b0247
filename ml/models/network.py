"""What the training loop and the predictions ask of a network, whatever its kind."""

from typing import Any

from torch import Tensor, nn

Batch = dict[str, Tensor]


class Network(nn.Module):
    """A trainable row: `forward` maps a batch to outputs; the loss of a step is the sum of `loss` over its parts.

    With `whole_step` the loss compares images of the step with each other: `loss` is given the outputs of all its
    micro-batches at once. Outputs are then tensors with a row per image, scalars, or None.
    """

    whole_step = False

    def weights(self, batch: Batch) -> Tensor:
        """The batch's weight per term of the loss; the trainer adds them up over micro-batches and ranks."""
        raise NotImplementedError

    def loss(self, outputs: Any, batch: Batch, totals: Tensor) -> Tensor:
        """This batch's share of the step's loss, given the summed weights."""
        raise NotImplementedError

    def log_scores(self, outputs: Any) -> dict[str, Tensor]:
        """Natural log of each tag's probability, images x tags per facet."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called when the optimizer has changed the weights: for bounds on parameters."""
