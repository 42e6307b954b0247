"""All images of a dataset as suites need them: features, tags, groups and providers in memory."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from ml.dataset.tag_list import FacetTags, english_label
from pipeline import FACETS
from pipeline.release.folder import preferred_label
from pipeline.splits.provider_features import extractors_of, feature_matrix
from pipeline.splits.suites import Annotated, annotated_images


@dataclass(frozen=True)
class FacetTruth:
    """The tags of one facet: `columns` are their places in `Annotated.tags`."""

    tags: FacetTags  # without training counts: these differ between splits
    columns: np.ndarray  # int64 (tags,)
    texts: tuple[str, ...]  # the labels of each tag in all languages


@dataclass(frozen=True)
class Collection:
    """Every image with tags, in the order of (record_id, view)."""

    annotated: Annotated
    vectors: np.ndarray  # float16 (images, dimensions)
    facets: Mapping[str, FacetTruth]

    @cached_property
    def digest(self) -> str:
        """A hash of everything here: stored figures are used again only where it is the same."""
        parts = hashlib.sha256()
        given = self.annotated
        for array in (given.groups, given.providers, given.tag_ids, given.facets):
            parts.update("\n".join(array.tolist()).encode())
        for array in (given.tags, given.leaves, self.vectors):
            parts.update(np.ascontiguousarray(array).tobytes())
        for facet in self.facets.values():
            parts.update(f"{facet.tags} {facet.texts}".encode())
        return parts.hexdigest()

    def truth(self, facet: str, rows: np.ndarray) -> np.ndarray:
        """Which tags of the facet the images have: bool (images, tags)."""
        return self.annotated.tags[np.ix_(rows, self.facets[facet].columns)]

    def tags(self, facet: str, train: np.ndarray) -> FacetTags:
        """The facet's tags with their number of training images in a split."""
        counts = self.truth(facet, train).sum(0)
        return replace(self.facets[facet].tags, n_train=tuple(counts.tolist()))


def collect(
    images: pl.DataFrame,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    features: Path | pl.DataFrame,
    extractor: str = "",
) -> Collection:
    """The collection from the pipeline's tables. Images without tags are left out.

    Without `extractor`, the first by name. Raises DistanceError where an image has no features.
    """
    tagged = record_tags.select("record_id").unique()
    rows = (
        images.select("record_id", "view", "image_id")
        .join(tagged, on="record_id", how="semi")
        .join(groups.select("record_id", "view", "group_id"), on=["record_id", "view"])
        .join(records.select("record_id", pl.col("data_provider").fill_null("")), on="record_id")
        .sort("record_id", "view")
    )
    listed = tags.sort("tag_id")
    place = pl.DataFrame({"tag_id": listed["tag_id"]}).with_row_index("column")
    annotated = annotated_images(rows, record_tags, tags)
    name = extractor or extractors_of(features)[0]
    facets = {facet: _facet(facet, listed, place) for facet in FACETS if facet in set(listed["facet"])}
    return Collection(annotated, feature_matrix(features, name, rows["image_id"]), facets)


def _facet(facet: str, listed: pl.DataFrame, place: pl.DataFrame) -> FacetTruth:
    rows = listed.filter(facet=facet).join(place, on="tag_id", maintain_order="left").to_dicts()
    position = {row["tag_id"]: number for number, row in enumerate(rows)}
    labels = [{label["language"]: label["text"] for label in row["labels"]} for row in rows]
    shown = [
        english_label({"labels": said, "label": preferred_label(said, row["tag_id"])})
        for said, row in zip(labels, rows, strict=True)
    ]
    texts = tuple(
        " ".join(said[language] for language in sorted(said)) or name for said, name in zip(labels, shown, strict=True)
    )
    parents = tuple(position.get(row["parent"], -1) for row in rows)
    tags = FacetTags(facet, tuple(position), tuple(shown), parents, (0,) * len(rows))
    return FacetTruth(tags, np.array([row["column"] for row in rows], np.int64), texts)
