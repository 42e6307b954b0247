"""Which images show the same thing and must stay together: groups of near-duplicates and of one record's views."""

import base64
import html
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from usearch.index import Index

from pipeline.files import whole_file
from pipeline.images.duplicates import pixel_verification as second_look
from pipeline.images.duplicates.alignment import overlays
from pipeline.settings import ImageSettings
from pipeline.tables import GROUPS

EXACT_UP_TO = 100_000  # images; beyond it the search is by an index, built by one thread so that it is repeatable
BLOCK = 512  # images that are compared with all others at a time
CENTRED_FROM = 100  # the mean of fewer vectors says nothing about what all pictures share
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
# Given some image_ids: each with its bytes, in any order, each once or more.
Pictures = Callable[[set[str]], Iterable[tuple[str, bytes]]]


def group_images(
    images: pl.DataFrame, features: pl.DataFrame, pictures: Pictures, settings: ImageSettings
) -> pl.DataFrame:
    """One row per image with its group (table `groups`), whatever the order of the rows.

    `images` has record_id, view, image_id, perceptual_hash and miniature; `features` image_id and vector, of one
    extractor; `pictures` gives the bytes of those that seem alike (`stored_pictures`). Joined are: views of one record,
    equal bytes, and pictures on which the embedding, the fine perceptual hash and a second look at the pictures
    themselves agree. Groups are the connected components.
    """
    rows = images.select("record_id", "view", "image_id").sort("record_id", "view")
    pairs = near_duplicate_pairs(images, features, pictures, settings)
    first_row = {image_id: row for row, image_id in reversed(list(enumerate(rows["image_id"])))}
    edges = [(first_row[one], first_row[other]) for one, other in pairs.select("image_id", "other_image_id").rows()]
    edges += _same(rows["record_id"]) + _same(rows["image_id"])
    component = _components(len(rows), edges)
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
    images: pl.DataFrame, features: pl.DataFrame, pictures: Pictures, settings: ImageSettings
) -> pl.DataFrame:
    """Pairs of distinct images that are near-duplicates, with the evidence; sorted by image_id.

    Columns: image_id, other_image_id (the larger), cosine (of the centred embeddings), likeness (of the fine
    perceptual hash, see alignment.py), difference (see second_look.py), hash_bits (distance of the dHashes).
    """
    distinct = (
        images.select("image_id", "perceptual_hash", "miniature")
        .unique("image_id", keep="first", maintain_order=True)
        .join(
            features.select("image_id", "vector").unique("image_id", keep="first", maintain_order=True), on="image_id"
        )
        .sort("image_id")
    )
    if len(distinct) < 2:
        return pl.DataFrame(schema=PAIRS)
    vectors = _unit(_centred(_matrix(distinct["vector"])))
    hashes = distinct["perceptual_hash"].to_numpy()
    pairs = _candidates(vectors, hashes, settings.near_duplicate_candidates)
    cosine = _cosines(vectors, pairs[:, 0], pairs[:, 1])
    agree = cosine >= _usual_cosine(vectors, settings.near_duplicate_closer_than)
    pairs, cosine = pairs[agree], cosine[agree]
    miniatures = np.frombuffer(b"".join(distinct["miniature"]), np.uint8).reshape(len(distinct), -1)
    likeness, overlaid, windows = overlays(miniatures, pairs, settings.near_duplicate_smallest_part)
    alike = likeness >= settings.near_duplicate_likeness
    pairs, cosine, likeness, overlaid, windows = (
        column[alike] for column in (pairs, cosine, likeness, overlaid, windows)
    )
    ids = distinct["image_id"].to_numpy()
    difference = _differences(ids, overlaid, windows, pictures, settings.near_duplicate_difference)
    same = difference <= settings.near_duplicate_difference
    bits = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.int64)
    columns = (ids[pairs[:, 0]], ids[pairs[:, 1]], cosine.astype(np.float64), likeness, difference, bits)
    found = dict(zip(PAIRS, (column[same] for column in columns), strict=True))
    return pl.DataFrame(found, schema=PAIRS).sort("image_id", "other_image_id")


def _differences(
    ids: np.ndarray, pairs: np.ndarray, windows: np.ndarray, pictures: Pictures, most: float
) -> np.ndarray:
    """How far each pair differs; the pictures lie in a temporary file meanwhile, 48 KB each, not in memory."""
    used = np.unique(pairs)
    if not len(used):
        return np.empty(0)
    place = {image_id: row for row, image_id in enumerate(ids[used])}
    side = second_look.SIDE
    with tempfile.TemporaryFile() as file:
        small = np.memmap(file, np.uint8, "w+", shape=(len(used), side, side, 3))
        missing = set(place)
        for image_id, data in pictures(set(place)):
            small[place[image_id]] = _small(data, side)
            missing.discard(image_id)
        if missing:
            raise ValueError(f"The images table holds no picture of {min(missing)}; fetch the images again.")
        wholes, larges = np.searchsorted(used, pairs).T
        return second_look.second_look(small, wholes, larges, windows, most)


