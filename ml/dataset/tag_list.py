"""The tags a model scores: one tree per facet, read from the dataset's tag list."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import FACETS

QUALIFIER = re.compile(r"\s*\([^()]*\)$")


class TagListError(ValueError):
    """The tag list is missing, damaged, or not the one a model was trained on."""


@dataclass(frozen=True)
class FacetTags:
    """The tags of one facet in scoring order; `parents` are positions in that order, -1 at the top."""

    facet: str
    tag_ids: tuple[str, ...]
    labels: tuple[str, ...]
    parents: tuple[int, ...]
    n_train: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tag_ids)

    @cached_property
    def position(self) -> dict[str, int]:
        """Tag id to its number in the scoring order."""
        return {tag_id: number for number, tag_id in enumerate(self.tag_ids)}

    @cached_property
    def depths(self) -> NDArray[np.int64]:
        """0 for a top tag, one more for each tag above it."""
        return np.array([len(path) - 1 for path in self.paths], dtype=np.int64)

    @cached_property
    def paths(self) -> tuple[tuple[int, ...], ...]:
        """For each tag the positions from the top down to itself; raises TagListError for a cycle."""
        paths = []
        for start in range(len(self)):
            path = [start]
            while self.parents[path[-1]] >= 0:
                path.append(self.parents[path[-1]])
                if len(path) > len(self):
                    raise TagListError(f"{self.facet}: the tag {self.tag_ids[start]} is its own ancestor.")
            paths.append(tuple(reversed(path)))
        return tuple(paths)

    def class_weights(self, groups: Sequence[int] | NDArray[np.int64], cap: float) -> NDArray[np.float64]:
        """N / (C n_c) within each group of tags, from training counts alone, at most `cap` (protocol, section 5)."""
        group = np.asarray(groups, dtype=np.int64)
        counts = np.asarray(self.n_train, dtype=np.float64)
        total = np.bincount(group, weights=counts)[group]
        size = np.bincount(group)[group]
        return np.minimum(total / (size * np.maximum(counts, 1.0)), cap)


@dataclass(frozen=True)
class TagList:
    """All facets' tags, with the hashes that predictions and checkpoints carry."""

    split_hash: str
    tag_list_hash: str
    facets: Mapping[str, FacetTags]

    def only(self, facets: Sequence[str]) -> "TagList":
        """The same list with some of the facets; a facet without tags is left out."""
        return TagList(self.split_hash, self.tag_list_hash, {f: self.facets[f] for f in facets if f in self.facets})


def load_tag_list(dataset: Path) -> TagList:
    """`tag_list.json` of a dataset folder; facets in the paper's order. Raises TagListError."""
    file = dataset / "tag_list.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        facets = {
            facet: _facet_tags(facet, content["facets"][facet]) for facet in FACETS if content["facets"].get(facet)
        }
        return TagList(content["split_hash"], content["tag_list_hash"], facets)
    except FileNotFoundError as error:
        raise TagListError(f"There is no tag list at {file}: make the dataset first.") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TagListError(f"The tag list {file} cannot be read ({error!r}): make the dataset again.") from error


def _facet_tags(facet: str, rows: list[dict[str, Any]]) -> FacetTags:
    position = {row["tag_id"]: number for number, row in enumerate(rows)}
    return FacetTags(
        facet=facet,
        tag_ids=tuple(position),
        labels=tuple(english_label(row) for row in rows),
        parents=tuple(_nearest_ancestor(row, position) for row in rows),
        n_train=tuple(int(row["n_train"]) for row in rows),
    )


def _nearest_ancestor(row: dict[str, Any], position: Mapping[str, int]) -> int:
    """The closest ancestor that is scored too: an ancestor may have left the list."""
    above = [tag_id for tag_id in row.get("path") or [row.get("parent")] if tag_id != row["tag_id"]]
    return next((position[tag_id] for tag_id in reversed(above) if tag_id in position), -1)


def english_label(row: Mapping[str, Any]) -> str:
    """The English preferred label without its qualifier (`cranes (birds)` is `cranes`), else the label shown."""
    label = (row.get("labels") or {}).get("en") or row["label"]
    return QUALIFIER.sub("", label) or label
