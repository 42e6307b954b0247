"""Groups images that must stay in one split: near-duplicates, equal bytes, and the views of one record."""

import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.images.duplicates.alignment import align
from pipeline.images.duplicates.nearest import nearest_by_cosine, nearest_by_hash
from pipeline.images.duplicates.pixel_verification import SIDE, pixel_differences
from pipeline.settings import ImageSettings
from pipeline.tables import GROUPS
from pipeline.waits import Progress

BLOCK = 4096  # vectors normalised at a time
CENTRED_FROM = 100  # vectors; the mean of fewer does not tell what all pictures share
RANDOM_PAIRS = 200_000
PAIRS_AT_A_TIME = 5_000
PAIRS = {
    "image_id": pl.String,
    "other_image_id": pl.String,
    "cosine": pl.Float64,
    "likeness": pl.Float64,
    "difference": pl.Float64,
    "hash_bits": pl.Int64,
}
# Returns (image_id, bytes) for every given image_id, in any order; repetitions are allowed.
Pictures = Callable[[set[str]], Iterable[tuple[str, bytes]]]


def group_images(
    images: pl.DataFrame,
    features: Iterable[pl.DataFrame],
    pictures: Pictures,
    settings: ImageSettings,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """One row per image with its group (table `groups`); the order of the rows does not matter.

    `images` has record_id, view, image_id, perceptual_hash and miniature; the frames of `features` have image_id and
    vector, of one extractor, and the first of an image counts (`vectors_of`); `pictures` returns the bytes of similar
    images (`stored_pictures`). Views of one record, equal bytes and near-duplicates are joined; a near-duplicate needs
    the agreement of the embedding, the fine perceptual hash and the pixels. Groups are the connected components.
    `progress` is in blocks of pairs of images whose cosines are compared.
    """
    rows = images.select("record_id", "view", "image_id").sort("record_id", "view")
    pairs = near_duplicate_pairs(images, features, pictures, settings, progress)
    component = _components(rows, pairs)
    near = {*pairs["image_id"], *pairs["other_image_id"]}
    named = rows.with_columns(
        name=pl.concat_str("record_id", pl.lit("#"), pl.col("view").cast(pl.String)), component=pl.Series(component)
    )
    return (
        named.with_columns(
            group_id=pl.col("name").min().over("component"),
            reason=pl.when(pl.len().over("image_id") > 1)
            .then(pl.lit("same_bytes"))
            .when(pl.len().over("record_id") > 1)
            .then(pl.lit("same_record"))
            .when(pl.col("image_id").is_in(sorted(near)))
            .then(pl.lit("near_duplicate"))
            .otherwise(pl.lit("alone")),
        )
        .select(GROUPS.schema.names)
        .sort("record_id", "view")
    )


def near_duplicate_pairs(
    images: pl.DataFrame,
    features: Iterable[pl.DataFrame],
    pictures: Pictures,
    settings: ImageSettings,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Pairs of distinct images that are near-duplicates, with the evidence; sorted by image_id.

    Columns: image_id, other_image_id (the larger id), cosine (of the centred embeddings), likeness (of the fine
    perceptual hash, see alignment.py), difference (see pixel_verification.py), hash_bits (distance of the dHashes).
    """
    distinct = (
        images.select("image_id", "perceptual_hash", "miniature")
        .unique("image_id", keep="first", maintain_order=True)
        .sort("image_id")
    )
    vectors, described = _unit_vectors(distinct["image_id"], features)
    distinct = distinct.filter(described)
    if len(distinct) < 2:
        return pl.DataFrame(schema=PAIRS)
    hashes = distinct["perceptual_hash"].to_numpy().astype(np.uint64)
    pairs, cosine = _close_pairs(vectors, hashes, settings, progress)
    del vectors  # with its file
    miniatures = np.frombuffer(b"".join(distinct["miniature"]), np.uint8).reshape(len(distinct), -1)
    likeness, aligned, windows = align(miniatures, pairs, settings.near_duplicate_smallest_part)
    alike = likeness >= settings.near_duplicate_likeness
    pairs, cosine, likeness = pairs[alike], cosine[alike], likeness[alike]
    ids = distinct["image_id"].to_numpy()
    most = settings.near_duplicate_difference
    difference = _differences(ids, aligned[alike], windows[alike], pictures, most)
    bits = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.int64)
    columns = (ids[pairs[:, 0]], ids[pairs[:, 1]], cosine.astype(np.float64), likeness, difference, bits)
    evidence = dict(zip(PAIRS, (column[difference <= most] for column in columns), strict=True))
    return pl.DataFrame(evidence, schema=PAIRS).sort("image_id", "other_image_id")


def _differences(
    ids: np.ndarray, pairs: np.ndarray, windows: np.ndarray, pictures: Pictures, most: float
) -> np.ndarray:
    """The pixel difference of each pair; a picture takes 48 KB meanwhile."""
    used = np.unique(pairs)
    if not len(used):
        return np.empty(0)
    row_of = {image_id: row for row, image_id in enumerate(ids[used])}
    squares = _on_disk((len(used), SIDE, SIDE, 3), np.uint8)
    missing = set(row_of)
    for image_id, data in pictures(set(row_of)):
        with Image.open(io.BytesIO(data)) as opened:
            square = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        squares[row_of[image_id]] = np.asarray(square)
        missing.discard(image_id)
    if missing:
        raise ValueError(f"The images table holds no picture of {min(missing)}; fetch the images again.")
    templates, images = np.searchsorted(used, pairs).T
    return pixel_differences(squares, templates, images, windows, most)


def _on_disk(shape: tuple[int, ...], kind: type[np.generic]) -> np.ndarray:
    """An array in a temporary file, whose pages the system may write out when memory is short; gone with the array.

    Raises OSError when the disk has no room for it.
    """
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, prod(shape) * np.dtype(kind).itemsize)  # else a full disk is a SIGBUS
        return np.asarray(np.memmap(file, kind, "r+", shape=shape))


def stored_pictures(images_folder: Path) -> Pictures:
    """The pictures of an `images` table, by their ids."""

    def pictures(image_ids: set[str]) -> Iterator[tuple[str, bytes]]:
        for (image_id,), data in read_pictures(images_folder, ("image_id",), {(image_id,) for image_id in image_ids}):
            yield image_id, data

    return pictures


def read_pictures(
    images_folder: Path, key: tuple[str, ...], wanted: set[tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """The keys and bytes of the rows of an `images` table whose key is in `wanted`."""
    for shard in sorted(images_folder.rglob("part-*.parquet")):
        for batch in pq.ParquetFile(shard).iter_batches(100, columns=[*key, "image"]):
            for row, row_key in enumerate(zip(*(batch[name].to_pylist() for name in key), strict=True)):
                if row_key in wanted:
                    yield row_key, batch["image"][row]["bytes"].as_py()


def vectors_of(features: Path, extractor: str) -> Iterator[pl.DataFrame]:
    """Columns image_id and vector of one extractor, shard by shard of the `features` table.

    Several slices may describe the same image. Raises ValueError where there is no shard.
    """
    file = None
    for file in _shards_of(features, extractor):
        yield pl.read_parquet(file, columns=["image_id", "vector"])
    if file is None:
        raise ValueError(f"{features} holds no features of {extractor}; extract them first.")


def _shards_of(features: Path, extractor: str) -> Iterator[Path]:
    """The shards of one extractor. A shard has the vectors of one extractor, which differ in length from others."""
    for file in sorted(features.rglob("part-*.parquet")):
        with pq.ParquetFile(file) as shard:
            rows = next(shard.iter_batches(1, columns=["extractor"]), None)
        if rows is not None and rows["extractor"][0].as_py() == extractor:
            yield file


def large_groups(groups: pl.DataFrame, settings: ImageSettings) -> pl.DataFrame:
    """Groups of more than `large_group` images, to be looked at, largest first: columns group_id, n."""
    sizes = groups.group_by("group_id").agg(n=pl.len())
    return sizes.filter(pl.col("n") > settings.large_group).sort(["n", "group_id"], descending=[True, False])


def _unit_vectors(image_ids: pl.Series, features: Iterable[pl.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of these images as unit vectors, float32 [m, d], and which of the images have one, bool [n].

    The mean is subtracted first, since it tells nothing about a single picture.
    """
    vectors, described = _in_rows(image_ids, features)
    blocks = [slice(start, start + BLOCK) for start in range(0, len(vectors), BLOCK)]
    if len(vectors) >= CENTRED_FROM:
        vectors -= vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    for block in blocks:
        vectors[block] /= np.maximum(np.linalg.norm(vectors[block], axis=1, keepdims=True), 1e-12)
    return vectors, described


def _in_rows(image_ids: pl.Series, features: Iterable[pl.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """The first vector of each image, in a file, without rows for images that have none; and which of them have one."""
    rows_of = pl.DataFrame({"image_id": image_ids}).with_row_index("row")
    vectors, described = np.empty((0, 0), np.float32), np.zeros(len(image_ids), bool)
    for frame in features:
        found = frame.unique("image_id", keep="first", maintain_order=True).join(rows_of, on="image_id")
        found = found.filter(~described[found["row"].to_numpy()])
        if found.is_empty():
            continue
        if not len(vectors):
            vectors = _on_disk((len(image_ids), len(found["vector"][0])), np.float32)
        rows = found["row"].to_numpy()
        vectors[rows] = found["vector"].explode().to_numpy().reshape(-1, vectors.shape[1])
        described[rows] = True
    kept = np.flatnonzero(described)
    for start in range(0, len(kept) if len(kept) < len(described) else 0, BLOCK):
        block = kept[start : start + BLOCK]
        vectors[start : start + len(block)] = vectors[block]  # never below: no row is overwritten before it is read
    return vectors[: len(kept)], described


def _close_pairs(
    vectors: np.ndarray, hashes: np.ndarray, settings: ImageSettings, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs to compare, int64 [m, 2], smaller first, sorted, and their cosines.

    They are the nearest of every image by cosine, and the nearest by dHash, if their cosine is not a usual one.
    """
    count, usual = settings.near_duplicate_candidates, usual_cosine(vectors, settings.near_duplicate_closer_than)
    pairs = np.concatenate([nearest_by_cosine(vectors, count, usual, progress), nearest_by_hash(hashes, count)])
    pairs = np.unique(pairs, axis=0)
    cosine = _cosines(vectors, pairs[:, 0], pairs[:, 1])
    close = cosine >= usual
    return pairs[close], cosine[close]


def usual_cosine(vectors: np.ndarray, share: float) -> float:
    """The cosine that `share` of random pairs stay below; every extractor has its own scale."""
    generator = np.random.default_rng(0)  # the sample only sets a scale
    n = len(vectors)
    one = generator.integers(0, n, RANDOM_PAIRS)
    other = (one + generator.integers(1, n, RANDOM_PAIRS)) % n
    return float(np.quantile(_cosines(vectors, one, other), share, method="lower"))


def _cosines(vectors: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosines of pairs of unit vectors, in blocks: the vectors of all pairs at once would take 16 KB per pair."""
    cosines = np.empty(len(one), np.float32)
    for start in range(0, len(one), PAIRS_AT_A_TIME):
        block = slice(start, start + PAIRS_AT_A_TIME)
        cosines[block] = np.einsum("ij,ij->i", vectors[one[block]], vectors[other[block]])
    return cosines


def _components(rows: pl.DataFrame, pairs: pl.DataFrame) -> np.ndarray:
    """The number of every row's connected component, given the pairs of near-duplicates."""
    if rows.is_empty():
        return np.zeros(0, np.int64)
    first: dict[tuple[str, str], int] = {}
    keys = [(name, key, row) for name in ("record_id", "image_id") for row, key in enumerate(rows[name])]
    edges = [(first.setdefault((name, key), row), row) for name, key, row in keys]
    images = pairs.select("image_id", "other_image_id").rows()
    edges += [(first["image_id", one], first["image_id", other]) for one, other in images]
    ends = np.array(edges, np.int64).T
    graph = coo_array((np.ones(ends.shape[1], np.int8), tuple(ends)), shape=(len(rows), len(rows)))
    return connected_components(graph, directed=False)[1].astype(np.int64)
