"""The vision baselines: one image network, one head per facet."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower
from ml.models.heads import HEADS
from ml.models.heads.head import Head
from ml.models.network import Batch, Network


class VisionModel(Network):
    """Logits per facet from one network; the loss masks facets that an image has no annotation for."""

    def __init__(
        self,
        tower: ImageTower,
        tag_list: TagList,
        head: str,
        *,
        class_weights: bool = False,
        drop: float = 0.0,
        rejected_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.tower = tower
        self.drop = nn.Dropout(drop)
        self.heads = nn.ModuleDict(
            {facet: HEADS[head](tower.width, tags, class_weights) for facet, tags in tag_list.facets.items()}
        )
        self.tag_list, self.rejected_weight = tag_list, rejected_weight
        self.sizes = [len(tags) for tags in tag_list.facets.values()]

    def forward(self, batch: Batch) -> list[Tensor]:
        """Logits (images x tags), float32, one tensor per facet."""
        features = self.drop(self.tower(batch["image"]))
        with torch.autocast(features.device.type, enabled=False):
            return [head(features.float()) for head in self._heads()]

    def weights(self, batch: Batch) -> Tensor:
        """The batch's weight per term of the loss; the trainer adds them up over micro-batches and ranks."""
        images = batch["sampled_tag"].new_tensor([len(batch["sampled_tag"])], dtype=torch.float32)
        return torch.cat([*(head.weights(closed, sampled) for head, closed, sampled in self._targets(batch)), images])

    def loss(self, outputs: list[Tensor], batch: Batch, totals: Tensor) -> Tensor:
        """This batch's share of the step's loss: the sum over facets and terms of sum / total.

        The last term are the tags that people rejected, of all facets, per image of the step.
        """
        sums = [
            head.sums(logits, closed, sampled)
            for logits, (head, closed, sampled) in zip(outputs, self._targets(batch), strict=True)
        ]
        if "rejected" in batch:
            rejected = batch["rejected"].split(self.sizes, dim=1)
            negatives = [head.negatives(*each) for head, *each in zip(self._heads(), outputs, rejected, strict=True)]
            sums.append(self.rejected_weight * torch.stack(negatives).sum(0))
        terms = torch.cat(sums)
        return (terms / totals[: len(terms)].clamp(min=1e-8)).sum()

    def log_scores(self, outputs: list[Tensor]) -> dict[str, Tensor]:
        """Natural log of each tag's probability, per facet."""
        return {
            facet: head.log_scores(logits)
            for facet, head, logits in zip(self.heads, self._heads(), outputs, strict=True)
        }

    def start_at_prior(self, n_annotated: Mapping[str, int]) -> None:
        """Let the heads begin with the training frequencies, given the annotated training images per facet."""
        for (facet, tags), head in zip(self.tag_list.facets.items(), self._heads(), strict=True):
            head.start_at_prior(tags, n_annotated[facet])

    def _targets(self, batch: Batch) -> list[tuple[Head, Tensor, Tensor]]:
        closed = batch["closed"].split(self.sizes, dim=1)
        sampled = batch["sampled_tag"].unbind(1)
        return list(zip(self._heads(), closed, sampled, strict=True))

    def _heads(self) -> list[Head]:
        return [head for head in self.heads.values() if isinstance(head, Head)]
