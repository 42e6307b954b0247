"""What a dataset folder says about the images of a split: their tags, groups and providers, without their pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml.dataset.prediction_files import EvaluationError as EvaluationError
from ml.dataset.prediction_files import SplitImages
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import TagList


@dataclass(frozen=True)
class Dataset(TagList):
    """A dataset or release folder with its tag list, where a facet without scored tags is empty.

    `read` gives the truth of a split that lies in no Parquet.
    """

    folder: Path
    read: "Callable[[str], Truth] | None" = None

    @property
    def run(self) -> str:
        """The first twelve digits of both hashes: figures compare only within one run."""
        return f"{self.split_hash[:12]}-{self.tag_list_hash[:12]}"


@dataclass(frozen=True)
class Truth(SplitImages):
    """What is right for the images of one split, in (record_id, view) order; made by `truth_of`."""

    images: pl.DataFrame  # record_id, view, image_id, data_provider, group_id
    relevance: dict[str, Relevance]  # by facet
    groups: np.ndarray  # int64 per image, numbered from 0


def truth_of(split: str, images: pl.DataFrame, relevance: dict[str, Relevance]) -> Truth:
    """The truth of a split from its images, with the columns of `Truth.images`, and their relevance."""
    groups = images["group_id"].rank("dense").to_numpy().astype(np.int64) - 1
    records, views, providers = (images[name].to_list() for name in ("record_id", "view", "data_provider"))
    return Truth(split, records, views, providers, images, relevance, groups)


def load_truth(dataset: Dataset, split: str) -> Truth:
    """The tags, groups and providers of a split's images. Raises EvaluationError for a folder of another split hash."""
    if dataset.read is not None:
        return dataset.read(split)
    files = split_files(dataset.folder, split)
    columns = ["record_id", "view", "image_id", "data_provider", "group_id"]
    columns += [name for facet in dataset.facets for name in (facet, f"{facet}_stated")]
    parts = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            split_hash = (parquet.schema_arrow.metadata or {}).get(b"split_hash", b"").decode()
            if split_hash != dataset.split_hash:
                raise EvaluationError(
                    f"{file} belongs to split {split_hash[:12]}, its tag list to {dataset.split_hash[:12]}."
                )
            parts.append(parquet.read(columns=columns))
    table = pa.concat_tables(parts).sort_by([("record_id", "ascending"), ("view", "ascending")])
    images = pl.DataFrame(pl.from_arrow(table.select(columns[:5])))
    relevance = {
        facet: relevance_of(table.column(facet).to_pylist(), table.column(f"{facet}_stated").to_pylist(), tags.position)
        for facet, tags in dataset.facets.items()
    }
    return truth_of(split, images, relevance)


def split_files(folder: Path, split: str) -> list[Path]:
    """The Parquet parts of a split, in a dataset folder or in a release (`data/<split>-*.parquet`)."""
    files = sorted((folder / split).glob("part-*.parquet")) or sorted((folder / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise EvaluationError(f"{folder} has no images of the split {split}.")
    return files


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
