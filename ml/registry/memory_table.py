"""What a model remembers, as a table beside its ONNX file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.dataset.tag_list import TagList
from ml.models.memory import TRAINING, Memory
from ml.registry.load import LoadError
from ml.registry.memory import training_images
from pipeline.files import whole_file


class MemoryTableError(LoadError):
    """The training images of a memory are not those of the dataset."""


def write_memory(memory: Memory, tags: TagList, dataset: Path, file: Path) -> None:
    """Write the training images of a memory: image_id, group_id, features and tags (ids, with those above them).

    Raises MemoryTableError where the dataset has other training images, so that these cannot be named.
    """
    images = training_images(dataset, memory)
    if images is None:
        raise MemoryTableError(f"{dataset} has other training images than the model remembers: train it again.")
    kept = memory.keys == TRAINING
    features, closed = memory.features[kept].cpu().numpy(), memory.closed[kept].cpu().numpy()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    table = pa.table(
        {
            "image_id": images["image_id"],
            "group_id": images["group_id"],
            "features": vectors,
            "tags": pa.array(_named(closed, _ids(tags)), pa.list_(pa.string())),
        }
    )
    table = table.replace_schema_metadata({"tag_list_hash": tags.tag_list_hash})
    with whole_file(file) as temporary:
        pq.write_table(table, temporary)


def _ids(tags: TagList) -> list[str]:
    return [tag_id for facet in tags.facets.values() for tag_id in facet.tag_ids]


def _named(closed: NDArray[np.bool_], ids: Sequence[str]) -> list[list[str]]:
    return [[ids[at] for at in np.flatnonzero(row).tolist()] for row in closed]
