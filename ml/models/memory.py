"""A memory of training images and of confirmed decisions, which grows and shrinks without any training."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from ml.dataset.confirmed import NO_GROUP
from ml.models.neighbours import Counts, counts_of, make_room, votes, without

TRAINING = -1  # the key of a training image, which is never forgotten


class Memory(nn.Module):
    """Features of images with their tags; the tags of the `k` nearest count by similarity.

    An image never counts for one of its own group. An image that people decided on has a key: deciding again replaces
    it, forgetting it leaves the memory as if it had never been there. Such images stand behind the training images by
    their keys, so that the memory does not depend on the order of the decisions.
    """

    features: Tensor  # images x width, float32, unit length
    closed: Tensor  # images x tags of all facets, bool
    groups: Tensor  # images, int64: ml.dataset.split.group_key, NO_GROUP where it is not known
    keys: Tensor  # images, int64: TRAINING, or the image's own, at least 0
    annotated: Tensor  # Counts of all images, so that an answer need not count them
    with_tag: Tensor
    in_facet: Tensor

    def __init__(self, width: int, sizes: Sequence[int], k: int) -> None:
        super().__init__()
        self.sizes, self.k = list(sizes), k
        self.register_buffer("features", torch.zeros(0, width))
        self.register_buffer("closed", torch.zeros(0, sum(sizes), dtype=torch.bool))
        self.register_buffer("groups", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))
        for name, tensor in counts_of(self.closed, self.sizes)._asdict().items():
            self.register_buffer(name, tensor, persistent=False)
        self.register_load_state_dict_pre_hook(make_room)
        self.register_load_state_dict_post_hook(lambda memory, _: memory.count())

    def __len__(self) -> int:
        return len(self.features)

    def remember(self, features: Tensor, closed: Tensor, groups: Tensor, keys: Sequence[int] | None = None) -> None:
        """Add images: unit features (n, width), closed tags (n, tags) and groups (n,).

        `keys` (n) are those of images that people decided on, which replace what was remembered of them; without keys
        the images are training images.
        """
        new = torch.full_like(groups, TRAINING) if keys is None else torch.tensor(list(keys), dtype=torch.int64)
        kept = ~self._of(() if keys is None else keys)
        added = {"features": features, "closed": closed, "groups": groups, "keys": new}
        whole = {name: torch.cat([getattr(self, name)[kept], each.to(kept.device)]) for name, each in added.items()}
        order = whole["keys"].argsort(stable=True)  # training images have the lowest key
        self._hold({name: tensor[order] for name, tensor in whole.items()})

    def _of(self, keys: Collection[int]) -> Tensor:
        """Whether an image has one of these keys, bool (images,); never a training image."""
        wanted = torch.tensor(list(keys), dtype=torch.int64, device=self.keys.device)
        return torch.isin(self.keys, wanted) & (self.keys != TRAINING)

    def _hold(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            setattr(self, name, tensor)
        self.count()

    def count(self) -> None:
        """Bring the counts up to date with the images."""
        self.annotated, self.with_tag, self.in_facet = counts_of(self.closed, self.sizes)

    def forget(self, keys: Collection[int]) -> int:
        """Take back the images of these keys; returns how many went. Training images stay."""
        gone = self._of(keys)
        self._hold({name: getattr(self, name)[~gone] for name in ("features", "closed", "groups", "keys")})
        return int(gone.sum())

    def known(self, groups: Tensor | None = None) -> Tensor:
        """The tags that at least one image here has, bool, images x tags of all facets; `groups` as in `forward`.

        Where no image here is of such a group, one row holds for all images.
        """
        apart, counts = self._apart(groups), self._counts()
        return (counts.with_tag[None] if apart is None else without(apart, self.closed, counts).with_tag) > 0

    def _counts(self) -> Counts:
        return Counts(self.annotated, self.with_tag, self.in_facet)

    def _apart(self, groups: Tensor | None) -> Tensor | None:
        """Which images here are of the group of an image asked for, images asked for x images; None where none is."""
        if groups is None:
            return None
        apart = (groups[:, None] == self.groups) & (groups != NO_GROUP)[:, None]
        return apart if apart.any() else None

    def nearest_with(self, query: Tensor, tag: int, group: int = NO_GROUP) -> tuple[Tensor, Tensor]:
        """The rows of the images that have a tag (its place among those of all facets), most alike first; the cosines.

        `query` (width,) has unit length. Images of the group are left out.
        """
        rows = (self.closed[:, tag] & ((self.groups != group) | (self.groups == NO_GROUP))).nonzero()[:, 0]
        cosines, order = (self.features[rows] @ query).sort(descending=True, stable=True)
        return rows[order], cosines

    def forward(self, queries: Tensor, groups: Tensor | None = None) -> list[Tensor]:
        """Natural log of each tag's share of the votes, images x tags per facet, for unit features (images, width).

        `groups` (images,) are those of the images asked for; nothing of theirs counts. None: of no group that is here.
        """
        apart = self._apart(groups)
        return votes(queries, self.features, self.closed, self.sizes, self.k, apart, self._counts())
