"""Which tags are right for each image, in compressed rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Relevance:
    """Which tags are right for each of n images, as positions in the facet's tag list (compressed rows).

    Tags are closed upwards; `stated` marks those that the record states itself. `unseen` counts an image's relevant
    tags outside the tag list.
    """

    starts: np.ndarray  # int64, n + 1
    tags: np.ndarray  # int32, ascending within an image
    stated: np.ndarray  # bool, beside `tags`
    unseen: np.ndarray  # int32, n

    def __len__(self) -> int:
        return len(self.unseen)

    @property
    def images(self) -> np.ndarray:
        """The image of every pair of image and relevant tag."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def dense(self, n_tags: int) -> np.ndarray:
        """The same as a matrix, float64 (n, n_tags): 1 where a tag is right for an image, else 0."""
        matrix = np.zeros((len(self), n_tags))
        matrix[self.images, self.tags] = 1
        return matrix

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]], unseen: Sequence[int] | None = None) -> "Relevance":
        """From one list of positions per image, all of them stated."""
        starts = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
        tags = np.array([tag for row in lists for tag in sorted(row)], dtype=np.int32)
        missed = np.zeros(len(lists), np.int32) if unseen is None else np.asarray(unseen, np.int32)
        return cls(starts, tags, np.ones(len(tags), bool), missed)

    def of(self, images: np.ndarray) -> "Relevance":
        """The relevance of these images (n,), in this order; an image may occur more than once."""
        sizes = np.diff(self.starts)[images]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        at = np.repeat(self.starts[images] - starts[:-1], sizes) + np.arange(starts[-1])
        return Relevance(starts, self.tags[at], self.stated[at], self.unseen[images])

    def among(self, columns: np.ndarray, n_tags: int) -> "Relevance":
        """The relevance among some tags only, as positions in `columns`; nothing counts as unseen there."""
        position = np.full(n_tags, -1, np.int32)
        position[columns] = np.arange(len(columns), dtype=np.int32)
        kept = position[self.tags] >= 0
        sums = np.concatenate([[0], np.cumsum(kept)])
        return Relevance(
            sums[self.starts].astype(np.int64),
            position[self.tags[kept]],
            self.stated[kept],
            np.zeros(len(self), np.int32),
        )
