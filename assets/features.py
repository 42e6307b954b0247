"""Stage features: what a network sees in an image, and which images show the same thing."""

from pathlib import Path

import polars as pl
from pipeline.images.near_duplicates import group_images

from assets.stage import stage_asset
from pipeline.settings import Settings
from pipeline.tables import IMAGES

FEATURES_CODE = ("ml/features.py", "ml/extractors.py", "ml/weights.py")


@stage_asset(
    "features",
    code=FEATURES_CODE,
    settings=("features",),
    kinds=frozenset({"pytorch", "parquet"}),
    pool="gpu",
)
def features(images: Path, storage: Path, settings: Settings) -> dict[str, dict[str, object]]:
    """One image described by one extractor, float16. Fréchet distances and near-duplicates are measured on these."""
    from ml.features import extract_features

    extract_features(images, storage / "features", settings.features)
    return {"features": {"extractors": ", ".join(settings.features.extractors)}}


@stage_asset("features", code=("pipeline/images/near_duplicates.py",), settings=("images", "features"))
def groups(images: Path, features: Path, settings: Settings) -> pl.DataFrame:
    """Near-duplicates need a perceptual hash and an embedding that agree; the same bytes or record suffice alone."""
    from pipeline.images.near_duplicates import read_vectors

    known = IMAGES.read(images, ["record_id", "view", "image_id", "perceptual_hash"])
    return group_images(known, read_vectors(features, settings.features.extractors[0]), settings.images)
