"""The vectors of the `features` table, which describe all images of the dataset: compared by thousands at once."""

import hashlib
import json
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.files import whole_file

if TYPE_CHECKING:
    from pipeline.settings import FeatureSettings

log = logging.getLogger(__name__)
Vector = NDArray[np.floating]
Describe = Callable[[bytes], Vector]  # a JPEG
BLOCK = 4_096  # vectors that are compared at once: 32 MB of 2,048 numbers each


class NotDescribed(RuntimeError):
    """A picture cannot be described as those of the table were; the message says why."""


class StoredFeatures:
    """Vectors of unit length, [n, dimensions] float16, of the images with these ids.

    `describe` makes the vector of another picture in the same way; `name` tells the ways apart.
    """

    def __init__(self, image_ids: list[str], vectors: NDArray[np.float16], describe: Describe, name: str):
        self._vectors, self._describe, self.name = vectors, describe, name
        self._row_of = {image_id: row for row, image_id in enumerate(image_ids)}

    def __contains__(self, image_id: str) -> bool:
        """Whether the table has the image."""
        return image_id in self._row_of

    def of(self, image_id: str) -> Vector:
        """The vector of an image, float32. Raises KeyError."""
        return self._vectors[self._row_of[image_id]].astype(np.float32)

    def described(self, jpeg: bytes) -> Vector:
        """The vector of another picture, float32, of unit length. Raises NotDescribed."""
        return _unit(np.asarray(self._describe(jpeg), dtype=np.float32)[None])[0]

    def nearest(self, one: Vector, image_ids: Collection[str], most: int) -> dict[str, float]:
        """The cosines of the images most like a vector, best first, equal ones by id; without ids that are unknown."""
        known = sorted(image_id for image_id in image_ids if image_id in self._row_of)
        rows = np.array([self._row_of[image_id] for image_id in known], dtype=np.int64)
        wanted = one.astype(np.float32)
        blocks = [self._vectors[rows[at : at + BLOCK]].astype(np.float32) @ wanted for at in range(0, len(rows), BLOCK)]
        cosines = np.concatenate([*blocks, np.zeros(0, np.float32)]).round(4)
        best = np.argsort(-cosines, kind="stable")[:most]
        return {known[at]: float(cosines[at]) for at in best}


def stored_features(table: Path, folder: Path, settings: "FeatureSettings") -> StoredFeatures | None:
    """The vectors in the shards of a `features` table; None if there are none, or none that can be compared with.

    They are kept in `folder` once more, as one array that is mapped into memory, so that only what is compared is read.
    """
    shards = sorted(table.rglob("part-*.parquet"))
    try:
        recipes = {_recipe_in(shard) for shard in shards if pq.read_metadata(shard).num_rows}
        if len(recipes) != 1:
            return None
        ((extractor, recipe),) = recipes
        describe = _OnFirstUse(extractor, recipe, settings)
        file = folder / f"features-{_state_of(shards)}.npy"
        if not file.exists() or not _ids_of(file).exists():
            _write(shards, file)
        vectors = np.load(file, mmap_mode="r")
        return StoredFeatures(_ids_of(file).read_text().split(), vectors, describe, f"{extractor}@{recipe[:12]}")
    except (OSError, pa.ArrowException, ValueError) as error:
        log.warning("The features in %s are not used: %s", table, error)
        return None


class _OnFirstUse:
    """Describes pictures as the table's were, by a network that is loaded for the first one. Raises NotDescribed."""

    def __init__(self, extractor: str, recipe: str, settings: "FeatureSettings"):
        self._extractor, self._recipe, self._settings = extractor, recipe, settings
        self._made: Describe | None = None
        self._failure: str | None = None

    def __call__(self, jpeg: bytes) -> Vector:
        if self._failure is None and self._made is None:
            self._load()
        if self._made is None:
            raise NotDescribed(self._failure)
        return self._made(jpeg)

    def _load(self) -> None:
        """Load the network, or keep why that does not work: it is not tried again for every picture."""
        from ml.features.describing import describer  # torch takes seconds to import

        try:
            self._made = describer(self._extractor, self._recipe, self._settings)
        except ValueError as error:
            self._failure = str(error)
            log.warning("Pictures cannot be described as the stored features were; the model compares: %s", error)


def _recipe_in(shard: Path) -> tuple[str, str]:
    """The extractor of a shard, and the hash of how it described the images. Raises ValueError for an older shard."""
    with pq.ParquetFile(shard) as file:
        recipe = (file.schema_arrow.metadata or {}).get(b"recipe")
        rows = next(file.iter_batches(1, columns=["extractor"]))
    if recipe is None:
        raise ValueError(f"{shard.name} does not say how it was made")
    return rows["extractor"][0].as_py(), recipe.decode()


def _state_of(shards: list[Path]) -> str:
    """A text that changes with the files."""
    states = [(str(shard), shard.stat().st_size, shard.stat().st_mtime_ns) for shard in shards]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]


def _ids_of(file: Path) -> Path:
    return file.with_suffix(".ids")


def _write(shards: list[Path], file: Path) -> None:
    """The array and its ids; shard by shard, as a table of all images does not fit into memory everywhere."""
    image_ids: list[str] = []
    n_rows = sum(pq.read_metadata(shard).num_rows for shard in shards)
    dimensions = pq.read_schema(shards[0]).field("vector").type.list_size
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=(n_rows, dimensions))
        for shard in shards:
            table = pq.read_table(shard, columns=["image_id", "vector"])
            flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            vectors = _unit(flat.reshape(len(table), dimensions).astype(np.float32))
            array[len(image_ids) : len(image_ids) + len(table)] = vectors
            image_ids += table["image_id"].to_pylist()
        array.flush()
    with whole_file(_ids_of(file)) as temporary:
        temporary.write_text("\n".join(image_ids))
    for older in file.parent.glob("features-*"):
        if older not in (file, _ids_of(file)):
            older.unlink()


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
