"""The pictures of a dataset split: examples of a tag for whoever asks, and images for the queue."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import FACETS
from pipeline.tables import RECORDS


@dataclass(frozen=True)
class Place:
    """Where an image of the dataset lies."""

    file: Path
    row_group: int
    row: int  # within the row group
    record_id: str
    data_provider: str
    tags: tuple[str, ...] = ()


class DatasetImages:
    """The images of a dataset split, found by tag or id; tags are read once, bytes one row group at a time."""

    def __init__(self, dataset: Path, split: str = "train"):
        self.folder = dataset / split

    @cached_property
    def places(self) -> dict[str, Place]:
        """Every image by its id, in the order of the files; of an image in several records the first."""
        found: dict[str, Place] = {}
        for file in sorted(self.folder.glob("part-*.parquet")):
            for place, image_id in _places(file):
                found.setdefault(image_id, place)
        return found

    @cached_property
    def _by_tag(self) -> dict[str, list[str]]:
        by_tag: dict[str, list[str]] = {}
        for image_id, place in self.places.items():
            for tag in place.tags:
                by_tag.setdefault(tag, []).append(image_id)
        return by_tag

    def of_tag(self, tag_id: str, most: int) -> list[str]:
        """Ids of images with the tag, from different providers as far as there are, in a fixed order."""
        images = self._by_tag.get(tag_id, [])
        by_provider: dict[str, list[str]] = {}
        for image_id in images:
            by_provider.setdefault(self.places[image_id].data_provider, []).append(image_id)
        columns = list(by_provider.values())
        rounds = (column[depth] for depth in range(most) for column in columns if depth < len(column))
        return [image_id for image_id, _ in zip(rounds, range(most), strict=False)]

    def jpeg(self, image_id: str) -> bytes:
        """The stored bytes. Raises KeyError for an image that is not of this split."""
        place = self.places[image_id]
        group = pq.ParquetFile(place.file).read_row_group(place.row_group, columns=["image"])
        return pc.struct_field(group["image"], "bytes")[place.row].as_py()


def titles_of(records: Path, record_ids: Iterable[str]) -> dict[str, str]:
    """The records' titles, from a `records` table: English where there is one, else the first by language."""
    wanted = RECORDS.read(records, ["record_id", "titles"]).filter(pl.col("record_id").is_in(list(record_ids)))
    found = {}
    for record_id, titles in wanted.iter_rows():
        by_language = sorted(titles or (), key=lambda title: (title["language"] != "en", title["language"]))
        if by_language:
            found[record_id] = by_language[0]["text"]
    return found


def _places(file: Path) -> Iterable[tuple[Place, str]]:
    source = pq.ParquetFile(file)
    columns = ["record_id", "image_id", "data_provider", *FACETS]
    for group in range(source.num_row_groups):
        for row, values in enumerate(source.read_row_group(group, columns=columns).to_pylist()):
            tags = tuple(tag for facet in FACETS for tag in values[facet] or ())
            yield Place(file, group, row, values["record_id"], values["data_provider"] or "", tags), values["image_id"]
