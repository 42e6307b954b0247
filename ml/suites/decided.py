"""Ten decisions on a tag that training never saw: what the row `one` ranks before and after them, on stored features.

The heads are those of the suites, the memory and the mixing are the row's own. Nothing is trained after a decision.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.nn.functional import normalize

from ml.dataset.relevance import Relevance
from ml.dataset.split import group_key
from ml.evaluation.image_scores import score_images
from ml.models.calibration import fit_scale, mixing_weights
from ml.models.hierarchy import AncestorPairs, ancestor_pairs, raise_parents
from ml.models.memory import Memory
from ml.models.one import known_weights, mix
from ml.suites.collection import Collection
from ml.suites.one import inner_task, probabilities_of
from ml.suites.paired import read_collection
from ml.suites.rows import HEADS_ALONE, by_texts
from ml.suites.task import Task
from pipeline.settings import SUITES, SuiteSettings
from pipeline.splits.suites import SuiteSplit, fold_of_images, splits_of

DECISIONS = 10
SUGGESTED = 5  # the tag is to be among so many of its facet
LEAST_OTHERS = 5  # other pictures of a tag, below which it is not measured
NEIGHBOURS = 20  # of the row `one`
HELD_OUT_FOLDS = 5  # one of them, of the images without a new tag, are the pictures that must not be hurt


@dataclass(frozen=True)
class Figures:
    """One tag before and after ten decisions on it: recall at 5 on its other pictures, R-Precision of further ones."""

    tag_id: str
    others: int  # other pictures of the tag
    recall_before: float
    recall_after: float
    r_precision_before: float
    r_precision_after: float


class Mixture:
    """The parts of `one` for one split: heads, scales and weights, fixed on a fifth of the training groups."""

    def __init__(self, task: Task, encoder: str | None) -> None:
        self.task, self.facets = task, list(task.collection.facets)
        self.sizes = [len(task.collection.facets[facet].columns) for facet in self.facets]
        self._heads = {"multilabel": HEADS_ALONE["multilabel"], "texts": by_texts(encoder)}
        inner = inner_task(task)
        self._fix(self._scores(inner, self.memory_of(inner.split.train)), task.collection, inner.split.test)
        self.memory = self.memory_of(task.split.train)
        self._tested = self._scores(task, self.memory)
        self.seen = torch.from_numpy(np.concatenate([task.truth(facet).any(0) for facet in self.facets]))

    def vectors(self, rows: NDArray[np.int64]) -> Tensor:
        """The stored features of images, of unit length."""
        return normalize(torch.from_numpy(self.task.collection.vectors[rows].astype(np.float32)), dim=1)

    def closed(self, rows: NDArray[np.int64]) -> Tensor:
        """The images' tags of all facets."""
        return torch.from_numpy(np.hstack([self.task.collection.truth(facet, rows) for facet in self.facets]))

    def groups(self, rows: NDArray[np.int64]) -> Tensor:
        """The images' groups."""
        return torch.tensor([group_key(group) for group in self.task.collection.annotated.groups[rows].tolist()])

    def memory_of(self, rows: NDArray[np.int64]) -> Memory:
        """A memory of these images."""
        memory = Memory(self.task.collection.vectors.shape[1], self.sizes, NEIGHBOURS)
        memory.remember(self.vectors(rows), self.closed(rows), self.groups(rows))
        return memory

    def _scores(self, task: Task, memory: Memory) -> list[Tensor]:
        """The scores of each part for the test images, images x tags of all facets."""
        rows = task.split.test
        found = [torch.from_numpy(np.hstack([part(task)[f] for f in self.facets])) for part in self._heads.values()]
        return [*found, torch.cat(memory(self.vectors(rows), self.groups(rows)), 1)]

    def _fix(self, scores: list[Tensor], collection: Collection, rows: NDArray[np.int64]) -> None:
        """Fit the scale of each part and the weights of the parts, facet by facet."""
        slope, intercept, weight = [], [], []
        for number, facet in enumerate(self.facets):
            relevant = collection.truth(facet, rows)
            own = [each.split(self.sizes, 1)[number].numpy() for each in scores]
            scales = [fit_scale(each, relevant) for each in own]
            weights = mixing_weights(*probabilities_of(scales, own, relevant))
            slope.append([scale.slope for scale in scales])
            intercept.append([scale.intercept for scale in scales])
            weight.append(weights)
        of_tag = torch.arange(len(self.sizes)).repeat_interleave(torch.tensor(self.sizes))
        self._slope, self._intercept, self._weight = (
            torch.tensor(np.array(each), dtype=torch.float32)[of_tag].T[:, None] for each in (slope, intercept, weight)
        )

    @cached_property
    def _pairs(self) -> AncestorPairs:
        return ancestor_pairs([self.task.collection.facets[facet].tags for facet in self.facets])

    def answers(self) -> NDArray[np.float32]:
        """The log-probabilities of all test images, images x tags of all facets, with what the memory holds now."""
        rows = self.task.split.test
        groups = self.groups(rows)
        remembered = torch.cat(self.memory(self.vectors(rows), groups), 1)
        parts = [*self._tested[:-1], remembered]
        known = torch.broadcast_tensors(self.seen[None], torch.ones_like(self.seen)[None], self.memory.known(groups))
        weights = known_weights(self._weight, torch.stack(known))
        mixed = mix(torch.stack(parts).float(), self._slope, self._intercept, weights)
        return raise_parents(mixed, self._pairs).numpy()


