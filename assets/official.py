"""The source beside the harvest, EUFCC_PROFILE=official: records, tags and splits of the published CSV files."""

from pathlib import Path

import polars as pl

from assets.curation import cataloguer_decisions, corrections, rejected_tags, statistics
from assets.engine.asset_factory import stage_asset
from assets.engine.console import remark
from assets.engine.plan import AssetPlan, Tables, TableWithMetadata
from assets.splits import INNER, OUTER, dataset, informativeness
from pipeline.markdown import markdown
from pipeline.published.dataset import read_folder
from pipeline.published.official import official_splits, usable_tags
from pipeline.published.tables import PublishedTables, as_tables
from pipeline.settings import Settings
from pipeline.tables import IMAGES, SELECTED_RECORDS, TOMBSTONES

# The steps of the other source that are the same here. Their imports make them steps of this one: `assets.steps` takes
# every step that has a name in this module. Nothing reads SHARED; without it the imports would look unused.
SHARED = (cataloguer_decisions, corrections, rejected_tags, statistics, dataset, informativeness)
FILES = ("published",)  # the setting whose folder holds the CSV files; its bytes count


@stage_asset(AssetPlan("harvest", writes=("records", "tombstones"), settings=FILES), kinds={"csv", "parquet"})
def published_records(settings: Settings) -> Tables:
    """The records of the published rows. The files tell neither rights nor concepts, and nothing is withdrawn."""
    found, remarks = _read(settings)
    remark(*remarks)
    return {
        "records": TableWithMetadata(found.records, {"amiss": markdown(pl.DataFrame({"remark": remarks}))}),
        "tombstones": TOMBSTONES.empty(),
    }


@stage_asset(AssetPlan("curation"))
def selected_records(records: pl.DataFrame) -> pl.DataFrame:
    """Every record of the published files: they are a selection already."""
    return records.select(SELECTED_RECORDS.schema.names)


@stage_asset(AssetPlan("curation", writes=("tags", "record_tags"), settings=FILES), kinds={"csv", "parquet"})
def published_tags(images: Path, settings: Settings) -> Tables:
    """The published tags by their paths, of the records whose picture could be had."""
    tags, record_tags = usable_tags(_read(settings)[0], IMAGES.read(images, ["record_id", "image_id"]))
    return {"tags": tags, "record_tags": record_tags}


@stage_asset(AssetPlan("splits", settings=(*FILES, *OUTER)), kinds={"numpy", "parquet"})
def provider_distances(
    features: Path, images: Path, records: pl.DataFrame, record_tags: pl.DataFrame, settings: Settings
) -> pl.DataFrame:
    """The complete ranking. The providers of the published outer test are chosen, and no others."""
    from pipeline.splits.outer import chosen_before
    from pipeline.splits.outer import provider_distances as distances_of_providers

    known = IMAGES.read(images, ["record_id", "view", "image_id"])
    official = _read(settings)[0].splits
    measured = distances_of_providers(features, known, records, record_tags, settings.splits, official)
    is_outer = pl.col("data_provider").is_in(chosen_before(official))
    return measured.with_columns(chosen=pl.when(is_outer).then("chosen"))


@stage_asset(AssetPlan("splits", writes=("splits", "split_tags"), settings=(*FILES, *INNER)), kinds={"csv", "parquet"})
def published_splits(groups: pl.DataFrame, record_tags: pl.DataFrame, tags: pl.DataFrame, settings: Settings) -> Tables:
    """The published splits as they are, of the pictures that could be had; near-duplicates may be in two of them."""
    official = _read(settings)[0].splits
    splits, split_tags = official_splits(official, groups, record_tags, tags, settings.splits)
    rows, had = official.group_by("split").agg(published=pl.len()), splits.group_by("split").agg(had=pl.len())
    counts = rows.join(had, on="split", how="left").fill_null(0).sort("split")
    of_splits = (f"{split} {had:,} of {published:,}" for split, published, had in counts.iter_rows())
    remark(f"Pictures that could be had: {', '.join(of_splits)}.")
    return {"splits": TableWithMetadata(splits, {"images_had": markdown(counts)}), "split_tags": split_tags}


@stage_asset(
    AssetPlan(
        "splits", writes=("splits_mended", "split_tags_mended", "leaks", "split_sizes"), settings=(*FILES, *INNER)
    ),
    kinds={"numba", "parquet"},
)
def mended_splits(
    splits: pl.DataFrame, groups: pl.DataFrame, record_tags: pl.DataFrame, tags: pl.DataFrame, settings: Settings
) -> Tables:
    """The published splits without leaks: no group of near-duplicates in two of them, and the same sizes."""
    from pipeline.published.mended import mend_splits, split_sizes

    mended = mend_splits(splits, groups, record_tags, tags, settings.splits)
    sizes = split_sizes(_read(settings)[0].splits, splits, mended.splits)
    n_groups, moved = mended.leaks["group_id"].n_unique(), int(sizes["moved_out"].sum())
    remark(f"Groups in several published splits: {n_groups:,}, with {mended.leaks.height:,} images; {moved:,} moved.")
    return {
        "splits_mended": TableWithMetadata(mended.splits, {"moved": moved}),
        "split_tags_mended": mended.split_tags,
        "leaks": TableWithMetadata(mended.leaks, {"groups": n_groups}),
        "split_sizes": TableWithMetadata(sizes, {"sizes": markdown(sizes)}),
    }


def _read(settings: Settings) -> tuple[PublishedTables, list[str]]:
    """The tables of the files, and what is amiss with them."""
    published, remarks = read_folder(settings.published)
    return as_tables(published), remarks
