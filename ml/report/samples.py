"""Sample records of the dataset with their tags as trees, by facet."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from ml.dataset.ground_truth import Dataset, EvaluationError, split_files
from ml.report.examples import thumbnail
from pipeline.release.folder import labels_by_language, preferred_label
from pipeline.tables import RECORDS, TAGS

SAMPLES = 6  # records shown


@dataclass(frozen=True)
class Term:
    """One tag in the hierarchy of a record; `stated` if the record names it itself."""

    label: str
    stated: bool
    below: tuple["Term", ...]


@dataclass(frozen=True)
class Sample:
    """One record of the training images with its picture and its tags as trees, by facet."""

    record_id: str
    title: str
    data_provider: str
    rights_uri: str
    image: str  # data: URL
    trees: dict[str, tuple[Term, ...]]


def sample_records(storage: Path, dataset: Dataset) -> list[Sample]:
    """Training records with most facets annotated, in the order of a hash of their id; none without the tables."""
    files = [storage / "records.parquet", storage / "tags.parquet"]
    if not all(file.exists() for file in files):
        return []
    facets = list(dataset.facets)
    records = RECORDS.read(files[0]).select("record_id", "titles", "data_provider", "rights_uri")
    tags = TAGS.read(files[1])
    above = dict(tags.select("tag_id", "parent").iter_rows())
    names = tag_labels(tags)
    columns = ["record_id", "view", "image", *facets, *(f"{facet}_stated" for facet in facets)]
    samples = []
    for file, row in choose_samples(dataset.folder, facets):
        image = pq.read_table(file, columns=columns).slice(row, 1).to_pylist()[0]
        record = records.row(by_predicate=pl.col("record_id") == image["record_id"], named=True)
        titles = labels_by_language(record["titles"])
        samples.append(
            Sample(
                record_id=image["record_id"],
                title=preferred_label(titles, "") if titles else "",
                data_provider=record["data_provider"] or "",
                rights_uri=record["rights_uri"] or "",
                image=thumbnail(image["image"]["bytes"]),
                trees={facet: tree(image[facet], set(image[f"{facet}_stated"]), above, names) for facet in facets},
            )
        )
    return samples


def tag_labels(tags: pl.DataFrame) -> dict[str, str]:
    """The preferred label of every tag of the table `tags`."""
    pairs = tags.select("tag_id", "labels").iter_rows()
    return {tag: preferred_label(labels_by_language(texts), tag) for tag, texts in pairs}


def choose_samples(dataset: Path, facets: Sequence[str]) -> list[tuple[Path, int]]:
    """The file and row of the samples' first views; none where there is no training split."""
    try:
        files = split_files(dataset, "train")
    except EvaluationError:
        return []
    candidates = []
    for file in files:
        keys = pl.DataFrame(pl.from_arrow(pq.read_table(file, columns=["record_id", "view", *facets])))
        annotated = keys.select(pl.sum_horizontal(pl.col(facet).list.len() > 0 for facet in facets)).to_series()
        for row, (record_id, view, n) in enumerate(zip(keys["record_id"], keys["view"], annotated, strict=True)):
            if view == 0:
                candidates.append((-n, hashlib.sha256(record_id.encode()).hexdigest(), file, row))
    return [(file, row) for _, _, file, row in sorted(candidates)[:SAMPLES]]


def tree(
    closed: list[str], stated: set[str], above: dict[str, str | None], names: dict[str, str], parent: str | None = None
) -> tuple[Term, ...]:
    """A record's closed tags as the tree they form, siblings by label."""
    here = [tag for tag in closed if above.get(tag) == parent]
    terms = [Term(names.get(tag, tag), tag in stated, tree(closed, stated, above, names, tag)) for tag in here]
    return tuple(sorted(terms, key=lambda term: term.label))
