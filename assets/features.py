"""Stage features: image features of a network, and groups of near-duplicates."""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.console import bar
from assets.engine.plan import AssetPlan, Metadata
from assets.images import SLICES
from assets.partitions import slices_backfill
from pipeline.settings import Settings
from pipeline.tables import IMAGES

SIMILARITY = (
    "images.near_duplicate_candidates",
    "images.near_duplicate_closer_than",
    "images.near_duplicate_likeness",
    "images.near_duplicate_difference",
    "images.near_duplicate_smallest_part",
)


@stage_asset(
    AssetPlan("features", settings=("features",)),
    kinds={"pytorch", "parquet"},
    pool="gpu",
    slices=SLICES,
    backfill_policy=slices_backfill(),
)
def features(images: Path, storage: Path, settings: Settings, slice_name: str) -> Metadata:
    """One image described by one extractor, as float16. Fréchet distances and near-duplicates are computed from these.

    An image that was described before keeps its vector; an image in several slices has the same vector in each.
    """
    from ml.features.extract import extract_features

    target = storage / "features" / slice_name
    with bar(f"features {slice_name}", "images") as progress:
        described = extract_features(images, target, settings.features, progress=progress)
    return {"features": {**described, "extractors": ", ".join(settings.features.extractors)}}


@stage_asset(AssetPlan("features", settings=(*SIMILARITY, "features.extractors")))
def groups(images: Path, features: Path, settings: Settings) -> pl.DataFrame:
    """Near-duplicates agree in hash, embedding and pixels; images with the same bytes or record need no more."""
    from pipeline.images.duplicates.near_duplicates import group_images, stored_pictures, vectors_of

    known = IMAGES.read(images, ["record_id", "view", "image_id", "perceptual_hash", "miniature"])
    vectors = vectors_of(features, settings.features.extractors[0])
    with bar("groups", "blocks") as progress:
        return group_images(known, vectors, stored_pictures(images), settings.images, progress)


@stage_asset(
    AssetPlan("features"),
    kinds={"html"},
    automation_condition=dg.AutomationCondition.eager(),  # cheap: drawn from stored tables
)
def near_duplicates_page(groups: pl.DataFrame, images: Path, storage: Path) -> Metadata:
    """A page for people with the groups that were joined by similarity, largest first."""
    from pipeline.images.duplicates.page import duplicate_pairs_page

    duplicate_pairs_page(groups, images, storage / "near_duplicates_page" / "near_duplicates.html")
    return {"near_duplicates_page": {"groups": groups["group_id"].n_unique()}}