def with_held_out(split: SuiteSplit, collection: Collection, seed: int) -> tuple[SuiteSplit, NDArray[np.int64]]:
    """The split with a fifth of its training groups moved to the test, and the rows of these images."""
    held = fold_of_images(collection.annotated, HELD_OUT_FOLDS, seed + 1)[split.train] == 0
    moved = split.train[held]
    return replace(split, train=split.train[~held], test=np.sort(np.concatenate([split.test, moved]))), moved


def measured(mixture: Mixture, held_out: NDArray[np.int64], seed: int) -> Iterator[Figures]:
    """The figures of every new tag of the split that has enough pictures in other groups than the decided ones."""
    collection, split = mixture.task.collection, mixture.task.split
    before, ids = mixture.answers(), collection.annotated.tag_ids
    order = np.concatenate([collection.facets[facet].columns for facet in mixture.facets])
    for tag in split.asked:
        place = int(np.flatnonzero(order == tag)[0])
        decided, others = drawn(collection, tag, seed)
        if len(decided) < DECISIONS or len(others) < LEAST_OTHERS:
            continue
        decide(mixture, place, decided)
        after = mixture.answers()
        mixture.memory.forget(range(DECISIONS))
        rows = np.isin(split.test, others), np.isin(split.test, held_out)
        recalls = [recall(answers[rows[0]], mixture.sizes, place) for answers in (before, after)]
        kept = [r_precision(answers[rows[1]], mixture, split.test[rows[1]]) for answers in (before, after)]
        yield Figures(str(ids[tag]), len(others), *recalls, *kept)


def decide(mixture: Mixture, place: int, rows: NDArray[np.int64]) -> None:
    """Let the memory hold that these images have a tag, with those above it; nothing else is confirmed of them."""
    closed = torch.zeros(len(rows), sum(mixture.sizes), dtype=torch.bool)
    closed[:, _with_ancestors(mixture.task.collection, mixture.facets, place)] = True
    mixture.memory.remember(mixture.vectors(rows), closed, mixture.groups(rows), range(len(rows)))


