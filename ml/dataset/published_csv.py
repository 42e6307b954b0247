"""The published CSV files as a dataset to score on: a tag is its full path, and train.csv says which tags are seen."""

import hashlib
from pathlib import Path

import polars as pl

from ml.dataset.ground_truth import Dataset, EvaluationError, Truth, relevance_of, truth_of
from ml.dataset.tag_list import FacetTags
from pipeline.files import sha256_of
from pipeline.published.format import (
    BETWEEN_LEVELS,
    SPLIT_FILES,
    Published,
    PublishedError,
    published_tags,
    read_official_splits,
)
from pipeline.release.folder import hash_tag_list
from pipeline.splits.audit import underlying_image


def load_published(folder: Path) -> Dataset:
    """A folder with train.csv and at least one other file of the published dataset, without its pictures.

    The split hash is that of the files. Rows with the same picture behind their URL form a group. Raises
    EvaluationError.
    """
    try:
        read = read_official_splits(folder)
    except PublishedError as error:
        raise EvaluationError(str(error)) from error
    tags = published_tags(read).with_columns(tag_id=pl.col("path").list.join(BETWEEN_LEVELS))
    lists = {facet: _tag_list(facet, tags) for facet in read.facets}
    if not any(map(len, lists.values())):
        raise EvaluationError(f"{folder} has no {SPLIT_FILES['train']} with tags: nothing says which tags are seen.")
    files = [folder / name for name in SPLIT_FILES.values() if (folder / name).is_file()]
    split_hash = hashlib.sha256("".join(f"{file.name} {sha256_of(file)}\n" for file in files).encode()).hexdigest()
    return Dataset(split_hash, _hash(lists), lists, folder, lambda split: _truth(folder, read, tags, lists, split))


def _tag_list(facet: str, tags: pl.DataFrame) -> FacetTags:
    """The tags of a facet with training rows, sorted by path; a tag without levels above it is a top."""
    seen = tags.filter(facet=facet, split="train").group_by("path", "tag_id").agg(n=pl.len()).sort("path")
    position = {tag_id: number for number, tag_id in enumerate(seen["tag_id"])}
    paths = seen["path"].to_list()
    above = [BETWEEN_LEVELS.join(path[:-1]) for path in paths]
    return FacetTags(
        facet,
        tuple(position),
        tuple(path[-1] for path in paths),
        tuple(position.get(parent, -1) for parent in above),
        tuple(seen["n"]),
    )


def _hash(lists: dict[str, FacetTags]) -> str:
    rows = {
        facet: [
            {"tag_id": tag_id, "parent": tags.tag_ids[above] if above >= 0 else None}
            for tag_id, above in zip(tags.tag_ids, tags.parents, strict=True)
        ]
        for facet, tags in lists.items()
    }
    return hash_tag_list(rows)


def _truth(folder: Path, read: Published, tags: pl.DataFrame, lists: dict[str, FacetTags], split: str) -> Truth:
    rows = read.rows.filter(split=split)
    if rows.is_empty():
        raise EvaluationError(f"{folder} has no {SPLIT_FILES[split]}, or it has no rows.")
    url = pl.col("image_url")
    picture = url.map_elements(underlying_image, return_dtype=pl.String, skip_nulls=True)
    images = rows.with_columns(
        view=pl.int_range(pl.len(), dtype=pl.Int16).over("record_id"),  # the few ids that stand there twice
        image_id=url,
        group_id=picture.fill_null(pl.col("record_id")),
    ).sort("record_id", "view")
    relevance = {}
    for facet in lists:
        of_facet = tags.filter(split=split, facet=facet)
        closed = of_facet.group_by("row").agg("tag_id", stated=pl.col("tag_id").filter("stated"))
        of_row = images.select("row").join(closed, on="row", how="left", maintain_order="left")
        lists_of = [of_row[name].fill_null([]).to_list() for name in ("tag_id", "stated")]
        relevance[facet] = relevance_of(lists_of[0], lists_of[1], lists[facet].position)
    keys = images.select("record_id", "view", "image_id", "data_provider", "group_id")
    return truth_of(split, keys, relevance)