def _small(data: bytes, side: int) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB").resize((side, side), Image.Resampling.BOX))


def stored_pictures(images_folder: Path) -> Pictures:
    """The pictures of an `images` table, by their ids."""

    def pictures(image_ids: set[str]) -> Iterator[tuple[str, bytes]]:
        for (image_id,), data in _pictures(images_folder, ("image_id",), {(image_id,) for image_id in image_ids}):
            yield image_id, data

    return pictures


def read_vectors(features: Path, extractor: str) -> pl.DataFrame:
    """Columns image_id and vector of one extractor, from the shards of the `features` table; an image once."""
    shards = [pl.read_parquet(file, columns=["image_id", "vector"]) for file in _shards_of(features, extractor)]
    if not shards:
        raise ValueError(f"{features} holds no features of {extractor}; extract them first.")
    # several slices may describe the same image
    return pl.concat(shards).unique("image_id", keep="first", maintain_order=True)


def _shards_of(features: Path, extractor: str) -> Iterator[Path]:
    """The shards of one extractor: each holds one, and vectors of another length do not go into one table."""
    for file in sorted(features.rglob("part-*.parquet")):
        with pq.ParquetFile(file) as shard:
            rows = next(shard.iter_batches(1, columns=["extractor"]), None)
        if rows is not None and rows["extractor"][0].as_py() == extractor:
            yield file


def large_groups(groups: pl.DataFrame, settings: ImageSettings) -> pl.DataFrame:
    """Groups of more than `large_group` images, largest first: columns group_id, n. Each is worth a look."""
    sizes = groups.group_by("group_id").agg(n=pl.len())
    return sizes.filter(pl.col("n") > settings.large_group).sort(["n", "group_id"], descending=[True, False])


def _matrix(vectors: pl.Series) -> np.ndarray:
    """A column of fixed-size lists as float32 [n, dimensions]."""
    flat = vectors.explode().to_numpy()
    return flat.reshape(len(vectors), -1).astype(np.float32)


def _centred(vectors: np.ndarray) -> np.ndarray:
    """Less the mean vector: what all pictures share makes no two of them alike."""
    if len(vectors) < CENTRED_FROM:
        return vectors
    return vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _usual_cosine(vectors: np.ndarray, share: float) -> float:
    """The cosine that this share of random pairs stays below: each extractor has its own scale."""
    generator = np.random.default_rng(0)  # the sample only sets a scale
    n = len(vectors)
    one = generator.integers(0, n, RANDOM_PAIRS)
    other = (one + generator.integers(1, n, RANDOM_PAIRS)) % n
    return float(np.quantile(_cosines(vectors, one, other), share, method="lower"))


def _cosines(vectors: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of pairs of unit vectors, some at a time: all pairs' vectors at once would take 16 KB a pair."""
    found = np.empty(len(one), np.float32)
    for start in range(0, len(one), PAIRS_AT_A_TIME):
        block = slice(start, start + PAIRS_AT_A_TIME)
        found[block] = np.einsum("ij,ij->i", vectors[one[block]], vectors[other[block]])
    return found


def _candidates(vectors: np.ndarray, hashes: np.ndarray, count: int) -> np.ndarray:
    """Pairs worth comparing, int64 [m, 2], smaller first, sorted: nearest by cosine, and nearest by dHash."""
    hashes = hashes.astype(np.uint64)
    if len(vectors) <= EXACT_UP_TO:
        nearest = [
            _nearest(len(vectors), count, lambda block: vectors[block] @ vectors.T),
            _nearest(len(hashes), count, lambda block: 64 - np.bitwise_count(hashes[block, None] ^ hashes)),
        ]
    else:
        bits = np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), 8)
        nearest = [_nearly_nearest(vectors, count, "cos", "f32"), _nearly_nearest(bits, count, "hamming", "b1")]
    pairs = np.concatenate(nearest)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0).reshape(-1, 2)


