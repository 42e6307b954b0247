"""Sample records with their four hierarchies, as a reader of the dataset meets them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from ml.dataset.ground_truth import EvaluationError, split_files
from ml.report.examples import thumbnail
from pipeline import FACETS
from pipeline.release.folder import labels_by_language, preferred_label
from pipeline.tables import RECORDS


@dataclass(frozen=True)
class Term:
    """One tag in the hierarchy of a record; `stated` where the record names it itself."""

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


def sample_records(dataset: Path, records: Path, tags: pl.DataFrame, n: int) -> list[Sample]:
    """`n` training records with most facets annotated, then by a hash of their id; none where there is no training."""
    columns = ["record_id", "view", "image", *FACETS, *(f"{facet}_stated" for facet in FACETS)]
    try:
        files = split_files(dataset, "train")
    except EvaluationError:
        return []
    found: list[tuple[tuple[int, str], Path, int]] = []
    for file in files:
        keys = pl.DataFrame(pl.from_arrow(pq.read_table(file, columns=["record_id", "view", *FACETS])))
        annotated = keys.select(pl.sum_horizontal(pl.col(facet).list.len() > 0 for facet in FACETS)).to_series()
        for row, (record_id, view, facets) in enumerate(zip(keys["record_id"], keys["view"], annotated, strict=True)):
            if view == 0:
                found.append(((-facets, hashlib.sha256(record_id.encode()).hexdigest()), file, row))
    known = RECORDS.read(records).select("record_id", "titles", "data_provider", "rights_uri")
    above = dict(tags.select("tag_id", "parent").iter_rows())
    names = {
        tag: preferred_label(labels_by_language(texts), tag)
        for tag, texts in tags.select("tag_id", "labels").iter_rows()
    }
    samples = []
    for _, file, row in sorted(found)[:n]:
        own = pq.read_table(file, columns=columns).slice(row, 1).to_pylist()[0]
        about = known.filter(record_id=own["record_id"]).row(0, named=True)
        titles = labels_by_language(about["titles"])
        trees = {facet: tree(own[facet], set(own[f"{facet}_stated"]), above, names) for facet in FACETS}
        samples.append(
            Sample(
                own["record_id"],
                preferred_label(titles, "") if titles else "",
                about["data_provider"] or "",
                about["rights_uri"] or "",
                thumbnail(own["image"]["bytes"]),
                trees,
            )
        )
    return samples


def tree(
    closed: list[str], stated: set[str], above: dict[str, str | None], names: dict[str, str], parent: str | None = None
) -> tuple[Term, ...]:
    """A record's closed tags as the tree they form, siblings by label."""
    here = [tag for tag in closed if above.get(tag) == parent]
    terms = [Term(names.get(tag, tag), tag in stated, tree(closed, stated, above, names, tag)) for tag in here]
    return tuple(sorted(terms, key=lambda term: term.label))
