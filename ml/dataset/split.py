"""One split of the dataset in memory: JPEG bytes, tags per facet, providers."""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ml.dataset.prediction_files import SplitImages
from ml.dataset.tag_list import FacetTags, TagList
from ml.dataset.transforms import Interpolation, shrunk


class DataError(ValueError):
    """The dataset cannot be used; the message names the file or the image."""


@dataclass(frozen=True)
class Jpegs:
    """The encoded images of a split: `stored` as they lie in its files, and the place of each image in it.

    They are not brought into order: the paper's have more bytes than an array of Arrow can be sorted with, and a
    sorted copy would take their memory twice.
    """

    stored: pa.ChunkedArray  # of large_binary
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, image: int) -> pa.LargeBinaryScalar:
        return self.stored[int(self.places[image])]

    def __iter__(self) -> Iterator[pa.LargeBinaryScalar]:
        return (self[image] for image in range(len(self)))

    def take(self, images: Sequence[int]) -> "Jpegs":
        """Those of some images, in that order."""
        return Jpegs(self.stored, self.places[list(images)])


@dataclass(frozen=True)
class ImageSplit(SplitImages):
    """One split in memory. `tags[facet]` holds, for image i, positions `values[offsets[i]:offsets[i + 1]]`.

    `rejected` holds in the same way the tags that people said the image's record does not have.
    """

    jpegs: Jpegs
    tags: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    rejected: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    pixels: tuple[NDArray[np.uint8], ...] | None = None
    groups: tuple[str, ...] = ()  # of near-duplicates, one per image

    def __len__(self) -> int:
        return len(self.record_ids)

    @cached_property
    def provider_names(self) -> tuple[str, ...]:
        """The data providers of the split's images, sorted."""
        return tuple(sorted(set(self.providers)))

    @cached_property
    def provider_index(self) -> NDArray[np.int64]:
        """For each image the index of its provider in `provider_names`."""
        index = {name: number for number, name in enumerate(self.provider_names)}
        return np.array([index[name] for name in self.providers], np.int64)

    @cached_property
    def group_keys(self) -> NDArray[np.int64]:
        """For each image a number of its group, the same in every split; -1 where groups are not known."""
        if not self.groups:
            return np.full(len(self), -1, np.int64)
        return np.array([group_key(group) for group in self.groups], np.int64)

    def closed_tags(self, facet: str, image: int) -> NDArray[np.int64]:
        """Positions of the image's scored tags in a facet, ancestors included; empty when it has none."""
        offsets, values = self.tags[facet]
        return values[offsets[image] : offsets[image + 1]]

    def rejected_tags(self, facet: str, image: int) -> NDArray[np.int64]:
        """Positions of the scored tags that people said the image's record does not have."""
        offsets, values = self.rejected[facet]
        return values[offsets[image] : offsets[image + 1]]

    def digest(self) -> str:
        """A hash of which images there are, with which tags held and rejected."""
        digest = hashlib.sha256(json.dumps([self.record_ids, self.views]).encode())
        for targets in (self.tags, self.rejected):
            for facet, (offsets, values) in targets.items():
                digest.update(facet.encode() + offsets.tobytes() + values.tobytes())
        return digest.hexdigest()

    def n_annotated(self, facet: str) -> int:
        """Images with a scored tag in the facet."""
        return int((np.diff(self.tags[facet][0]) > 0).sum())

    def relevant(self, facet: str, n_tags: int) -> NDArray[np.bool_]:
        """Images by tags: True where the tag is relevant."""
        offsets, values = self.tags[facet]
        matrix = np.zeros((len(self), n_tags), dtype=bool)
        matrix[np.repeat(np.arange(len(self)), np.diff(offsets)), values] = True
        return matrix

    def keep(self, wanted: NDArray[np.bool_]) -> "ImageSplit":
        """The images for which `wanted` is True, in the same order."""
        chosen = np.flatnonzero(wanted).tolist()
        return replace(
            self,
            record_ids=tuple(self.record_ids[i] for i in chosen),
            views=tuple(self.views[i] for i in chosen),
            providers=tuple(self.providers[i] for i in chosen),
            jpegs=self.jpegs.take(chosen),
            tags={facet: in_offsets([self.closed_tags(facet, i) for i in chosen]) for facet in self.tags},
            rejected={facet: in_offsets([self.rejected_tags(facet, i) for i in chosen]) for facet in self.rejected},
            pixels=None if self.pixels is None else tuple(self.pixels[i] for i in chosen),
            groups=tuple(self.groups[i] for i in chosen) if self.groups else (),
        )

    def decoded(self, short_side: int, interpolation: Interpolation = "bilinear") -> "ImageSplit":
        """The same split with every image decoded once, short side at most `short_side`: for data that fits memory."""
        if self.pixels is not None and min(self.pixels[0].shape[:2], default=0) == short_side:
            return self
        pictures = (open_jpeg(jpeg.as_buffer(), self.name_of(image)) for image, jpeg in enumerate(self.jpegs))
        shown = (shrunk(picture, short_side, interpolation) for picture in pictures)
        return replace(self, pixels=tuple(np.asarray(picture) for picture in shown))

    def name_of(self, image: int) -> str:
        """How an image is named in messages."""
        return f"view {self.views[image]} of record {self.record_ids[image]}"


