"""The memory of a finished model: which images it holds, and the pictures that people confirmed since."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from ml.dataset.confirmed import NO_GROUP, Confirmed
from ml.dataset.split import group_key
from ml.dataset.tag_list import TagList
from ml.models.memory import TRAINING, Memory
from ml.models.network import Network

COLUMNS = ["record_id", "view", "image_id", "group_id"]


def memory_of(network: Network) -> Memory | None:
    """The network's memory; None of a row without one."""
    memory = getattr(network, "memory", None)
    return memory if isinstance(memory, Memory) else None


def training_images(dataset: Path, memory: Memory) -> pa.Table | None:
    """The training images of a memory in its order: record_id, view, image_id and group_id.

    None where the dataset has other training images than the memory.
    """
    files = sorted((dataset / "train").glob("part-*.parquet"))
    if not files:
        return None
    table = pa.concat_tables(pq.read_table(file, columns=COLUMNS).replace_schema_metadata(None) for file in files)
    table = table.sort_by([("record_id", "ascending"), ("view", "ascending")])
    remembered = memory.groups[memory.keys == TRAINING].tolist()
    return table if [group_key(group) for group in table["group_id"].to_pylist()] == remembered else None


class ModelMemory:
    """A model's memory by image ids and tag ids."""

    def __init__(self, memory: Memory, tags: TagList, dataset: Path) -> None:
        self._memory, self._dataset = memory, dataset
        ids = [tag_id for of_facet in tags.facets.values() for tag_id in of_facet.tag_ids]
        self._place = {tag_id: place for place, tag_id in enumerate(ids)}
        self._names: dict[int, str] = {}  # of confirmed images, by key
        self._trained: list[str] | None = None

    def keep(self, confirmed: Sequence[Confirmed], gone: Collection[int] = ()) -> None:
        """Take in confirmed pictures, each in place of what was confirmed of it before, and let go of others by key."""
        if gone:
            self._memory.forget(gone)
        if not confirmed:
            return
        closed = torch.zeros(len(confirmed), len(self._place), dtype=torch.bool)
        for row, each in enumerate(confirmed):
            closed[row, [self._place[tag] for tag in each.tag_ids if tag in self._place]] = True
        features = torch.from_numpy(np.stack([each.features for each in confirmed]))
        groups = torch.tensor([each.group for each in confirmed])
        self._memory.remember(features, closed, groups, [each.key for each in confirmed])
        self._names |= {each.key: each.image_id for each in confirmed}

    def nearest(self, features: NDArray[np.floating], tag_id: str, group: int = NO_GROUP) -> dict[str, float] | None:
        """The cosines of all remembered images with a tag, most alike first, by image id.

        None where the memory does not know the tag, or the dataset that its training images are named by has others.
        """
        if tag_id not in self._place or not self._named():
            return None
        query = torch.from_numpy(np.asarray(features, np.float32)).to(self._memory.features)
        rows, cosines = self._memory.nearest_with(query, self._place[tag_id], group)
        found: dict[str, float] = {}
        for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True):
            found.setdefault(self._name(row), round(cosine, 4))  # a training image may have been decided on too
        return found

    def _named(self) -> bool:
        if self._trained is None:
            table = training_images(self._dataset, self._memory)
            self._trained = [] if table is None else table["image_id"].to_pylist()
        return len(self._trained) == int((self._memory.keys == TRAINING).sum())

    def _name(self, row: int) -> str:
        key = int(self._memory.keys[row])
        assert self._trained is not None
        return self._trained[row] if key == TRAINING else self._names[key]
