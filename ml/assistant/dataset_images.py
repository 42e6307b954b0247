"""The images of a dataset split: examples of a tag, and images for the queue."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import FACETS
from pipeline.tables import RECORDS


@dataclass(frozen=True)
class ImageLocation:
    """The position of an image in the files, with its record and tags."""

    file: Path
    row_group: int
    row: int  # in the row group
    record_id: str
    data_provider: str
    tags: tuple[str, ...] = ()


class DatasetImages:
    """The images of a dataset split by tag or id. Tags are read once, image bytes per row group."""

    def __init__(self, dataset: Path, split: str = "train"):
        self.folder = dataset / split

    @cached_property
    def locations(self) -> dict[str, ImageLocation]:
        """Every image by its id, in the order of the files; the first row of an image that several records have."""
        locations: dict[str, ImageLocation] = {}
        for file in sorted(self.folder.glob("part-*.parquet")):
            for image_id, location in _locations(file):
                locations.setdefault(image_id, location)
        return locations

    @cached_property
    def _by_tag(self) -> dict[str, list[str]]:
        by_tag: defaultdict[str, list[str]] = defaultdict(list)
        for image_id, location in self.locations.items():
            for tag in location.tags:
                by_tag[tag].append(image_id)
        return by_tag

    def of_tag(self, tag_id: str, most: int | None) -> list[str]:
        """Ids of images with the tag, from different providers where possible, in a fixed order; None: of all."""
        by_provider: defaultdict[str, list[str]] = defaultdict(list)
        for image_id in self._by_tag.get(tag_id, []):
            by_provider[self.locations[image_id].data_provider].append(image_id)
        rounds = zip_longest(*by_provider.values())
        return list(islice((image_id for one_each in rounds for image_id in one_each if image_id), most))

    def jpeg(self, image_id: str) -> bytes:
        """The stored bytes. Raises KeyError for an image of another split."""
        location = self.locations[image_id]
        group = pq.ParquetFile(location.file).read_row_group(location.row_group, columns=["image"])
        return pc.struct_field(group["image"], "bytes")[location.row].as_py()


@dataclass(frozen=True)
class DescribedRecord:
    """What the queue shows of a record."""

    title: str = ""
    collection: str | None = None


def described_in(records: Path, record_ids: Iterable[str]) -> dict[str, DescribedRecord]:
    """Titles and collections in a `records` table: the English title, otherwise the first by language."""
    columns = RECORDS.read(records, ["record_id", "titles", "collections"])
    described = {}
    for record_id, titles, collections in columns.filter(pl.col("record_id").is_in(list(record_ids))).iter_rows():
        by_language = sorted(titles or (), key=lambda title: (title["language"] != "en", title["language"]))
        title = by_language[0]["text"] if by_language else ""
        described[record_id] = DescribedRecord(title, next(iter(collections or ()), None))
    return described


def image_url_of(records: Path, record_id: str) -> str | None:
    """Where the provider publishes the image of a record in a `records` table; None if the table does not say."""
    found = RECORDS.read(records, ["record_id", "image_url"]).filter(pl.col("record_id") == record_id)
    return found["image_url"][0] if len(found) else None


def _locations(file: Path) -> Iterator[tuple[str, ImageLocation]]:
    source = pq.ParquetFile(file)
    facets = [facet for facet in FACETS if facet in source.schema_arrow.names]  # an older dataset may lack one
    columns = ["record_id", "image_id", "data_provider", *facets]
    for group in range(source.num_row_groups):
        for row, values in enumerate(source.read_row_group(group, columns=columns).to_pylist()):
            tags = tuple(tag for facet in facets for tag in values[facet] or ())
            provider = values["data_provider"] or ""
            yield values["image_id"], ImageLocation(file, group, row, values["record_id"], provider, tags)
