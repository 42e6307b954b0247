"""The row `one`: an image network, heads for known tags, a head on the tags' texts, and a memory, mixed in one pass."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.dataset.tag_list import FacetTags, TagList
from ml.models.backbones import ImageTower
from ml.models.heads import HEADS
from ml.models.heads.head import Head
from ml.models.hierarchy import levels_upwards, raise_parents
from ml.models.memory import Memory
from ml.models.network import Batch, Network

TEACHING = 0.5  # ours: how much the teachers' probabilities count in a target, beside the stated tags
LEAST_WEIGHT = 1e-6  # ours: of a part in a mix, so that a tag that no other part knows has a score
HEADED = ("multilabel", "softmax")  # the parts with a linear head per facet


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

    `parts` are some of `multilabel`, `softmax`, `texts` and `memory`, in this order.
    """

    slope: Tensor  # facets x parts: of Platt's scale of each part
    intercept: Tensor
    weight: Tensor  # facets x parts, each row summing to 1
    seen: Tensor  # tags of all facets, bool: whether a training image has it

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
        heads: dict[str, nn.Module] = {
            part: nn.ModuleDict({facet: HEADS[part](tower.width, tags) for facet, tags in tag_list.facets.items()})
            for part in HEADED
            if part in parts
        }
        if "texts" in parts:
            heads["texts"] = TextHead(tower.width, text_width, self.sizes)
        self.heads = nn.ModuleDict(heads)
        if "memory" in parts:
            self.memory = Memory(tower.width, self.sizes, k)
        self.levels = [levels_upwards(tags) for tags in tag_list.facets.values()]
        shape = (len(self.facets), len(parts))
        self.register_buffer("slope", torch.ones(shape))
        self.register_buffer("intercept", torch.zeros(shape))
        self.register_buffer("weight", torch.full(shape, 1 / len(parts)))
        counts = [count for tags in tag_list.facets.values() for count in tags.n_train]
        self.register_buffer("seen", torch.tensor(counts) > 0)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """`features` of unit length, images x width; per part with a head its logits by facet; the images' groups."""
        features = self.tower(batch["image"])
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            dropped = self.drop(features)
            outputs: dict[str, Any] = {part: self._logits(part, dropped) for part in self.heads}
            outputs["features"] = functional.normalize(features, dim=1)
        return outputs | ({"group": batch["group"]} if "group" in batch else {})

    def _logits(self, part: str, features: Tensor) -> list[Tensor]:
        if part == "texts":
            return self.heads[part](features)
        return [head(features) for head in self._heads(part)]

    @property
    def text_head(self) -> TextHead:
        """The head on the tags' texts. Raises KeyError where the row has none."""
        return cast(TextHead, self.heads["texts"])

    def _heads(self, part: str) -> list[Head]:
        return [head for head in self.heads[part].children() if isinstance(head, Head)]

    def weights(self, batch: Batch) -> Tensor:
        """Per head and facet the annotated images, then all images; the trainer adds them up over micro-batches."""
        annotated = torch.stack([closed.any(1).sum().float() for closed in batch["closed"].split(self.sizes, 1)])
        return torch.cat([annotated.repeat(len(self.heads)), annotated.new_tensor([len(batch["closed"])])])

    def loss(self, outputs: dict[str, Any], batch: Batch, totals: Tensor) -> Tensor:
        """The heads' losses, each a mean over the images annotated in a facet, added with weight 1.

        BCE against the stated tags, and where the batch has `teacher` (images x tags) against the mean of both; CE
        against the drawn tag. The head on texts learns nothing of tags without a training image. Tags that people
        rejected are the last term, of the multi-label head.
        """
        closed = batch["closed"].split(self.sizes, 1)
        taught = batch["closed"].float()
        if "teacher" in batch:
            taught = taught.lerp(batch["teacher"], TEACHING)
        targets, seen = taught.split(self.sizes, 1), self.seen.split(self.sizes)
        sums = []
        for part in self.heads:
            for number, logits in enumerate(outputs[part]):
                if part == "softmax":
                    drawn = batch["sampled_tag"][:, number]
                    sums.append(self._heads(part)[number].sums(logits, closed[number], drawn)[0])
                else:
                    each = functional.binary_cross_entropy_with_logits(logits, targets[number], reduction="none")
                    counted = seen[number] if part == "texts" else torch.ones_like(seen[number])
                    sums.append(((each * counted).sum(1) * closed[number].any(1)).sum())
        sums.append(self._negatives(outputs, batch))
        return (torch.stack(sums) / totals.clamp(min=1e-8)).sum()

    def _negatives(self, outputs: dict[str, Any], batch: Batch) -> Tensor:
        if "rejected" not in batch:
            return batch["image"].new_zeros(())
        rejected = zip(
            self._heads("multilabel"), outputs["multilabel"], batch["rejected"].split(self.sizes, 1), strict=True
        )
        return self.rejected_weight * torch.stack([head.negatives(*each)[0] for head, *each in rejected]).sum()

    def part_scores(self, outputs: dict[str, Any]) -> list[dict[str, Tensor]]:
        """For each facet, natural log of each tag's probability by part, images x tags."""
        remembered: list[Tensor | None] = [None] * len(self.facets)
        if "memory" in self.parts and len(self.memory):
            remembered = list(self.memory(outputs["features"], outputs.get("group")))
        found = []
        for number in range(len(self.facets)):
            scores = {part: self._part(part, number, outputs[part][number]) for part in self.heads}
            votes = remembered[number]
            found.append(scores if votes is None else scores | {"memory": votes})
        return found

    def _part(self, part: str, number: int, logits: Tensor) -> Tensor:
        if part == "texts":
            return functional.logsigmoid(logits)
        return self._heads(part)[number].log_scores(logits)

    def log_scores(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Natural log of each tag's probability, per facet: the parts mixed, parents at least as high as children."""
        mixed = {}
        known = self._known()
        for number, (facet, scores) in enumerate(zip(self.facets, self.part_scores(outputs), strict=True)):
            at = [self.parts.index(part) for part in scores]
            stacked = torch.stack(list(scores.values()))
            scale = self.slope[number, at, None, None], self.intercept[number, at, None, None]
            weights = known_weights(self.weight[number, at], torch.stack([known[part][number] for part in scores]))
            mixed[facet] = raise_parents(mix(stacked, *scale, weights), self.levels[number])
        return mixed

    def _known(self) -> dict[str, tuple[Tensor, ...]]:
        """By part and facet, the tags that it can know: a head those of training images, the memory those it holds."""
        known = dict.fromkeys(HEADED, self.seen) | {"texts": torch.ones_like(self.seen)}
        if "memory" in self.parts:
            known["memory"] = self.memory.known()
        return {part: tags.split(self.sizes) for part, tags in known.items()}

    def start_at_prior(self, n_annotated: Mapping[str, int]) -> None:
        """Let the heads begin with the training frequencies, given the annotated training images per facet."""
        for number, (facet, tags) in enumerate(self.tag_list.facets.items()):
            for part in HEADED:
                if part in self.heads:
                    self._heads(part)[number].start_at_prior(tags, n_annotated[facet])
            if "texts" in self.heads:
                with torch.no_grad():
                    self.text_head.bias[number] = _mean_log_odds(tags, n_annotated[facet])


def _mean_log_odds(tags: FacetTags, n_images: int) -> float:
    share = sum(tags.n_train) / max(len(tags) * n_images, 1)
    return float(torch.tensor(share).clamp(1e-4, 1 - 1e-4).logit())


def known_weights(weights: Tensor, known: Tensor) -> Tensor:
    """For each tag the weights (parts,) among the parts that know it (parts x tags, bool), summing to 1.

    A tag that no part knows keeps the weights as they are.
    """
    of_tag = (weights[:, None] + LEAST_WEIGHT) * (known | ~known.any(0))
    return of_tag / of_tag.sum(0)


def mix(scores: Tensor, slope: Tensor, intercept: Tensor, weights: Tensor) -> Tensor:
    """Natural log of the weighted mean of the parts' probabilities, images x tags.

    `scores` are parts x images x tags; slope and intercept are beside them; `weights` are parts x tags.
    """
    scaled = functional.logsigmoid(slope * scores + intercept)
    return torch.logsumexp(scaled + weights.clamp(min=1e-30).log()[:, None], 0).clamp(max=0)