def _nearest(n: int, count: int, similarity: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Pairs of each row and its nearest ones, int64 [m, 2], itself among them: the first ones where several tie.

    `similarity` gives that of a block of rows to all n.
    """
    wanted, pairs = min(count + 1, n), []
    for start in range(0, n, BLOCK):
        found = similarity(slice(start, start + BLOCK))
        least = np.partition(found, n - wanted, axis=1)[:, n - wanted, None]
        surely, tied = found > least, found == least
        tied &= tied.cumsum(axis=1, dtype=np.int32) <= wanted - surely.sum(axis=1, keepdims=True)
        rows, others = np.nonzero(surely | tied)
        pairs.append(np.stack([rows + start, others], axis=1))
    return np.concatenate(pairs)


def _nearly_nearest(vectors: np.ndarray, count: int, metric: str, kind: str) -> np.ndarray:
    """The same by an index of usearch, which may miss some, in far less than n times n."""
    n, wanted = len(vectors), min(count + 1, len(vectors))
    index = Index(ndim=vectors.shape[1] * (8 if kind == "b1" else 1), metric=metric, dtype=kind)
    index.add(np.arange(n), vectors, threads=1)
    matches: Any = index.search(vectors, wanted)
    keys = np.asarray(matches.keys).reshape(n, -1).astype(np.int64)
    rows, places = np.nonzero(np.arange(keys.shape[1]) < np.asarray(matches.counts).reshape(-1, 1))
    return np.stack([rows, keys[rows, places]], axis=1)


def _same(values: pl.Series) -> list[tuple[int, int]]:
    """An edge from each row to the first row with the same value."""
    first: dict[str, int] = {}
    return [(first.setdefault(value, row), row) for row, value in enumerate(values)]


def _components(n: int, edges: list[tuple[int, int]]) -> np.ndarray:
    if n == 0:
        return np.zeros(0, np.int64)
    ends = np.array(edges, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def duplicate_pairs_page(groups: pl.DataFrame, images_folder: Path, file: Path, *, most: int = 300) -> None:
    """One self-contained HTML page with the groups that were joined by likeness, largest first, for people to see."""
    sizes = groups.with_columns(n=pl.len().over("group_id"))
    joined = (
        sizes.filter((pl.col("reason") == "near_duplicate").any().over("group_id"))
        .sort(["n", "group_id", "record_id", "view"], descending=[True, False, False, False])
        .partition_by("group_id", maintain_order=True)
    )
    shown = joined[:most]
    wanted = {(row[0], row[1]) for group in shown for row in group.select("record_id", "view").iter_rows()}
    pictures = dict(_pictures(images_folder, ("record_id", "view"), wanted))
    sections = "\n".join(_section(group, pictures) for group in shown)
    counts = groups.group_by("reason").agg(n=pl.len()).sort("reason").rows()
    summary = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in counts)
    told = "all are shown" if len(shown) == len(joined) else f"{len(shown):,} are shown"
    text = PAGE.format(groups=len(joined), shown=told, images=len(groups), summary=summary, sections=sections)
    with whole_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _pictures(
    images_folder: Path, key: tuple[str, ...], wanted: set[tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """The bytes of the rows of an `images` table whose key is wanted."""
    for shard in sorted(images_folder.rglob("part-*.parquet")):
        for batch in pq.ParquetFile(shard).iter_batches(100, columns=[*key, "image"]):
            for row, found in enumerate(zip(*(batch[name].to_pylist() for name in key), strict=True)):
                if found in wanted:
                    yield found, batch["image"][row]["bytes"].as_py()


def _section(group: pl.DataFrame, pictures: dict[tuple[str, int], bytes]) -> str:
    figures = []
    for record_id, view, reason in group.select("record_id", "view", "reason").iter_rows():
        data = base64.b64encode(pictures[(record_id, view)]).decode()
        name = html.escape(f"{record_id}#{view}")
        figures.append(
            f'<figure><img alt="{name}" src="data:image/jpeg;base64,{data}">'
            f"<figcaption>{name}<br>{reason.replace('_', ' ')}</figcaption></figure>"
        )
    return f"<section><h2>{html.escape(group['group_id'][0])} · {len(group)} images</h2>{''.join(figures)}</section>"


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Near-duplicates</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }}
section {{ border-top: 1px solid #ccc; padding: .5rem 0 1rem; }}
h2 {{ font-size: 1rem; margin: .3rem 0; }}
figure {{ display: inline-block; vertical-align: top; margin: 0 1rem .5rem 0; max-width: 220px; }}
img {{ max-width: 220px; max-height: 200px; display: block; }}
figcaption {{ font-size: .75rem; overflow-wrap: anywhere; color: #444; }}
</style>
</head>
<body>
<h1>Near-duplicates</h1>
<p>{groups:,} groups among {images:,} images were joined because embedding, perceptual hash and pixels agree;
{shown}, largest first. A group never crosses splits. Images by reason: {summary}.</p>
{sections}
</body>
</html>
"""
