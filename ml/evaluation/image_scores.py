"""An array per metric with a value for every image of one facet, and means over it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ml.dataset.relevance import Relevance
from ml.evaluation.metrics import FURTHER, POLICIES, as_bits, bit_layout, from_keys, main_metrics, rank_images
from ml.evaluation.threads import in_threads
from pipeline.tables import IGNORE_UNSEEN


@dataclass
class ImageScores:
    """Every metric of every image, filled in batch by batch; NaN where an image does not count.

    `values`: float64 (n, metrics); `hits`: chance that a relevant tag is among the R best; `positions`: its expected
    1-based position; both beside `relevance.tags`.
    """

    relevance: Relevance
    top_k: tuple[int, ...]
    further: bool = True  # False: only the paper's metrics, three times faster
    values: np.ndarray = field(init=False)
    hits: np.ndarray = field(init=False)
    positions: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.full((len(self.relevance), len(self.names)), np.nan)
        self.hits = np.full(len(self.relevance.tags), np.nan)
        self.positions = np.full(len(self.relevance.tags), np.nan)

    @property
    def names(self) -> list[tuple[str, str]]:
        """(metric, policy) of every column of `values`."""
        main = main_metrics(self.top_k)
        return [(m, policy) for policy in POLICIES for m in main] + [(m, IGNORE_UNSEEN) for m in FURTHER]

    def column(self, metric: str, policy: str = IGNORE_UNSEEN) -> np.ndarray:
        """One metric of all images, shape (n,)."""
        return self.values[:, self.names.index((metric, policy))]

    def add(self, scores: np.ndarray, rows: np.ndarray, parents: Sequence[int] | np.ndarray) -> None:
        """Rank a batch of scores, float16, float32 or float64 (b, tags), of the images `rows` (b,).

        `parents` gives each tag's parent in the tag list, -1 at the top. Raises ValueError for a NaN.
        """
        bits = as_bits(scores)
        further = len(main_metrics(self.top_k)) * len(POLICIES) if self.further else -1
        images, layout = rows.astype(np.int64), bit_layout(bits.dtype)
        r = self.relevance
        tags = (r.starts, r.tags, r.stated, r.unseen, np.asarray(parents, np.int32), np.array(self.top_k, np.int64))
        output = (self.values, further, self.hits, self.positions)

        def rank(start: int, stop: int) -> bool:
            return rank_images(bits[start:stop], *layout, images[start:stop], *tags, *output)

        if not all(in_threads(rank, len(bits))):
            raise ValueError("scores hold NaN")
        if self.further:
            column = self.values[:, self.names.index(("confidence", IGNORE_UNSEEN))]
            counted = rows[~np.isnan(column[rows])]
            column[counted] = from_keys(column[counted], bits.dtype)


def score_images(
    scores: np.ndarray,
    relevance: Relevance,
    *,
    top_k: tuple[int, ...] = (1, 10),
    parents: np.ndarray | None = None,
    further: bool = True,
) -> ImageScores:
    """All metrics of scores that fit into memory, shape (n, tags)."""
    result = ImageScores(relevance, top_k, further)
    parents = np.full(scores.shape[1], -1) if parents is None else parents
    result.add(scores, np.arange(len(scores)), parents)
    return result
