"""The row `one`: an image network, a head for known tags, one on the tags' texts, and a memory, mixed in one pass."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.dataset.tag_list import FacetTags, TagList
from ml.models.backbones import ImageTower
from ml.models.heads.multilabel import Multilabel
from ml.models.hierarchy import ancestor_pairs, raise_parents
from ml.models.memory import Memory
from ml.models.network import Batch, Network

SUREST = -1e-4  # ours: the log of a share of votes, at most, as that of all votes has no log-odds
LEAST = 1e-30  # a probability, so that its logarithm is finite
LEAST_WEIGHT = 1e-6  # ours: of a part in a mix, so that a tag that no other part knows has a score


class TextHead(nn.Module):
    """Pictures mapped to the space of the tags' texts; one bias per facet, as a new tag has none of its own."""

    vectors: Tensor  # tags of all facets x width, unit length

    def __init__(self, width: int, text_width: int, sizes: list[int]) -> None:
        super().__init__()
        self.projection = nn.Linear(width, text_width)
        nn.init.trunc_normal_(self.projection.weight, std=0.02)
        nn.init.zeros_(self.projection.bias)
        self.bias = nn.Parameter(torch.zeros(len(sizes)))
        self.register_buffer("vectors", torch.zeros(sum(sizes), text_width))
        self.sizes = sizes
        # A step of Adam moves every weight alike: so a logit moves about as far as one of a linear head.
        self.scale = text_width**-0.5

    def keep(self, vectors: Tensor) -> None:
        """Take the tags' text vectors (tags x width) without their mean, which all texts share, at unit length."""
        self.vectors = functional.normalize(vectors - vectors.mean(0), dim=1)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Logits, images x tags per facet. The features are not trained by them."""
        products = self.scale * self.projection(features.detach()) @ self.vectors.T
        return [part + bias for part, bias in zip(products.split(self.sizes, 1), self.bias, strict=True)]


class OneModel(Network):
    """One network, one pass; `log_scores` mixes its parts, on the scale and with the weights that are set beforehand.

    `parts` are `multilabel`, and after it `texts` and `memory` where the row has them.
    """

    slope: Tensor  # facets x parts: of Platt's scale of each part
    intercept: Tensor
    weight: Tensor  # facets x parts, each row summing to 1
    seen: Tensor  # tags of all facets, bool: whether a training image has it
    facet_of: Tensor  # tags of all facets, int64: the number of its facet

    def __init__(
        self,
        tower: ImageTower,
        tag_list: TagList,
        parts: tuple[str, ...],
        *,
        text_width: int,
        k: int,
        drop: float = 0.0,
        rejected_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.tower, self.tag_list, self.parts = tower, tag_list, parts
        self.drop, self.rejected_weight = nn.Dropout(drop), rejected_weight
        self.facets, self.sizes = tuple(tag_list.facets), [len(tags) for tags in tag_list.facets.values()]
        known = {facet: Multilabel(tower.width, tags) for facet, tags in tag_list.facets.items()}
        self.heads = nn.ModuleDict({"multilabel": nn.ModuleDict(known)})
        if "texts" in parts:
            self.heads["texts"] = TextHead(tower.width, text_width, self.sizes)
        if "memory" in parts:
            self.memory = Memory(tower.width, self.sizes, k)
        self.pairs = ancestor_pairs(tag_list.facets.values())
        shape = (len(self.facets), len(parts))
        self.register_buffer("slope", torch.ones(shape))
        self.register_buffer("intercept", torch.zeros(shape))
        self.register_buffer("weight", torch.full(shape, 1 / len(parts)))
        counts = [count for tags in tag_list.facets.values() for count in tags.n_train]
        self.register_buffer("seen", torch.tensor(counts) > 0)
        facet_of = torch.arange(len(self.sizes)).repeat_interleave(torch.tensor(self.sizes))
        self.register_buffer("facet_of", facet_of, persistent=False)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """`features` of unit length, images x width; per part with a head its logits by facet; the images' groups."""
        features = self.tower(batch["image"])
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            dropped = self.drop(features)
            outputs: dict[str, Any] = {"multilabel": [head(dropped) for head in self._known_heads()]}
            if "texts" in self.heads:
                outputs["texts"] = self.text_head(dropped)
            outputs["features"] = functional.normalize(features, dim=1)
        return outputs | ({"group": batch["group"]} if "group" in batch else {})

    @property
    def text_head(self) -> TextHead:
        """The head on the tags' texts. Raises KeyError where the row has none."""
        return cast(TextHead, self.heads["texts"])

    def _known_heads(self) -> list[Multilabel]:
        return [head for head in self.heads["multilabel"].children() if isinstance(head, Multilabel)]

    def weights(self, batch: Batch) -> Tensor:
        """Per head and facet the annotated images, then all images; the trainer adds them up over micro-batches."""
        annotated = torch.stack([closed.any(1).sum().float() for closed in batch["closed"].split(self.sizes, 1)])
        return torch.cat([annotated.repeat(len(self.heads)), annotated.new_tensor([len(batch["closed"])])])

    def loss(self, outputs: dict[str, Any], batch: Batch, totals: Tensor) -> Tensor:
        """The heads' losses, BCE against the stated tags, each a mean over the images annotated in a facet.

        The head on texts learns nothing of tags without a training image. Tags that people rejected are the last term,
        of the multi-label head.
        """
        closed, seen = batch["closed"].split(self.sizes, 1), self.seen.split(self.sizes)
        sums = []
        for part in self.heads:
            for logits, targets, learned in zip(outputs[part], closed, seen, strict=True):
                each = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none")
                counted = learned if part == "texts" else torch.ones_like(learned)
                sums.append(((each * counted).sum(1) * targets.any(1)).sum())
        sums.append(self._negatives(outputs, batch))
        return (torch.stack(sums) / totals.clamp(min=1e-8)).sum()

    def _negatives(self, outputs: dict[str, Any], batch: Batch) -> Tensor:
        if "rejected" not in batch:
            return batch["image"].new_zeros(())
        rejected = batch["rejected"].split(self.sizes, 1)
        by_facet = zip(self._known_heads(), outputs["multilabel"], rejected, strict=True)
        return self.rejected_weight * torch.stack([head.negatives(*each)[0] for head, *each in by_facet]).sum()

    def part_scores(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """By part, each tag's log-odds, images x tags of all facets; the memory's are those of its share of votes."""
        scores = {part: torch.cat(outputs[part], 1) for part in self.heads}
        if "memory" in self.parts and self.memory.features.shape[0]:
            shares = torch.cat(self.memory(outputs["features"], outputs.get("group")), 1).clamp(max=SUREST)
            scores["memory"] = shares - torch.log1p(-shares.exp())
        return scores

    def log_scores(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Natural log of each tag's probability, per facet: the parts mixed, parents at least as high as children."""
        scores = self.part_scores(outputs)
        scales = torch.stack([self.slope, self.intercept, self.weight])
        of_tags = scales[:, self.facet_of, : len(scores)]  # an empty memory, the last part, is left out
        slope, intercept, weight = of_tags.transpose(1, 2)[:, :, None]
        known = torch.broadcast_tensors(*(self._known(part, outputs.get("group")) for part in scores))
        weights = known_weights(weight, torch.stack(known))
        mixed = mix(torch.stack(list(scores.values())), slope, intercept, weights)
        by_facet = raise_parents(mixed, self.pairs).split(self.sizes, 1)
        return dict(zip(self.facets, by_facet, strict=True))

    def _known(self, part: str, groups: Tensor | None) -> Tensor:
        """The tags that a part can know, bool, images (or 1 for all) x tags.

        A head knows those of training images, the memory those it holds of other groups.
        """
        if part == "memory":
            return self.memory.known(groups)
        return (self.seen if part == "multilabel" else torch.ones_like(self.seen))[None]

    def start_at_prior(self, n_annotated: Mapping[str, int]) -> None:
        """Let the heads begin with the training frequencies, given the annotated training images per facet."""
        for number, (facet, tags) in enumerate(self.tag_list.facets.items()):
            self._known_heads()[number].start_at_prior(tags, n_annotated[facet])
            if "texts" in self.heads:
                with torch.no_grad():
                    self.text_head.bias[number] = _mean_log_odds(tags, n_annotated[facet])


def _mean_log_odds(tags: FacetTags, n_images: int) -> float:
    share = sum(tags.n_train) / max(len(tags) * n_images, 1)
    return float(torch.tensor(share).clamp(1e-4, 1 - 1e-4).logit())


def known_weights(weights: Tensor, known: Tensor) -> Tensor:
    """The weights (parts x … x tags) among the parts that know a tag (bool, of that shape), summing to 1 for each tag.

    A tag that no part knows keeps the weights as they are.
    """
    of_tag = (weights + LEAST_WEIGHT) * (known | ~known.any(0))
    return of_tag / of_tag.sum(0)


def mix(scores: Tensor, slope: Tensor, intercept: Tensor, weights: Tensor) -> Tensor:
    """Natural log of the weighted mean of the parts' probabilities, images x tags.

    `scores` are log-odds, parts x images x tags; slope and intercept, parts x 1 x tags, are their scales; `weights`,
    parts x (images or 1) x tags, sum to 1.
    """
    log_odds = torch.addcmul(intercept, slope, scores)
    # The sigmoid, by exponentials: onnxruntime's own is off by 5e-8, which is a thousandth of a probability of 5e-5.
    probabilities = log_odds.clamp(max=0).exp() / (1 + (-log_odds.abs()).exp())
    return (weights * probabilities).sum(0).clamp(LEAST, 1.0).log()