def group_key(group: str) -> int:
    """A number of 63 bits for a group, by the hash of its name."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) >> 1


def load_split(dataset: Path, name: str, tag_list: TagList) -> ImageSplit:
    """A split of the dataset, sorted by record and view; tags that are not scored are left out.

    Raises DataError when the files are missing or belong to another tag list.
    """
    files = sorted((dataset / name).glob("part-*.parquet"))
    if not files:
        raise DataError(f"The dataset {dataset} has no split `{name}`: make the dataset again.")
    columns = ["record_id", "view", "image", "data_provider", "group_id", *tag_list.facets]
    tables, stored = [], []
    for file in files:
        read = _read(file, columns, tag_list)
        stored += [chunk.field("bytes").cast(pa.large_binary()) for chunk in read["image"].chunks]
        tables.append(read.drop_columns("image"))
    table = pa.concat_tables(tables)
    places = pc.sort_indices(table, [("record_id", "ascending"), ("view", "ascending")])
    table = table.take(places)
    record_ids = tuple(table["record_id"].to_pylist())
    negatives = _rejected(dataset / "rejected_tags.parquet")
    wrong = [negatives.get(record) for record in record_ids]
    return ImageSplit(
        name,
        record_ids,
        views=tuple(table["view"].to_pylist()),
        providers=tuple(table["data_provider"].to_pylist()),
        jpegs=Jpegs(pa.chunked_array(stored, pa.large_binary()), places.to_numpy().astype(np.int64)),
        tags={facet: _positions(table[facet].to_pylist(), tags) for facet, tags in tag_list.facets.items()},
        rejected={facet: _positions(wrong, tags) for facet, tags in tag_list.facets.items()},
        groups=tuple(table["group_id"].to_pylist()),
    )


def _positions(tag_ids: Sequence[Sequence[str] | None], tags: FacetTags) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The scored ones among each image's tags, in the form of ImageSplit."""
    at = tags.position
    return in_offsets([np.array(sorted(at[tag] for tag in own or () if tag in at), dtype=np.int64) for own in tag_ids])


def _rejected(file: Path) -> dict[str, list[str]]:
    """The tags that people rejected, per record; none where the dataset has no such file."""
    rejected: dict[str, list[str]] = {}
    if file.exists():
        table = pq.read_table(file, columns=["record_id", "tag_id"])
        for record, tag in zip(table["record_id"].to_pylist(), table["tag_id"].to_pylist(), strict=True):
            rejected.setdefault(record, []).append(tag)
    return rejected


def _read(file: Path, columns: list[str], tag_list: TagList) -> pa.Table:
    try:
        table = pq.read_table(file, columns=columns)
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DataError(f"The dataset file {file} cannot be read ({error}): make the dataset again.") from error
    written = (table.schema.metadata or {}).get(b"tag_list_hash", tag_list.tag_list_hash.encode()).decode()
    if written != tag_list.tag_list_hash:
        raise DataError(
            f"{file} was written for tag list {written[:12]}, not {tag_list.tag_list_hash[:12]}: make both."
        )
    return table.replace_schema_metadata(None)


def in_offsets(lists: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists of positions as `offsets` and `values`, the form of ImageSplit."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    values = np.concatenate(lists) if lists else np.empty(0)
    return offsets, values.astype(np.int64)


def open_jpeg(data: bytes | memoryview | pa.Buffer, name: str) -> Image.Image:
    """The image, not decoded yet. Raises DataError for bytes that are no image."""
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: its bytes are no image ({error}).") from error
