"""Stage release: the dataset for publication."""

from pathlib import Path

import polars as pl

from assets.curation import RIGHTS
from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan, Metadata
from assets.freshness import WEEKLY
from pipeline.release.pack import ReleaseTables, write_release
from pipeline.settings import Settings

STATED = (
    "release",
    "suites.suites",
    "suites.seed",
    *RIGHTS,
    "vocabulary.languages",
    "http.user_agent",
    "profile",
    "source",
    "published",
)


@stage_asset(
    AssetPlan("release", settings=STATED),
    kinds={"huggingface", "parquet"},
    freshness_policy=WEEKLY,  # the candidate that a refresh makes
)
def release(
    dataset: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    split_tags: pl.DataFrame,
    tombstones: pl.DataFrame,
    informativeness: pl.DataFrame,
    settings: Settings,
    storage: Path,
) -> Metadata:
    """A folder ready for the Hugging Face hub: Parquet per split, card, Croissant, provenance, SKOS, checksums.

    It contains only records with rights in the allow-list, and none that was withdrawn.
    """
    tables = ReleaseTables(records, record_tags, tags, split_tags, tombstones, informativeness)
    write_release(dataset, tables, storage / "release", settings)
    return {"release": {"card": (storage / "release" / "README.md").read_text(encoding="utf-8")}}
