"""k nearest neighbours on the features of an image network that is not trained."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower
from ml.models.network import Batch, Network

TEMPERATURE = 0.07  # DINO's evaluation (arXiv 2104.14294): a neighbour counts exp(cosine / 0.07)
LEAST = 1e-6  # ours: of a tag that no training image has
PRIOR = 0.01  # ours: how much the training frequencies count beside the neighbours, so that no tag ties with another


class NeighboursNetwork(Network):
    """Remembers the training images' features and tags; the tags of the `k` nearest count by their similarity.

    A neighbour without annotation in a facet has no voice there.
    """

    features: Tensor  # images x width, unit length
    closed: Tensor  # images x tags of all facets, bool

    def __init__(self, tower: ImageTower, tag_list: TagList, k: int) -> None:
        super().__init__()
        self.tower, self.k, self.facets = tower, k, tuple(tag_list.facets)
        self.sizes = [len(tags) for tags in tag_list.facets.values()]
        self.register_buffer("features", torch.zeros(0, tower.width))
        self.register_buffer("closed", torch.zeros(0, sum(self.sizes), dtype=torch.bool))
        self.register_load_state_dict_pre_hook(make_room)

    def forward(self, batch: Batch) -> Tensor:
        """Features of unit length, images x width."""
        return normalize(self.tower(batch["image"]).float(), dim=1)

    def log_scores(self, outputs: Tensor) -> dict[str, Tensor]:
        """Natural log of the share of the annotated neighbours that have a tag, images x tags per facet."""
        voted = votes(outputs, self.features, self.closed, self.sizes, self.k)
        return dict(zip(self.facets, voted, strict=True))


def make_room(module: nn.Module, tensors: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before stored tensors are loaded: buffers of their sizes, as only they know how many images are remembered."""
    for name, _buffer in module.named_buffers(recurse=False):
        if prefix + name in tensors:
            setattr(module, name, torch.empty_like(tensors[prefix + name]))


class Counts(NamedTuple):
    """What votes need to know of all remembered images together."""

    annotated: Tensor  # images x facets, bool: whether the image has a tag of the facet
    with_tag: Tensor  # [queries x] tags of all facets, float32: images that have the tag
    in_facet: Tensor  # [queries x] facets, float32: images that are annotated

    def frequencies(self, sizes: Sequence[int]) -> Tensor:
        """For each tag the share of the images annotated in its facet that have it."""
        of_facet = torch.tensor(list(sizes), device=self.in_facet.device)
        return self.with_tag / self.in_facet.clamp(min=1).repeat_interleave(of_facet, dim=-1)


def counts_of(closed: Tensor, sizes: Sequence[int]) -> Counts:
    """The counts of images with these tags (images x tags of all facets, bool)."""
    annotated = torch.stack([own.any(1) for own in closed.split(list(sizes), dim=1)], 1)
    return Counts(annotated, closed.sum(0).float(), annotated.sum(0).float())


def votes(
    queries: Tensor,
    features: Tensor,
    closed: Tensor,
    sizes: Sequence[int],
    k: int,
    apart: Tensor | None = None,
    counts: Counts | None = None,
) -> list[Tensor]:
    """Natural log of each tag's share of the votes of the `k` nearest, queries x tags, for each facet.

    `queries` and `features` have unit length; `closed` holds the tags of all facets side by side, `sizes` how many
    each facet has. `apart` (queries x images, bool) are images that a query may not see: they count nowhere. `counts`
    are those of `counts_of`, where they are known already.
    """
    counts = counts or counts_of(closed, sizes)
    cosines = queries @ features.T
    if apart is not None:
        cosines = cosines.masked_fill(apart, -torch.inf)
    similarity, nearest = cosines.topk(min(k, features.shape[0]))  # not len: an export has any number of images
    weight = (similarity / TEMPERATURE).softmax(1)
    if apart is not None:
        weight = weight.nan_to_num(0.0)  # of a query that may see no image
        counts = without(apart, closed, counts)
    voted = (weight[:, None] @ closed[nearest].to(weight.dtype))[:, 0] + PRIOR * counts.frequencies(sizes)
    voters = (weight[:, None] @ counts.annotated[nearest].to(weight.dtype))[:, 0] + PRIOR
    parts = zip(voted.split(list(sizes), dim=1), voters.split(1, dim=1), strict=True)
    return [(named / of).clamp(min=LEAST).log() for named, of in parts]


def without(apart: Tensor, closed: Tensor, counts: Counts) -> Counts:
    """The counts for every query without the images that are apart from it (queries x images, bool).

    What these have is subtracted, as they are few and the others may be hundreds of thousands.
    """
    rows = apart.any(0).nonzero()[:, 0]
    hidden = apart[:, rows].float()
    with_tag = counts.with_tag - hidden @ closed[rows].float()
    return Counts(counts.annotated, with_tag, counts.in_facet - hidden @ counts.annotated[rows].float())
