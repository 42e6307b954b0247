"""Single images with what a row suggests for them, each suggestion judged against the record's own tags."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from PIL import Image

from ml.dataset.ground_truth import Dataset, Truth, load_truth, split_files
from ml.dataset.tag_list import FacetTags
from ml.evaluation.prediction_reader import open_predictions
from pipeline import FACETS

SHOWN = 5  # suggestions per facet
WIDTH = 220  # px, of the images in the report

CORRECT, NEAR, WRONG, NOT_ANNOTATED, PLAUSIBLE = "correct", "near", "wrong", "not annotated", "plausible"


@dataclass(frozen=True)
class Suggestion:
    """One tag a model suggests, and how it stands to the record's tags."""

    tag_id: str
    label: str
    judgement: str


@dataclass(frozen=True)
class Example:
    """One image of a test set with the record's tags and a row's suggestions, by facet."""

    record_id: str
    data_provider: str
    split: str
    image: str  # data: URL
    stated: dict[str, list[list[str]]]  # by facet, each stated tag as labels from the top down
    suggestions: dict[str, list[Suggestion]]


def examples(
    dataset: Dataset,
    predictions: Path,
    n: int,
    labels: dict[str, str],
    accepted: frozenset[tuple[str, str]] = frozenset(),
) -> list[Example]:
    """`n` images of both tests, half of each, chosen by a hash of their id among those with most facets annotated.

    `labels` by tag id; `accepted` are pairs of record and tag that a person accepted in the assistant.
    """
    found = []
    for split, wanted in (("inner_test", n - n // 2), ("outer_test", n // 2)):
        truth = load_truth(dataset, split)
        chosen = choose(truth, wanted)
        scores = {tags.facet: _best_tags(predictions, dataset, truth, tags, chosen) for tags in _lists(dataset)}
        pictures = _pictures(dataset.folder, split, [truth.images.row(i)[:2] for i in chosen])
        for at, image in enumerate(chosen):
            record_id, view, _, provider, _ = truth.images.row(image)
            stated, suggestions = {}, {}
            for facet in FACETS:
                tags, right = dataset.tag_lists[facet], _relevant(truth, facet, image)
                stated[facet] = _stated_paths(truth, facet, image, tags, labels)
                judged = [(t, judge(t, right, tags.parents)) for t in (scores[facet][at] if facet in scores else [])]
                suggestions[facet] = [
                    Suggestion(
                        tags.tag_ids[t],
                        labels.get(tags.tag_ids[t], tags.tag_ids[t]),
                        PLAUSIBLE if j != CORRECT and (record_id, tags.tag_ids[t]) in accepted else j,
                    )
                    for t, j in judged
                ]
            found.append(Example(record_id, provider, split, pictures[record_id, view], stated, suggestions))
    return found


def choose(truth: Truth, n: int) -> list[int]:
    """Images with most facets annotated first, then by a hash of their id: the same ones each time, none preferred."""
    facets = np.stack([np.diff(truth.relevance[facet].starts) > 0 for facet in FACETS]).sum(0)
    ids = truth.images["record_id"].to_list()
    keys = [
        (-int(facets[i]) if facets[i] < 2 else -2, hashlib.sha256(ids[i].encode()).hexdigest()) for i in range(len(ids))
    ]
    return sorted(range(len(ids)), key=keys.__getitem__)[:n]


def judge(tag: int, right: set[int], parents: Sequence[int]) -> str:
    """How a suggested tag stands to the right ones: correct; near for a sibling, a cousin or a narrower term; wrong.

    A facet without a right tag is not annotated: nothing is known there.
    """
    if not right:
        return NOT_ANNOTATED
    if tag in right:
        return CORRECT
    leaves = right - {int(parents[r]) for r in right}
    above = _ancestors(tag, parents)
    if leaves & set(above):
        return NEAR
    near = {ancestor for leaf in leaves for ancestor in _ancestors(leaf, parents)[:2]}
    return NEAR if near & set(above[:2]) else WRONG


def _ancestors(tag: int, parents: Sequence[int]) -> list[int]:
    """From the parent upwards."""
    found = []
    while (tag := int(parents[tag])) >= 0:
        found.append(tag)
    return found


def _lists(dataset: Dataset) -> list[FacetTags]:
    return [dataset.tag_lists[facet] for facet in FACETS if len(dataset.tag_lists[facet])]


def _relevant(truth: Truth, facet: str, image: int) -> set[int]:
    r = truth.relevance[facet]
    return set(r.tags[r.starts[image] : r.starts[image + 1]].tolist())


def _stated_paths(truth: Truth, facet: str, image: int, tags: FacetTags, labels: dict[str, str]) -> list[list[str]]:
    r = truth.relevance[facet]
    where = slice(r.starts[image], r.starts[image + 1])
    return [
        [labels.get(tags.tag_ids[step], tags.tag_ids[step]) for step in tags.paths[tag]]
        for tag, stated in zip(r.tags[where], r.stated[where], strict=True)
        if stated
    ]


def _best_tags(
    predictions: Path, dataset: Dataset, truth: Truth, tags: FacetTags, chosen: Sequence[int]
) -> list[list[int]]:
    """The best tags of each chosen image, ties by the tag list's order."""
    file = open_predictions(predictions, dataset, truth, tags)
    best: dict[int, list[int]] = {}
    wanted = np.array(chosen, np.int64)
    for scores, images in file.batches(8_192):
        for row in np.flatnonzero(np.isin(images, wanted)):
            order = np.argsort(-scores[row].astype(np.float32), kind="stable")[:SHOWN]
            best[int(images[row])] = order.tolist()
    return [best[image] for image in chosen]


def _pictures(folder: Path, split: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Small copies of the images as data: URLs."""
    wanted = pl.DataFrame(keys, schema={"record_id": pl.String, "view": pl.Int16}, orient="row")
    found = {}
    for file in split_files(folder, split):
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.metadata.num_row_groups):
                here = pl.DataFrame(pl.from_arrow(parquet.read_row_group(group, columns=["record_id", "view"])))
                rows = here.with_row_index("row").join(wanted, on=["record_id", "view"], how="semi")
                if rows.is_empty():
                    continue
                images = parquet.read_row_group(group, columns=["image"]).column("image")
                for row, record_id, view in rows.iter_rows():
                    found[record_id, view] = thumbnail(images[row].as_py()["bytes"])
    return found


def thumbnail(data: bytes) -> str:
    """A small JPEG of the image, as a data: URL."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
