"""Prediction files: read in batches, and refused with one clear sentence when they do not fit the dataset."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml.dataset.ground_truth import Dataset, EvaluationError, Truth
from ml.dataset.tag_list import FacetTags
from pipeline.parquet import write_parquet


@dataclass(frozen=True)
class PredictionFile:
    """One facet's scores of one split: `<predictions>/<split>/<facet>.parquet`, checked against the dataset."""

    file: Path
    baseline: str
    seed: int
    rows: np.ndarray  # for every row of the file, the image in the truth's order
    columns: np.ndarray | None  # how to order the scores like the tag list, None when they are
    logarithms: bool  # scores are natural logs of probabilities

    def batches(self, batch_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Scores float16 (b, tags) in tag-list order, and the images (b,) they belong to."""
        start = 0
        with pq.ParquetFile(self.file) as parquet:
            for batch in parquet.iter_batches(batch_size=batch_rows, columns=["scores"]):
                if batch.column("scores").null_count:
                    raise EvaluationError(f"{self.file} has images without scores; predict them too.")
                scores = as_matrix(batch.column("scores"))
                rows = self.rows[start : start + len(scores)]
                start += len(scores)
                yield (scores if self.columns is None else scores[:, self.columns]), rows


def as_matrix(scores: pa.FixedSizeListArray) -> np.ndarray:
    """A fixed-size-list column as (rows, size), without a copy."""
    size = scores.type.list_size
    return scores.flatten().to_numpy(zero_copy_only=False).reshape(len(scores), size)


def open_predictions(folder: Path, dataset: Dataset, truth: Truth, tag_list: FacetTags) -> PredictionFile:
    """The checked prediction file of a facet.

    Raises EvaluationError for a missing facet, another split or tag list, an unknown or missing tag, and for image
    rows that repeat, are missing or are not of this split. NaN scores are found while reading.
    """
    file = folder / truth.split / f"{tag_list.facet}.parquet"
    if not file.exists():
        raise EvaluationError(
            f"{folder} has no predictions for the facet {tag_list.facet} of {truth.split}; write {file.name}."
        )
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
            _check_hashes(file, metadata, dataset)
            columns = _column_order(file, schema, metadata, tag_list)
            keys = pl.DataFrame(pl.from_arrow(parquet.read(columns=["record_id", "view"])))
        seed, logarithms = int(metadata.get("seed", 0)), metadata.get("scores") == "log_probability"
    except EvaluationError:
        raise
    except ValueError as error:  # Arrow's, JSON's and Unicode's errors are of this kind
        raise EvaluationError(f"{file} cannot be read ({error}); write it again.") from error
    rows = _match_images(file, keys, truth)
    return PredictionFile(file, metadata.get("baseline", folder.name), seed, rows, columns, logarithms)


def _check_hashes(file: Path, metadata: dict[str, str], dataset: Dataset) -> None:
    for name, wanted in (("split_hash", dataset.split_hash), ("tag_list_hash", dataset.tag_list_hash)):
        found = metadata.get(name)
        if found is None:
            raise EvaluationError(f"{file} does not say its {name}; write it into the Parquet metadata.")
        if found != wanted:
            what = "split" if name == "split_hash" else "tag list"
            raise EvaluationError(
                f"{file} was predicted for the {what} {found[:12]}, the dataset has {wanted[:12]}; predict again."
            )


def _column_order(file: Path, schema: pa.Schema, metadata: dict[str, str], tag_list: FacetTags) -> np.ndarray | None:
    """How the scores are to be permuted; the optional metadata `tag_ids` (JSON) names the columns."""
    lacking = [name for name in ("record_id", "view", "scores") if name not in schema.names]
    if lacking:
        raise EvaluationError(f"{file} has no column `{lacking[0]}`; it needs record_id, view and scores.")
    kind = schema.field("scores").type
    if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type):
        raise EvaluationError(f"{file} has scores of type {kind}; they must be fixed-size lists of floats.")
    size = schema.field("scores").type.list_size
    given = json.loads(metadata["tag_ids"]) if "tag_ids" in metadata else None
    if given is None:
        if size != len(tag_list):
            raise EvaluationError(f"{file} has {size} scores an image; {tag_list.facet} has {len(tag_list)} tags.")
        return None
    unknown = [tag_id for tag_id in given if tag_id not in tag_list.position]
    if unknown:
        raise EvaluationError(f"{file} scores the unknown tag {unknown[0]}; {tag_list.facet} does not list it.")
    missing = sorted(set(tag_list.position) - set(given))
    if missing or len(given) != size or len(set(given)) != size:
        problem = f"no score for the tag {missing[0]}" if missing else "a tag twice"
        raise EvaluationError(f"{file} has {problem}; score every tag of {tag_list.facet} once.")
    if given == list(tag_list.tag_ids):
        return None
    at = {tag_id: number for number, tag_id in enumerate(given)}
    return np.array([at[tag_id] for tag_id in tag_list.tag_ids])


def _match_images(file: Path, keys: pl.DataFrame, truth: Truth) -> np.ndarray:
    """For every row of the file its image in the truth; each image of the split must be there once."""
    repeated = keys.filter(keys.is_duplicated())
    if not repeated.is_empty():
        record, view = repeated.row(0)
        raise EvaluationError(f"{file} has the image {record} view {view} more than once; keep one row an image.")
    known = truth.images.select("record_id", "view").with_row_index("at")
    matched = keys.cast({"view": pl.Int16}).join(known, on=["record_id", "view"], how="left", maintain_order="left")
    strange = matched.filter(pl.col("at").is_null())
    if not strange.is_empty():
        raise EvaluationError(f"{file} predicts {strange['record_id'][0]}, which is not in {truth.split}.")
    if matched.height < known.height:
        lost = known.join(keys.cast({"view": pl.Int16}), on=["record_id", "view"], how="anti")
        raise EvaluationError(
            f"{file} misses {lost.height} images of {truth.split}, for example {lost['record_id'][0]}; "
            "predict them too."
        )
    return matched["at"].to_numpy().astype(np.int64)


def write_predictions(
    folder: Path, baseline: str, seed: int, dataset: Dataset, truth: Truth, scores: dict[str, np.ndarray]
) -> None:
    """Write (images, tags) scores per facet, in the truth's and the tag list's order, as prediction files."""
    for facet, matrix in scores.items():
        values = pa.array(np.ascontiguousarray(matrix, np.float16).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])
        metadata = {
            "baseline": baseline,
            "seed": str(seed),
            "split_hash": dataset.split_hash,
            "tag_list_hash": dataset.tag_list_hash,
        }
        table = truth.images.select("record_id", "view").to_arrow().append_column("scores", column)
        file = folder / truth.split / f"{facet}.parquet"
        write_parquet(table.replace_schema_metadata(metadata), file, row_group_size=10_000)
