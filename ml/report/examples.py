"""Single images with the tags that a row suggests for them, judged against the record's own tags."""

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
from ml.dataset.prediction_files import open_predictions
from ml.dataset.tag_list import FacetTags

SHOWN = 5  # suggestions per facet
WIDTH = 220  # px, of the images in the report

CORRECT, NEAR, WRONG, NOT_ANNOTATED, PLAUSIBLE = "correct", "near", "wrong", "not annotated", "plausible"


@dataclass(frozen=True)
class Suggestion:
    """One tag that a model suggests, judged against the record's tags."""

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
    """`n` images of both tests, half of each, chosen by a hash of their id among those with two facets annotated.

    `labels` by tag id; `accepted` are pairs of record and tag that a person accepted in the assistant.
    """
    shown = []
    for split, wanted in (("inner_test", n - n // 2), ("outer_test", n // 2)):
        truth = load_truth(dataset, split)
        chosen = choose(truth, wanted)
        lists = [tags for tags in dataset.facets.values() if len(tags)]
        best = {tags.facet: _best_tags(predictions, dataset, truth, tags, chosen) for tags in lists}
        images = pictures(dataset.folder, split, [truth.images.row(i)[:2] for i in chosen])
        for number, image in enumerate(chosen):
            record_id, view, _, provider, _ = truth.images.row(image)
            plausible = {tag for record, tag in accepted if record == record_id}
            stated, suggestions = {}, {}
            for facet, tags in dataset.facets.items():
                suggested = best[facet][number] if facet in best else []
                stated[facet], suggestions[facet] = _judged(truth, tags, image, suggested, labels, plausible)
            shown.append(Example(record_id, provider, split, images[record_id, view], stated, suggestions))
    return shown


def choose(truth: Truth, n: int) -> list[int]:
    """Images with two facets annotated first, then with one, each in the order of a hash of their id."""
    facets = np.stack([np.diff(relevance.starts) > 0 for relevance in truth.relevance.values()]).sum(0)
    keys = [
        (-min(int(count), 2), hashlib.sha256(record_id.encode()).hexdigest())
        for count, record_id in zip(facets, truth.images["record_id"], strict=True)
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)[:n]


def _judged(
    truth: Truth, tags: FacetTags, image: int, suggested: Sequence[int], labels: dict[str, str], plausible: set[str]
) -> tuple[list[list[str]], list[Suggestion]]:
    """The stated tags of an image in one facet as paths of labels, and the suggested ones with a judgement."""
    relevance = truth.relevance[tags.facet]
    where = slice(relevance.starts[image], relevance.starts[image + 1])
    right = relevance.tags[where].tolist()
    names = [labels.get(tag_id, tag_id) for tag_id in tags.tag_ids]
    stated = [right[i] for i in np.flatnonzero(relevance.stated[where])]
    suggestions = []
    for tag in suggested:
        judgement, tag_id = judge(tag, set(right), tags.parents), tags.tag_ids[tag]
        if judgement != CORRECT and tag_id in plausible:
            judgement = PLAUSIBLE
        suggestions.append(Suggestion(tag_id, names[tag], judgement))
    return [[names[step] for step in tags.paths[tag]] for tag in stated], suggestions


def judge(tag: int, right: set[int], parents: Sequence[int]) -> str:
    """Judge a suggested tag against the right ones: correct; near for a sibling, a cousin or a narrower term; wrong.

    In a facet without a right tag nothing is known: it is not annotated.
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
    ancestors = []
    while (tag := int(parents[tag])) >= 0:
        ancestors.append(tag)
    return ancestors


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


def pictures(folder: Path, split: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
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
