"""The images of every provider, the diversity of their tags, and their feature vectors as one matrix."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from pipeline.facets import ALL_FACETS
from pipeline.splits.frechet import DistanceError
from pipeline.splits.order import seeded_order

DIVERSITY_FACET = ALL_FACETS[0]  # its stated tags measure how diverse a provider's images are


def provider_images(images: pl.DataFrame, records: pl.DataFrame, record_tags: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One row per provider and distinct image with tags: data_provider, order, image_id, record_id, sorted by these.

    An image in several records of a provider counts once, for the record with the smallest id.
    """
    tagged = record_tags.select("record_id").unique()
    rows = (
        images.select("record_id", "view", "image_id")
        .join(tagged, on="record_id", how="semi")
        .join(records.select("record_id", "data_provider"), on="record_id", how="left")
        .sort("data_provider", "image_id", "record_id", "view")
        .unique(["data_provider", "image_id"], keep="first", maintain_order=True)
    )
    nameless = rows.filter(pl.col("data_provider").is_null())
    if not nameless.is_empty():
        raise DistanceError(f"Record {nameless['record_id'][0]} has no data provider; curate the records again.")
    order = pl.Series("order", seeded_order(seed, rows["image_id"]))
    columns = ["data_provider", "order", "image_id", "record_id"]
    return rows.with_columns(order).select(columns).sort(columns)


def provider_sizes(rows: pl.DataFrame, record_tags: pl.DataFrame) -> pl.DataFrame:
    """One row per provider, by name: n, share of all images, and entropy of its images' tag sets in bits.

    A tag set holds the stated tags of DIVERSITY_FACET of the image's record; images without any share the empty set.
    """
    sets = (
        record_tags.filter((pl.col("facet") == DIVERSITY_FACET.key) & pl.col("stated"))
        .sort("record_id", "tag_id")
        .group_by("record_id", maintain_order=True)
        .agg(tag_set=pl.col("tag_id").str.join(" "))
    )
    counts = (
        rows.join(sets, on="record_id", how="left")
        .with_columns(pl.col("tag_set").fill_null(""))
        .group_by("data_provider", "tag_set")
        .agg(count=pl.len().cast(pl.Float64))
        .sort("data_provider", "count", "tag_set")
    )
    probability = pl.col("count") / pl.col("count").sum()
    return (
        counts.group_by("data_provider", maintain_order=True)
        .agg(n=pl.col("count").sum().cast(pl.Int64), entropy=(probability * (1.0 / probability).log(2)).sum())
        .with_columns(share=pl.col("n") / rows.height)
        .sort("data_provider")
    )


def extractors_of(features: Path | pl.DataFrame) -> list[str]:
    """The names of the extractors that have features, sorted."""
    if isinstance(features, pl.DataFrame):
        return sorted(features["extractor"].unique().to_list())
    names = (
        pq.read_table(shard, columns=["extractor"])["extractor"].unique().to_pylist() for shard in _shards(features)
    )
    return sorted({name for shard in names for name in shard})


def chosen_extractor(names: Sequence[str], wanted: str | None) -> str:
    """Of the extractors that have features, as `extractors_of` lists them, the wanted one, else the first by name."""
    return next((name for name in names if name == wanted), names[0])


def feature_matrix(features: Path | pl.DataFrame, extractor: str, image_ids: pl.Series) -> np.ndarray:
    """The vectors of the images, in the given order: float16 [n, d], 1.4 GB for 346,324 images of 2048 dimensions.

    Shards are read one by one. Raises DistanceError if an image has no vector.
    """
    wanted = pl.DataFrame({"image_id": image_ids}).with_row_index("row")
    matrix, filled = None, np.zeros(len(image_ids), dtype=bool)
    for block in _blocks(features):
        of_extractor = block.filter(extractor=extractor)
        if of_extractor.is_empty():
            continue
        if matrix is None:
            matrix = np.zeros((len(image_ids), len(of_extractor["vector"][0])), dtype=np.float16)
        known = wanted.join(of_extractor, on="image_id")
        rows = known["row"].to_numpy()
        matrix[rows] = known["vector"].explode().to_numpy().reshape(len(rows), matrix.shape[1])
        filled[rows] = True
    if matrix is None or not filled.all():
        missing = image_ids.filter(pl.Series(~filled))
        raise DistanceError(
            f"{len(missing)} images have no {extractor} features, for example {missing[0]}; extract the features first."
        )
    return matrix


def _blocks(features: Path | pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows of the `features` table, a block at a time."""
    if isinstance(features, pl.DataFrame):
        yield features
        return
    for shard in _shards(features):
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=8_192, columns=["image_id", "extractor", "vector"]):
                yield pl.DataFrame(batch)


def _shards(folder: Path) -> list[Path]:
    shards = [folder] if folder.is_file() else sorted(folder.rglob("part-*.parquet"))
    if not shards:
        raise DistanceError(f"{folder} holds no features; extract them first.")
    return shards
