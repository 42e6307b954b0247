"""Prediction files, `<predictions>/<split>/<facet>.parquet`: the one place where they are written and read.

A row per image: `record_id`, `view`, `data_provider` and `scores`, one per tag in the order of the tag list. The file's
metadata names the split and the tag list by their hashes. Needs neither polars nor pydantic nor torch: nodes that only
train read these too.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.dataset.tag_list import FacetTags, TagList
from pipeline.files import whole_file
from pipeline.foreign_parquet import TEXT_BYTES, TableError, checked_batches
from pipeline.texts import loads

Scores = dict[str, NDArray[np.float32]]  # by facet: images x tags
ROWS_PER_GROUP = 10_000
ROWS_PER_IMAGE = 2  # that are read of a file; enough to name an image that came twice


class EvaluationError(ValueError):
    """Predictions or a dataset that cannot be scored: one sentence that names the item and what to do."""


class PredictionError(EvaluationError):
    """A prediction file is missing, damaged, or belongs to another dataset."""


@dataclass(frozen=True)
class SplitImages:
    """The images of a split in their order."""

    name: str
    record_ids: Sequence[str]
    views: Sequence[int]
    providers: Sequence[str]


def write_predictions(
    scores: Mapping[str, NDArray[np.floating]],
    images: SplitImages,
    hashes: TagList,
    folder: Path,
    *,
    baseline: str,
    seed: int,
    logarithms: bool = True,
) -> None:
    """Write the scores (by facet: images x tags, in the tag list's order) of a split as float16.

    `logarithms` says that scores are natural logs of probabilities: float16 keeps those apart where probabilities near
    0 are equal.
    """
    metadata = {"baseline": baseline, "seed": str(seed), "split_hash": hashes.split_hash}
    metadata |= {"tag_list_hash": hashes.tag_list_hash} | ({"scores": "log_probability"} if logarithms else {})
    keys = {
        "record_id": pa.array(images.record_ids, pa.string()),
        "view": pa.array(images.views, pa.int16()),
        "data_provider": pa.array(images.providers, pa.string()),
    }
    for facet, matrix in scores.items():
        table = pa.table(keys | {"scores": _fixed_size_lists(matrix)}).replace_schema_metadata(metadata)
        with whole_file(folder / images.name / f"{facet}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=ROWS_PER_GROUP)


def _fixed_size_lists(matrix: NDArray[np.floating]) -> pa.FixedSizeListArray:
    """Rows of a matrix as float16 lists; what float16 cannot hold becomes its nearest finite value."""
    limit = float(np.finfo(np.float16).max)
    values = np.clip(matrix, -limit, limit).astype(np.float16).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float16()), matrix.shape[1])


@dataclass(frozen=True)
class PredictionFile:
    """The scores of one facet and split, checked against the dataset."""

    file: Path
    baseline: str
    seed: int
    rows: np.ndarray  # for every row of the file, the position of its image in the split
    columns: np.ndarray | None  # how to order the scores like the tag list, None when they are
    logarithms: bool  # scores are natural logs of probabilities

    def batches(self, batch_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Scores float16 (b, tags) in tag-list order, and the images (b,) they belong to."""
        start = 0
        with pq.ParquetFile(self.file) as parquet:
            for batch in parquet.iter_batches(batch_size=batch_rows, columns=["scores"]):
                column = batch.column("scores")
                if column.null_count:
                    raise PredictionError(f"{self.file} has images without scores; predict them too.")
                scores = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
                rows = self.rows[start : start + len(scores)]
                start += len(scores)
                yield (scores if self.columns is None else scores[:, self.columns]), rows

    def matrix(self, n_tags: int) -> NDArray[np.float32]:
        """All scores, images x tags, in the order of the split and of the tag list."""
        scores = np.empty((len(self.rows), n_tags), np.float32)
        for batch, rows in self.batches(ROWS_PER_GROUP):
            scores[rows] = batch
        return scores


def read_predictions(folder: Path, images: SplitImages, tag_list: TagList) -> Scores:
    """All scores that a row wrote for this split, images x tags by facet; facets without a file are left out.

    Raises PredictionError as open_predictions does, and when there is no file at all.
    """
    scores: Scores = {}
    for facet, tags in tag_list.facets.items():
        if (folder / images.name / f"{facet}.parquet").exists():
            scores[facet] = open_predictions(folder, tag_list, images, tags).matrix(len(tags))
    if not scores:
        raise PredictionError(f"There are no predictions in {folder / images.name}: train {folder.name} first.")
    return scores


def open_predictions(folder: Path, hashes: TagList, images: SplitImages, tags: FacetTags) -> PredictionFile:
    """The checked prediction file of a facet.

    Files without `data_provider` are read as well. Raises PredictionError for a missing facet, another split or tag
    list, an unknown or missing tag, for more rows or longer texts than are read, and for image rows that repeat, are
    missing or are not of this split. NaN scores are found while reading.
    """
    file = folder / images.name / f"{tags.facet}.parquet"
    if not file.exists():
        raise PredictionError(
            f"{folder} has no predictions for the facet {tags.facet} of {images.name}; write {file.name}."
        )
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            metadata = _metadata(parquet)
            _check_hashes(file, metadata, hashes)
            columns = _column_order(file, schema, metadata, tags)
        keys = _keys(file, _read_keys(file, len(images.record_ids)))
        seed, logarithms = int(metadata.get("seed", 0)), metadata.get("scores") == "log_probability"
    except EvaluationError:
        raise
    except TableError as error:
        raise PredictionError(f"{file} is not read: {error}; write one row an image.") from error
    except (ValueError, OSError) as error:  # Arrow's, JSON's and Unicode's errors are ValueErrors
        raise PredictionError(f"{file} cannot be read ({error}); write it again.") from error
    rows = _match_images(file, keys, images)
    return PredictionFile(file, metadata.get("baseline", folder.name), seed, rows, columns, logarithms)


def _read_keys(file: Path, images: int) -> pa.Table:
    """Ids and views of a file that may be anybody's. Raises TableError for more rows or longer texts than are read."""
    sizes = {"most_rows": images * ROWS_PER_IMAGE, "bytes_per_row": 2 * TEXT_BYTES}
    batches = list(checked_batches(file, ["record_id", "view"], longest_text=TEXT_BYTES, **sizes))
    return pa.Table.from_batches(batches, None if batches else pq.read_schema(file))


def _metadata(parquet: pq.ParquetFile) -> dict[str, str]:
    """The file's metadata: those of its Arrow schema, and those that polars and other writers keep beside it."""
    pairs = {**(parquet.metadata.metadata or {}), **(parquet.schema_arrow.metadata or {})}
    return {key.decode(): value.decode() for key, value in pairs.items() if key != b"ARROW:schema"}


def _keys(file: Path, keys: pa.Table) -> pa.Table:
    """The ids as strings and the views as numbers, whatever types the writer chose for them."""
    ids, views = keys["record_id"], keys["view"]
    if pa.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    kind = ids.type
    if not (_is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise PredictionError(f"{file} has record_id of type {kind}; write Europeana's ids, `/dataset/local`, as text.")
    columns = {}
    for name, column, wanted in (("record_id", ids, pa.string()), ("view", views, pa.int16())):
        try:
            columns[name] = column.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise PredictionError(f"{file} has a {name} that cannot be read ({error}); write it again.") from error
    return pa.table(columns)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _check_hashes(file: Path, metadata: Mapping[str, str], hashes: TagList) -> None:
    for what, name, wanted in (
        ("split", "split_hash", hashes.split_hash),
        ("tag list", "tag_list_hash", hashes.tag_list_hash),
    ):
        stored = metadata.get(name)
        if stored is None:
            raise PredictionError(f"{file} does not say its {name}; write it into the Parquet metadata.")
        if stored != wanted:
            raise PredictionError(
                f"{file} was predicted for the {what} {stored[:12]}, the dataset has {wanted[:12]}; predict again."
            )


def _column_order(file: Path, schema: pa.Schema, metadata: Mapping[str, str], tags: FacetTags) -> np.ndarray | None:
    """How the scores are to be permuted; the optional metadata `tag_ids` (JSON) names the columns."""
    lacking = [name for name in ("record_id", "view", "scores") if name not in schema.names]
    if lacking:
        raise PredictionError(f"{file} has no column `{lacking[0]}`; it needs record_id, view and scores.")
    kind = schema.field("scores").type
    if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type):
        raise PredictionError(f"{file} has scores of type {kind}; they must be fixed-size lists of floats.")
    size = kind.list_size
    given = loads(metadata["tag_ids"]) if "tag_ids" in metadata else None
    if given is None:
        if size != len(tags):
            raise PredictionError(f"{file} has {size} scores an image; {tags.facet} has {len(tags)} tags.")
        return None
    if not isinstance(given, list) or not all(isinstance(tag_id, str) for tag_id in given):
        raise PredictionError(f"{file} has tag_ids that are no list of texts; write the ids of {tags.facet} as JSON.")
    unknown = [tag_id for tag_id in given if tag_id not in tags.position]
    if unknown:
        raise PredictionError(f"{file} scores the unknown tag {unknown[0]}; {tags.facet} does not list it.")
    missing = sorted(set(tags.position) - set(given))
    if missing or len(given) != size or len(set(given)) != size:
        problem = f"no score for the tag {missing[0]}" if missing else "a tag twice"
        raise PredictionError(f"{file} has {problem}; score every tag of {tags.facet} once.")
    if given == list(tags.tag_ids):
        return None
    column_of = {tag_id: column for column, tag_id in enumerate(given)}
    return np.array([column_of[tag_id] for tag_id in tags.tag_ids])


def _match_images(file: Path, keys: pa.Table, images: SplitImages) -> np.ndarray:
    """For every row of the file the position of its image; each image of the split must be there once."""
    position = {key: number for number, key in enumerate(zip(images.record_ids, images.views, strict=True))}
    predicted = list(zip(keys["record_id"].to_pylist(), keys["view"].to_pylist(), strict=True))
    count = Counter(predicted)
    if len(count) < len(predicted):
        record, view = next(key for key in predicted if count[key] > 1)
        raise PredictionError(f"{file} has the image {record} view {view} more than once; keep one row an image.")
    strange = [record for record, view in predicted if (record, view) not in position]
    if strange:
        raise PredictionError(f"{file} predicts {strange[0]}, which is not in {images.name}.")
    lost = [record for record, view in position if (record, view) not in count]
    if lost:
        raise PredictionError(
            f"{file} misses {len(lost)} images of {images.name}, for example {lost[0]}; predict them too."
        )
    return np.array([position[key] for key in predicted], np.int64)
