"""Prediction files: one format, written and read here."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.dataset.split import ImageSplit
from ml.dataset.tag_list import TagList
from pipeline.files import whole_file

Scores = dict[str, NDArray[np.float32]]


class PredictionError(ValueError):
    """A prediction file is missing, damaged or of another dataset."""


def write_predictions(
    scores: Scores, split: ImageSplit, tag_list: TagList, folder: Path, *, baseline: str, seed: int
) -> None:
    """`<folder>/<split>/<facet>.parquet`: record_id, view, scores (float16, in tag-list order), by record and view.

    Scores are natural logs of probabilities, because float16 keeps them apart where probabilities near 0 are equal.
    """
    for facet, matrix in scores.items():
        table = pa.table(
            {
                "record_id": pa.array(split.record_ids, pa.string()),
                "view": pa.array(split.views, pa.int16()),
                "scores": fixed_size_lists(matrix),
            }
        ).replace_schema_metadata(
            {
                "baseline": baseline,
                "seed": str(seed),
                "split_hash": tag_list.split_hash,
                "tag_list_hash": tag_list.tag_list_hash,
                "scores": "log_probability",
            }
        )
        with whole_file(folder / split.name / f"{facet}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=10_000)


def fixed_size_lists(matrix: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Rows of a matrix as float16 lists; what float16 cannot hold becomes its nearest finite value."""
    limit = float(np.finfo(np.float16).max)
    values = np.clip(matrix, -limit, limit).astype(np.float16).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float16()), matrix.shape[1])


def read_predictions(folder: Path, split: ImageSplit, tag_list: TagList) -> Scores:
    """The scores a row wrote for this split. Raises PredictionError for missing files or another dataset's."""
    found: Scores = {}
    for facet, tags in tag_list.facets.items():
        file = folder / split.name / f"{facet}.parquet"
        if not file.exists():
            continue
        try:
            table = pq.read_table(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise PredictionError(f"{file} is damaged ({error}): predict with {folder.name} again.") from error
        _check(table.schema.metadata or {}, file, tag_list)
        if tuple(table["record_id"].to_pylist()) != split.record_ids:
            raise PredictionError(f"{file} is not about this split's images: predict with {folder.name} again.")
        flat = table["scores"].combine_chunks().flatten().to_numpy()
        found[facet] = flat.reshape(len(split), len(tags)).astype(np.float32)
    if not found:
        raise PredictionError(f"There are no predictions in {folder / split.name}: train {folder.name} first.")
    return found


def _check(metadata: Mapping[bytes, bytes], file: Path, tag_list: TagList) -> None:
    for name, now in (("tag_list_hash", tag_list.tag_list_hash), ("split_hash", tag_list.split_hash)):
        then = metadata.get(name.encode(), b"").decode()
        if then != now:
            raise PredictionError(f"{file} has {name} {then[:12]}, the dataset {now[:12]}: predict again.")
