"""Suites: named sets of splits beside the paper's two tests. A group of near-duplicates is never on both sides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.settings import Suite
from pipeline.splits.order import seeded_order


@dataclass(frozen=True)
class Annotated:
    """The images that suites split, with the group, the provider and the tags of each."""

    groups: np.ndarray  # str (images,)
    providers: np.ndarray  # str (images,)
    tags: np.ndarray  # bool (images, tags), closed upwards
    tag_ids: np.ndarray  # str (tags,)
    facets: np.ndarray  # str (tags,)
    leaves: np.ndarray  # bool (tags,): no other tag lies below


@dataclass(frozen=True)
class SuiteSplit:
    """Training and test images of one split, as positions in ascending order.

    `asked` are the tags that are ranked against each other, as positions; `new` says that none of them has a training
    image, which is the point of the split.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    asked: np.ndarray
    new: bool = False


def annotated_images(rows: pl.DataFrame, record_tags: pl.DataFrame, tags: pl.DataFrame) -> Annotated:
    """The images in `rows` (record_id, view, group_id, data_provider), in its order, with all tags of the table."""
    listed = tags.sort("tag_id")
    place = pl.DataFrame({"tag_id": listed["tag_id"]}).with_row_index("column")
    pairs = rows.with_row_index("row").join(record_tags.join(place, on="tag_id"), on="record_id")
    closed = np.zeros((rows.height, listed.height), bool)
    closed[pairs["row"].to_numpy(), pairs["column"].to_numpy()] = True
    above = set(listed["parent"].drop_nulls().to_list())
    return Annotated(
        rows["group_id"].to_numpy().astype(str),
        rows["data_provider"].to_numpy().astype(str),
        closed,
        listed["tag_id"].to_numpy().astype(str),
        listed["facet"].to_numpy().astype(str),
        np.array([tag not in above for tag in listed["tag_id"]], bool),
    )


def splits_of(suite: Suite, images: Annotated, seed: int) -> list[SuiteSplit]:
    """The splits of a suite, in a fixed order. Equal images, seed and settings give equal splits on any machine."""
    return list(MAKERS[suite.splits](suite, images, seed))


def leave_one_provider_out(suite: Suite, images: Annotated, seed: int) -> Iterator[SuiteSplit]:
    """One split for every provider with enough images: they are the test, all other providers' images the training.

    Images of other providers that are grouped with an image of the test are in neither.
    """
    del seed  # nothing is drawn
    names, counts = np.unique(images.providers, return_counts=True)
    for name in names[counts >= suite.min_images]:
        yield _split(str(name), images, images.providers == name)


def inner_folds(suite: Suite, images: Annotated, seed: int) -> Iterator[SuiteSplit]:
    """Every group is in the test of one fold; the folds share each provider's groups as evenly as they can."""
    fold = fold_of_images(images, suite.folds, seed)
    for number in range(suite.folds):
        yield _split(f"fold {number + 1}", images, fold == number)


def few_labels(suite: Suite, images: Annotated, seed: int) -> Iterator[SuiteSplit]:
    """Half of the lowest tags keep at most so many training images; all splits have the test of the first fold.

    Images with such a tag that are not kept leave the training wholly: they would say that the tag is wrong for them.
    Only these tags are ranked.
    """
    test = fold_of_images(images, suite.folds, seed) == 0
    enough = images.tags[~test].sum(0) >= max(suite.images_a_tag, default=0)
    known = np.flatnonzero(images.leaves & enough & (images.tags[test].sum(0) > 0))
    few = np.sort(np.concatenate([part[::2] for part in _by_facet(images, known, seed)] or [known]))
    rest = _split("", images, test).train
    for most in suite.images_a_tag:
        kept = keep_few(images, rest, few, most, seed)
        yield SuiteSplit(f"{most} images a tag", kept, np.flatnonzero(test), few, new=most == 0)


def new_tags(suite: Suite, images: Annotated, seed: int) -> Iterator[SuiteSplit]:
    """The lowest tags in parts: every image with a tag of the part is in the test, so that none has a training image.

    Only the tags of the part are ranked.
    """
    known = np.flatnonzero(images.leaves & (images.tags.sum(0) >= suite.min_images))
    dealt = _by_facet(images, known, seed)
    for number in range(suite.folds):
        new = np.sort(np.concatenate([part[number :: suite.folds] for part in dealt] or [known]))
        yield _split(f"part {number + 1}", images, images.tags[:, new].sum(1) > 0, new, new=True)


MAKERS: dict[str, Callable[[Suite, Annotated, int], Iterator[SuiteSplit]]] = {
    make.__name__: make for make in (leave_one_provider_out, inner_folds, few_labels, new_tags)
}


def fold_of_images(images: Annotated, folds: int, seed: int) -> np.ndarray:
    """The fold of every image, from 0: groups are dealt out in turn, provider by provider, in an order of the seed.

    A group counts for the provider that comes first by name among its images.
    """
    rows = pl.DataFrame({"group": images.groups, "provider": images.providers})
    groups = rows.group_by("group").agg(pl.col("provider").min())
    dealt = groups.with_columns(order=pl.Series(seeded_order(seed, groups["group"]))).sort("provider", "order", "group")
    number = dict(zip(dealt["group"].to_list(), (np.arange(dealt.height) % folds).tolist(), strict=True))
    return np.array([number[group] for group in images.groups.tolist()], np.int64)


def keep_few(images: Annotated, train: np.ndarray, few: np.ndarray, most: int, seed: int) -> np.ndarray:
    """The training images (positions) of which none of the tags `few` has more than `most`.

    Whole groups, in an order of the seed, each unless a tag would have too many; groups without such a tag all stay.
    """
    names, group = np.unique(images.groups[train], return_inverse=True)
    counts = np.zeros((len(names), len(few)), np.int64)
    np.add.at(counts, group, images.tags[np.ix_(train, few)].astype(np.int64))
    kept, total = counts.sum(1) == 0, np.zeros(len(few), np.int64)
    for number in np.argsort(seeded_order(seed, pl.Series(names)), kind="stable"):
        if not kept[number] and (total + counts[number] <= most).all():
            kept[number] = True
            total += counts[number]
    return train[kept[group]]


def _split(
    name: str, images: Annotated, test: np.ndarray, asked: np.ndarray | None = None, *, new: bool = False
) -> SuiteSplit:
    """All images outside the test are training, but for those that share a group with it."""
    near = np.isin(images.groups, images.groups[test])
    everything = np.arange(len(images.tag_ids))
    return SuiteSplit(
        name, np.flatnonzero(~test & ~near), np.flatnonzero(test), everything if asked is None else asked, new
    )


def _by_facet(images: Annotated, tags: np.ndarray, seed: int) -> list[np.ndarray]:
    """The tags of every facet, each part in an order of the seed."""
    order = seeded_order(seed, pl.Series(images.tag_ids[tags]))
    of_facet = images.facets[tags]
    return [tags[of_facet == facet][np.argsort(order[of_facet == facet])] for facet in np.unique(of_facet)]