def drawn(collection: Collection, tag: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ten images of a tag, each of another group, and its images in the groups that were not drawn."""
    having = np.flatnonzero(collection.annotated.tags[:, tag])
    groups = collection.annotated.groups[having]
    names, first = np.unique(groups, return_index=True)
    chosen = np.random.default_rng([seed, int(tag)]).permutation(len(names))[:DECISIONS]
    return having[first[chosen]], having[~np.isin(groups, names[chosen])]


def _with_ancestors(collection: Collection, facets: Sequence[str], place: int) -> list[int]:
    """The places of a tag and of those above it, among the tags of all facets."""
    start = 0
    for facet in facets:
        tags = collection.facets[facet].tags
        if place < start + len(tags):
            return [start + above for above in tags.paths[place - start]]
        start += len(tags)
    raise ValueError(f"There is no tag at {place}.")


def recall(answers: NDArray[np.float32], sizes: Sequence[int], place: int) -> float:
    """The share of the images (rows) whose best five tags of the facet hold the tag; equal scores in their order."""
    ends = np.cumsum(sizes)
    number = int(np.searchsorted(ends, place, side="right"))
    start = int(ends[number]) - sizes[number]
    own = answers[:, start : int(ends[number])]
    best = np.argsort(-own, axis=1, kind="stable")[:, :SUGGESTED]
    return float((best == place - start).any(1).mean())


def r_precision(answers: NDArray[np.float32], mixture: Mixture, rows: NDArray[np.int64]) -> float:
    """R-Precision of the images (rows), mean over images and then over facets."""
    found = []
    for number, facet in enumerate(mixture.facets):
        truth = mixture.task.collection.truth(facet, rows)
        if truth.any():
            own = np.ascontiguousarray(np.split(answers, np.cumsum(mixture.sizes)[:-1], axis=1)[number])
            relevance = Relevance.from_lists([np.flatnonzero(image).tolist() for image in truth])
            scored = score_images(own, relevance, top_k=(1,), further=False).column("r_precision")
            found.append(float(np.nanmean(scored)))
    return float(np.mean(found))


def table(collection: Collection, seeds: Sequence[int], encoder: str | None) -> Iterator[pl.DataFrame]:
    """A row for each tag of each part of the new tags, with the part's name as `split`."""
    for seed in seeds:
        for split in splits_of(SUITES["new_tags"], collection.annotated, seed):
            chosen, held_out = with_held_out(split, collection, seed)
            mixture = Mixture(Task(collection, chosen, SuiteSettings().dimensions, seed), encoder)
            rows = [{"split": f"{seed}, {split.name}"} | asdict(each) for each in measured(mixture, held_out, seed)]
            yield pl.DataFrame(rows)


def rise(by_split: pl.DataFrame, what: str) -> str:
    """Before, after, and the rise with its 95 % t interval over the splits."""
    before, after = (by_split[f"{what}_{moment}"].to_numpy() for moment in ("before", "after"))
    rises = after - before
    half = stats.t.ppf(0.975, len(rises) - 1) * rises.std(ddof=1) / np.sqrt(len(rises)) if len(rises) > 1 else np.nan
    mean = rises.mean()
    return f"{before.mean():.3f} | {after.mean():.3f} | {mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def main() -> None:
    """Print both figures, means of a split's tags, with intervals over the splits; keep the figures of each tag."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet file for the figures of each tag")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--encoder", help="of the tags' texts, such as minilm (default: hashed pieces of words)")
    given = parser.parse_args()
    figures = pl.concat(table(read_collection(given.storage), given.seeds, given.encoder))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    figures.write_parquet(given.out)
    by_split = figures.group_by("split").agg(pl.exclude("tag_id").mean()).sort("split")
    print("| figure | before | after | rise (95 %) |\n|---|---|---|---|")
    print(f"| recall at {SUGGESTED}, other pictures of the tag | {rise(by_split, 'recall')} |")
    print(f"| R-Precision, other pictures | {rise(by_split, 'r_precision')} |")
    print(f"{len(by_split)} splits, {len(figures)} tags, {figures['others'].sum()} other pictures of them.")


if __name__ == "__main__":
    main()
