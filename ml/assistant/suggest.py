"""A model's suggestions for a picture: the best tags of each facet, and the scores of their ancestors."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.assistant.vocabulary import Vocabulary
from ml.dataset.confirmed import NO_GROUP, Confirmed

if TYPE_CHECKING:  # torch takes seconds to import
    from ml.registry.score import Scorer

Vector = NDArray[np.floating]
Scores = Mapping[str, Vector]
REMEMBERED = 512  # pictures whose scores are cached


@dataclass(frozen=True)
class ModelInfo:
    """A model's description. `thresholds`: the score per facet from which it is sure, fixed on validation."""

    key: str
    description: str = ""
    version: str = ""  # sha256 of its weights, shortened
    trained_on: str = ""  # split hash, shortened
    note: str = ""  # such as: random weights
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Key and version, as the log names the model."""
        return f"{self.key}@{self.version}" if self.version else self.key


@dataclass(frozen=True)
class FacetSuggestions:
    """The best tags of a facet with their scores, best first, and the scores of their ancestors."""

    tags: list[tuple[str, float]]
    above: dict[str, float]
    threshold: float | None


class Suggester:
    """A model with the order of its tags. It scores one picture at a time and caches the latest scores.

    `group_of` gives the group of an image: what a model's memory holds of that group does not count for the image.
    """

    def __init__(
        self,
        info: ModelInfo,
        scorer: "Scorer",
        order: Mapping[str, list[str]],
        group_of: Callable[[str], int] = lambda image_id: NO_GROUP,
    ):
        self.info, self._scorer, self._order, self.group_of = info, scorer, order, group_of
        self._scores: OrderedDict[str, Scores] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def remembers(self) -> bool:
        """Whether the model has a memory, which takes in what people confirm."""
        return self._scorer.memory is not None

    def keep(self, confirmed: Sequence[Confirmed], gone: Collection[int]) -> None:
        """Take confirmed pictures into the model's memory, and let go of others by key."""
        if self._scorer.memory is not None:
            with self._lock:
                self._scorer.memory.keep(confirmed, gone)
                self._scores.clear()

    def nearest_confirmed(self, image_id: str, features: Vector, tag_id: str) -> dict[str, float] | None:
        """The cosines of the images with a tag in the model's memory, most alike first, without those of its own group.

        None where the model has no memory, or its memory does not tell which images it holds.
        """
        if self._scorer.memory is None:
            return None
        with self._lock:
            return self._scorer.memory.nearest(features, tag_id, self.group_of(image_id))

    def scores(self, image_id: str, picture: Image.Image) -> Scores:
        """The scores of a picture, cached by `image_id`."""
        with self._lock:
            if image_id not in self._scores:
                group = self.group_of(image_id) if self.remembers else NO_GROUP
                self._scores[image_id] = self._scorer.scores(picture, group)
                if len(self._scores) > REMEMBERED:
                    self._scores.popitem(last=False)
            self._scores.move_to_end(image_id)
            return self._scores[image_id]

    def suggest(
        self, image_id: str, picture: Image.Image, vocabulary: Vocabulary, limit: int
    ) -> dict[str, FacetSuggestions]:
        """The best `limit` tags of each facet. Equal scores are ordered by tag id."""
        scores = self.scores(image_id, picture)
        return {
            facet: self._of_facet(facet, np.asarray(scores[facet], dtype=np.float64), vocabulary, limit)
            for facet in self._order
            if facet in scores and self._order[facet]
        }

    def features(self, picture: Image.Image) -> NDArray[np.floating]:
        """What the model makes of a picture before it scores tags, of unit length: alike pictures have alike ones."""
        vector = np.asarray(self._scorer.features(picture), dtype=np.float64)
        return vector / max(float(np.linalg.norm(vector)), np.finfo(np.float64).tiny)

    def score_and_rank(self, image_id: str, picture: Image.Image, tag_id: str) -> tuple[float, int] | None:
        """The tag's score for the picture and its rank in its facet; None if the model does not know the tag."""
        scores = self.scores(image_id, picture)
        for facet, tags in self._order.items():
            if tag_id in tags and facet in scores:
                values = np.asarray(scores[facet], dtype=np.float64)
                at = tags.index(tag_id)
                before = (values > values[at]).sum() + (values[:at] == values[at]).sum()
                return _rounded(values[at]), int(before) + 1
        return None

    def _of_facet(
        self, facet: str, scores: NDArray[np.float64], vocabulary: Vocabulary, limit: int
    ) -> FacetSuggestions:
        tags = self._order[facet]
        if scores.shape != (len(tags),):
            raise ValueError(f"{self.info.key} gave {scores.shape} scores for the {len(tags)} tags of {facet}.")
        best = np.lexsort((np.arange(len(tags)), -scores))[:limit]  # the list is sorted by tag id
        of_tag = dict(zip(tags, scores.tolist(), strict=True))
        shown = [tags[position] for position in best]
        above = {tag for tag_id in shown for tag in vocabulary.ancestors(tag_id) if tag in of_tag}
        return FacetSuggestions(
            tags=[(tag, _rounded(of_tag[tag])) for tag in shown],
            above={tag: _rounded(of_tag[tag]) for tag in sorted(above - set(shown))},
            threshold=self.info.thresholds.get(facet),
        )


def _rounded(score: float) -> float:
    """Six significant digits, as published scores have."""
    return float(f"{score:.6g}")
