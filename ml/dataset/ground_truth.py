"""What a dataset folder says about the images of a split: their tags, groups and providers, without their pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml.dataset.prediction_files import EvaluationError as EvaluationError
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import FacetTags


@dataclass(frozen=True)
class Dataset:
    """A dataset or release folder's tag lists and hashes; `read` gives the truth of a split that lies in no Parquet."""

    folder: Path
    split_hash: str
    tag_list_hash: str
    tag_lists: dict[str, FacetTags]  # by facet of the tag list; one without scored tags is empty
    read: "Callable[[str], Truth] | None" = None

    @property
    def run(self) -> str:
        """The first twelve digits of both hashes: figures compare only within one run."""
        return f"{self.split_hash[:12]}-{self.tag_list_hash[:12]}"


@dataclass(frozen=True)
class Truth:
    """The images of one split in (record_id, view) order."""

    split: str
    images: pl.DataFrame  # record_id, view, image_id, data_provider, group_id
    relevance: dict[str, Relevance]  # by facet
    groups: np.ndarray  # int64 per image, numbered from 0 in order of appearance

    @property
    def name(self) -> str:
        """The split's name, as an ImageSplit has it."""
        return self.split

    @property
    def record_ids(self) -> list[str]:
        """The record of each image."""
        return self.images["record_id"].to_list()

    @property
    def views(self) -> list[int]:
        """The number of each image within its record."""
        return self.images["view"].to_list()

    @property
    def providers(self) -> list[str]:
        """The data provider of each image."""
        return self.images["data_provider"].to_list()


def load_truth(dataset: Dataset, split: str) -> Truth:
    """The tags, groups and providers of a split's images. Raises EvaluationError for a folder of another split hash."""
    if dataset.read is not None:
        return dataset.read(split)
    files = split_files(dataset.folder, split)
    columns = ["record_id", "view", "image_id", "data_provider", "group_id"]
    columns += [name for facet in dataset.tag_lists for name in (facet, f"{facet}_stated")]
    parts = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            found = (parquet.schema_arrow.metadata or {}).get(b"split_hash", b"").decode()
            if found != dataset.split_hash:
                raise EvaluationError(
                    f"{file} belongs to split {found[:12]}, its tag list to {dataset.split_hash[:12]}."
                )
            parts.append(parquet.read(columns=columns))
    table = pa.concat_tables(parts).sort_by([("record_id", "ascending"), ("view", "ascending")])
    images = pl.DataFrame(pl.from_arrow(table.select(columns[:5])))
    relevance = {
        facet: relevance_of(table.column(facet).to_pylist(), table.column(f"{facet}_stated").to_pylist(), tags.position)
        for facet, tags in dataset.tag_lists.items()
    }
    return Truth(split, images, relevance, group_numbers(images))


def split_files(folder: Path, split: str) -> list[Path]:
    """The Parquet parts of a split, in a dataset folder or in a release (`data/<split>-*.parquet`)."""
    files = sorted((folder / split).glob("part-*.parquet")) or sorted((folder / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise EvaluationError(f"{folder} has no images of the split {split}.")
    return files


def group_numbers(images: pl.DataFrame) -> np.ndarray:
    """The group of each image as a number from 0."""
    return images["group_id"].rank("dense").to_numpy().astype(np.int64) - 1


def relevance_of(
    tags: Sequence[Sequence[str]], stated: Sequence[Sequence[str]], position: Mapping[str, int]
) -> Relevance:
    """Each image's tags as positions in the tag list; what is not in the list is counted as unseen."""
    frame = pl.DataFrame({"tag": pl.Series(tags, dtype=pl.List(pl.String))}).with_row_index("image")
    said = pl.DataFrame({"tag": pl.Series(stated, dtype=pl.List(pl.String))}).with_row_index("image")
    pairs = frame.explode("tag").drop_nulls("tag")
    said = said.explode("tag").drop_nulls("tag").with_columns(stated=pl.lit(True))
    pairs = pairs.join(said, on=["image", "tag"], how="left", maintain_order="left").with_columns(
        at=pl.col("tag").replace_strict(position, default=-1, return_dtype=pl.Int32),
        stated=pl.col("stated").fill_null(False),
    )
    n = len(tags)
    known = pairs.filter(pl.col("at") >= 0).sort("image", "at")
    unseen = np.bincount(pairs.filter(pl.col("at") < 0)["image"].to_numpy(), minlength=n)
    counts = np.bincount(known["image"].to_numpy(), minlength=n)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Relevance(starts, known["at"].to_numpy(), known["stated"].to_numpy(), unseen.astype(np.int32))
