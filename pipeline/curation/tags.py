"""From stated concepts to tags: the tag tree, closure upwards, and the fixed point of the rule of few images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from pipeline.vocabulary.thesaurus import Thesaurus

# A pair of record and tag is one integer: the record's row above these bits, the tag's number in them.
TAG_BITS = 20
_TAG_MASK = np.uint64((1 << TAG_BITS) - 1)

Pairs = np.ndarray  # uint64, sorted, distinct


@dataclass(frozen=True)
class TagTree:
    """The tags of the facets as a forest by preferred parent; a tag's number is its place in `ids` (by facet, then id).

    A tag is a concept with a facet; what lies between two tags (guide terms, hierarchies, cut concepts) is skipped.
    `parent` holds the number of the next tag above, -1 at the top; `stands_for` maps every subject that a record may
    state to the number of its tag: itself, or the next tag above for what is no tag.
    """

    ids: tuple[str, ...]
    facets: tuple[str, ...]
    parent: np.ndarray
    stands_for: dict[str, int]

    @cached_property
    def number(self) -> dict[str, int]:
        """The number of each tag id."""
        return {tag_id: number for number, tag_id in enumerate(self.ids)}

    @cached_property
    def closure(self) -> tuple[np.ndarray, np.ndarray]:
        """(offsets, above): `above[offsets[t]:offsets[t + 1]]` are tag t and all tags above it."""
        paths = [self.upwards(tag) for tag in range(len(self.ids))]
        offsets = np.zeros(len(paths) + 1, np.int64)
        np.cumsum([len(path) for path in paths], out=offsets[1:])
        above = np.array([tag for path in paths for tag in path], np.int64)
        return offsets, above

    def upwards(self, tag: int) -> list[int]:
        """The tag and all tags above it, nearest first."""
        path = [tag]
        while (above := int(self.parent[path[-1]])) >= 0:
            path.append(above)
        return path

    @cached_property
    def below(self) -> tuple[list[int], ...]:
        """For each tag itself and all tags below it."""
        below: tuple[list[int], ...] = tuple([] for _ in self.ids)
        for tag in range(len(self.ids)):
            for above in self.upwards(tag):
                below[above].append(tag)
        return below

    def nearest(self, kept: np.ndarray) -> np.ndarray:
        """For each tag the nearest kept one among itself and those above it, -1 when there is none."""
        nearest = np.full(len(self.ids), -1, np.int64)
        for tag in range(len(self.ids)):
            nearest[tag] = next((each for each in self.upwards(tag) if kept[each]), -1)
        return nearest


def tag_tree(concepts: pl.DataFrame, excluded: Iterable[str] = ()) -> TagTree:
    """The tree of the rows of `concepts`, whose facets are assigned.

    `excluded` concepts, and all below them, stand for no tag; other subjects that are no tag (guide terms, cut
    concepts, unlisted subjects) stand for the next tag above them.
    """
    thesaurus = Thesaurus(concepts)
    rows = concepts.filter(pl.col("facet").is_not_null() & (pl.col("kind") == "concept"))
    # by facet first, so that sorted pairs are in the order of the key of `record_tags`
    rows = rows.sort("facet", "concept_id")
    ids, facets = tuple(rows["concept_id"]), tuple(rows["facet"])
    number = {tag_id: each for each, tag_id in enumerate(ids)}
    parent = np.full(len(ids), -1, np.int64)
    for tag_id, tag in number.items():
        above = (number[each] for each in thesaurus.preferred_ancestors(tag_id) if each in number)
        parent[tag] = next((each for each in above if facets[each] == facets[tag]), -1)
    barred = frozenset(excluded)
    stands_for: dict[str, int] = {}
    for concept_id in thesaurus.kinds:
        upwards = [concept_id, *thesaurus.preferred_ancestors(concept_id)]
        nearest = next((number[each] for each in upwards if each in number), None)
        if nearest is not None and (concept_id in number or barred.isdisjoint(upwards)):
            stands_for[concept_id] = nearest
    return TagTree(ids, facets, parent, stands_for)


def pairs_of(rows: np.ndarray, tags: np.ndarray) -> Pairs:
    """The distinct pairs of record row and tag number, sorted by record, then tag."""
    return distinct(rows.astype(np.uint64) << np.uint64(TAG_BITS) | tags.astype(np.uint64))


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct values, sorted. `np.unique` of numpy 2.4 hashes them, which takes 20 times as long on pairs."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def united(some: Pairs, others: Pairs) -> Pairs:
    """The pairs of both, each once, sorted."""
    return distinct(np.concatenate([some, others])) if len(others) else some


def rows_of(pairs: Pairs) -> np.ndarray:
    """The record's row of each pair."""
    return (pairs >> np.uint64(TAG_BITS)).astype(np.int64)


