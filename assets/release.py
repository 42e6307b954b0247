"""Stage release: the dataset for publication."""

from pathlib import Path

import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan, Metadata
from assets.engine.project import Project
from pipeline.release.pack import ReleaseTables, write_release


@stage_asset(
    AssetPlan("release", code=("pipeline/release",), settings=("release", "curation", "vocabulary")),
    kinds={"huggingface", "parquet"},
)
def release(
    dataset: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    split_tags: pl.DataFrame,
    tombstones: pl.DataFrame,
    project: Project,
    storage: Path,
) -> Metadata:
    """A folder ready for the Hugging Face hub: Parquet per split, card, Croissant, provenance, SKOS, checksums.

    It contains only records with rights in the allow-list, and none that was withdrawn.
    """
    tables = ReleaseTables(records, record_tags, tags, split_tags, tombstones)
    write_release(dataset, tables, storage / "release", project.settings)
    return {"release": {"card": (storage / "release" / "README.md").read_text(encoding="utf-8")}}
