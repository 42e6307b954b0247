"""A memory of training images and of confirmed decisions, which grows and shrinks without any training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ml.models.neighbours import Counts, counts_of, make_room, votes

NO_GROUP = -1  # of an image whose group is not known
TRAINING = -1  # the key of a training image, which is never forgotten


class Memory(nn.Module):
    """Features of images with their tags; the tags of the `k` nearest count by similarity.

    An image never counts for one of its own group. A decision has a key: deciding again replaces it, forgetting it
    leaves the memory as if it had never been made.
    """

    features: Tensor  # images x width, float32, unit length
    closed: Tensor  # images x tags of all facets, bool
    groups: Tensor  # images, int64: ImageSplit.group_keys, NO_GROUP where it is not known
    keys: Tensor  # images, int64: TRAINING, or the decision's key, at least 0
    annotated: Tensor  # Counts of all images, so that an answer need not count them
    frequencies: Tensor

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

    def remember(self, features: Tensor, closed: Tensor, groups: Tensor, key: int = TRAINING) -> None:
        """Add images: unit features (n, width), closed tags (n, tags) and groups (n,). A decision's key replaces it."""
        if key != TRAINING:
            self.forget(key)
        self.features = torch.cat([self.features, features.to(self.features)])
        self.closed = torch.cat([self.closed, closed.to(self.closed)])
        self.groups = torch.cat([self.groups, groups.to(self.groups)])
        self.keys = torch.cat([self.keys, torch.full_like(groups, key).to(self.keys)])
        self.count()

    def count(self) -> None:
        """Bring the counts up to date with the images."""
        self.annotated, self.frequencies = counts_of(self.closed, self.sizes)

    def forget(self, key: int) -> int:
        """Take back the decision of this key; returns how many images went. Training images stay."""
        kept = (self.keys != key) | (self.keys == TRAINING)
        self.features, self.closed = self.features[kept], self.closed[kept]
        self.groups, self.keys = self.groups[kept], self.keys[kept]
        self.count()
        return int((~kept).sum())

    def known(self) -> Tensor:
        """The tags that at least one image here has, bool (tags of all facets,)."""
        return self.frequencies > 0

    def forward(self, queries: Tensor, groups: Tensor | None = None) -> list[Tensor]:
        """Natural log of each tag's share of the votes, images x tags per facet, for unit features (images, width).

        `groups` (images,) are those of the images asked for; nothing of theirs counts. None: of no group that is here.
        """
        apart = None
        if groups is not None:
            apart = (groups[:, None] == self.groups) & (groups != NO_GROUP)[:, None]
            apart = apart if apart.any() else None
        counts = Counts(self.annotated, self.frequencies)
        return votes(queries, self.features, self.closed, self.sizes, self.k, apart, counts)