def tags_of(pairs: Pairs) -> np.ndarray:
    """The tag's number of each pair."""
    return (pairs & _TAG_MASK).astype(np.int64)


def close_upwards(pairs: Pairs, tree: TagTree) -> Pairs:
    """The pairs with every tag above a stated one (protocol, section 3)."""
    at, above = _expand(tags_of(pairs), *tree.closure)
    return pairs_of(rows_of(pairs)[at], above)


def _expand(keys: np.ndarray, offsets: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(at, found): for each key, in order, its place among the keys repeated beside each of its values."""
    lengths = (offsets[1:] - offsets[:-1])[keys]
    at = np.repeat(np.arange(len(keys)), lengths)
    # 0, 1, … within each key's run of values
    within = np.arange(len(at)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return at, values[offsets[keys][at] + within]


def restate(stated: Pairs, tree: TagTree, kept: np.ndarray) -> Pairs:
    """The stated pairs with each tag that was removed replaced by the nearest kept tag above it, if there is one."""
    nearest = tree.nearest(kept)[tags_of(stated)]
    return pairs_of(rows_of(stated)[nearest >= 0], nearest[nearest >= 0])


@dataclass(frozen=True)
class Round:
    """One round of the fixed point: how many records and pairs stood before and after, and the tags that went."""

    records_before: int
    pairs_before: int
    removed_tags: dict[int, int]  # tag number: images it had
    pairs_after: int
    records_after: int


def keep_frequent(
    closed: Pairs, count_images: Callable[[Pairs], np.ndarray], minimum: int
) -> tuple[Pairs, list[Round]]:
    """Remove tags with fewer than `minimum` images until none is left; records without tags go with their last pair.

    `closed` are pairs of record and tag, closed upwards; `count_images` gives the images of each tag in such pairs.
    The last round removes nothing.
    """
    rounds: list[Round] = []
    while True:
        counts = count_images(closed)
        rare = (counts > 0) & (counts < minimum)
        kept = closed[~rare[tags_of(closed)]] if rare.any() else closed
        rounds.append(
            Round(
                records_before=distinct_rows(closed),
                pairs_before=len(closed),
                removed_tags={int(tag): int(counts[tag]) for tag in np.flatnonzero(rare)},
                pairs_after=len(kept),
                records_after=distinct_rows(kept),
            )
        )
        if not rare.any():
            return kept, rounds
        closed = kept


def records_per_tag(closed: Pairs, n_tags: int) -> np.ndarray:
    """The number of records of each tag."""
    return np.bincount(tags_of(closed), minlength=n_tags)


@dataclass(frozen=True)
class ImagesOfRecords:
    """The images of each record row, as numbers that exact duplicates share: `images[offsets[r]:offsets[r + 1]]`."""

    offsets: np.ndarray
    images: np.ndarray

    def per_tag(self, closed: Pairs, n_tags: int) -> np.ndarray:
        """The number of distinct images of each tag."""
        at, images = _expand(rows_of(closed), self.offsets, self.images)
        tags = tags_of(closed)[at]
        shared = self._shared[images]  # only these can meet a tag twice
        repeated = tags_of(pairs_of(images[shared], tags[shared]))
        return np.bincount(tags[~shared], minlength=n_tags) + np.bincount(repeated, minlength=n_tags)

    @cached_property
    def _shared(self) -> np.ndarray:
        """For each image whether several records have it."""
        return np.bincount(self.images) > 1


def distinct_rows(pairs: Pairs) -> int:
    """How many record rows the pairs name."""
    rows = rows_of(pairs)  # sorted
    return int(len(rows) > 0) + int(np.count_nonzero(rows[1:] != rows[:-1]))


def contains(pairs: Pairs, wanted: Pairs) -> np.ndarray:
    """For each wanted pair whether it is among the (sorted) pairs."""
    if len(pairs) == 0:
        return np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    present: np.ndarray = pairs[at] == wanted
    return present
