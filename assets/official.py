"""The source beside the harvest, EUFCC_PROFILE=official: records, tags and splits of the published CSV files."""

from pathlib import Path

import polars as pl

from assets.curation import cataloguer_decisions, corrections, rejected_tags, statistics
from assets.engine.asset_factory import stage_asset
from assets.engine.console import remark
from assets.engine.plan import AssetPlan, Metadata, Tables, TableWithMetadata
from assets.evaluation import PREDICTIONS
from assets.release import STATED
from assets.sources import PUBLISHED, source
from assets.splits import INNER, OUTER, dataset, informativeness
from assets.training import MENDED, MENDED_ROWS, ROWS
from pipeline.markdown import markdown
from pipeline.published.alignment import with_labels
from pipeline.published.dataset import read_folder
from pipeline.published.format import Published
from pipeline.published.official import official_splits, usable_tags
from pipeline.published.tables import PublishedTables, as_tables, as_written
from pipeline.release.folder import write_dataset
from pipeline.settings import Settings
from pipeline.tables import IMAGES, SELECTED_RECORDS, TOMBSTONES

# The steps of the other source that are the same here. Their imports make them steps of this one: `assets.steps` takes
# every step that has a name in this module. Nothing reads SHARED; without it the imports would look unused.
SHARED = (cataloguer_decisions, corrections, rejected_tags, statistics, dataset, informativeness)
MENDED_PREDICTIONS = tuple(f"{MENDED}predictions/{row.key}" for row in MENDED_ROWS)
FILES = ("published",)  # the setting whose folder holds the CSV files; its bytes count


@stage_asset(
    AssetPlan("harvest", writes=("records", "tombstones", "published_rows"), settings=FILES),
    kinds={"csv", "parquet"},
    deps=[source(PUBLISHED)],
)
def published_records(settings: Settings) -> Tables:
    """The records of the published rows. The files tell neither rights nor concepts, and nothing is withdrawn."""
    published, remarks = _files(settings)
    found = as_tables(published)
    remark(*remarks)
    return {
        "records": TableWithMetadata(found.records, {"amiss": markdown(pl.DataFrame({"remark": remarks}))}),
        "tombstones": TOMBSTONES.empty(),
        "published_rows": as_written(published),
    }


@stage_asset(AssetPlan("curation"))
def selected_records(records: pl.DataFrame) -> pl.DataFrame:
    """Every record of the published files: they are a selection already."""
    return records.select(SELECTED_RECORDS.schema.names)


@stage_asset(AssetPlan("curation", writes=("tags", "record_tags"), settings=FILES), kinds={"csv", "parquet"})
def published_tags(images: Path, published_alignment: pl.DataFrame, settings: Settings) -> Tables:
    """The published tags by their paths, of the records whose picture could be had.

    Beside the published label they have those of the AAT id that they are aligned with.
    """
    tags, record_tags = usable_tags(_read(settings), IMAGES.read(images, ["record_id", "image_id"]))
    return {"tags": with_labels(tags, published_alignment), "record_tags": record_tags}


@stage_asset(AssetPlan("splits", settings=(*FILES, *OUTER)), kinds={"numpy", "parquet"})
def provider_distances(
    features: Path, images: Path, records: pl.DataFrame, record_tags: pl.DataFrame, settings: Settings
) -> pl.DataFrame:
    """The complete ranking. The providers of the published outer test are chosen, and no others."""
    from pipeline.splits.outer import chosen_before
    from pipeline.splits.outer import provider_distances as distances_of_providers

    known = IMAGES.read(images, ["record_id", "view", "image_id"])
    official = _read(settings).splits
    measured = distances_of_providers(features, known, records, record_tags, settings.splits, official)
    is_outer = pl.col("data_provider").is_in(chosen_before(official))
    return measured.with_columns(chosen=pl.when(is_outer).then("chosen"))


@stage_asset(AssetPlan("splits", writes=("splits", "split_tags"), settings=(*FILES, *INNER)), kinds={"csv", "parquet"})
def published_splits(groups: pl.DataFrame, record_tags: pl.DataFrame, tags: pl.DataFrame, settings: Settings) -> Tables:
    """The published splits as they are, of the pictures that could be had; near-duplicates may be in two of them."""
    official = _read(settings).splits
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
    sizes = split_sizes(_read(settings).splits, splits, mended.splits)
    n_groups, moved = mended.leaks["group_id"].n_unique(), int(sizes["moved_out"].sum())
    remark(f"Groups in several published splits: {n_groups:,}, with {mended.leaks.height:,} images; {moved:,} moved.")
    return {
        "splits_mended": TableWithMetadata(mended.splits, {"moved": moved}),
        "split_tags_mended": mended.split_tags,
        "leaks": TableWithMetadata(mended.leaks, {"groups": n_groups}),
        "split_sizes": TableWithMetadata(sizes, {"sizes": markdown(sizes)}),
    }


@stage_asset(AssetPlan("splits", writes=("mended/dataset",)), kinds={"parquet"})
def mended_dataset(
    images: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    splits_mended: pl.DataFrame,
    split_tags_mended: pl.DataFrame,
    rejected_tags: pl.DataFrame,
    storage: Path,
) -> None:
    """The mended splits that models read, as `dataset` has the published ones."""
    made_from = (images, records, record_tags, tags, splits_mended, split_tags_mended)
    write_dataset(*made_from, storage / "mended" / "dataset", rejected_tags=rejected_tags)


@stage_asset(
    AssetPlan(
        "evaluation", settings=("evaluation",), after=("dataset", *PREDICTIONS, *MENDED_PREDICTIONS), of_images=False
    ),
    kinds={"numba", "parquet"},
)
def paper_figures(storage: Path, settings: Settings) -> pl.DataFrame:
    """Tables 1 to 3 of the paper: its figures for our rows, without the leaked images, and on the mended splits."""
    from ml.evaluation.paper_figures import paper_figures as figures

    keys, mended_keys = ([row.key for row in rows] for rows in (ROWS, MENDED_ROWS))
    return figures(storage, settings.evaluation, keys, mended_keys)


@stage_asset(AssetPlan("release", settings=(*STATED, *INNER)), kinds={"huggingface", "parquet"})
def release(
    images: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    splits_mended: pl.DataFrame,
    published_rows: pl.DataFrame,
    relinks: pl.DataFrame,
    settings: Settings,
    storage: Path,
) -> Metadata:
    """The mended splits as a folder for the Hugging Face hub, of those rows whose rights are known to be open."""
    from pipeline.published.released import release_published
    from pipeline.published.relinks import may_be_passed_on

    tables = PublishedTables(records, tags, record_tags, splits_mended)
    known = relinks.filter(pl.col("all_rights").list.len() > 0)
    open_ = may_be_passed_on(known, (*settings.curation.open_rights, *settings.curation.more_open_rights))
    facts = release_published(images, tables, published_rows, known, open_, storage / "release", settings)
    remark(f"Released: {facts.n_images:,} images; {facts.n_left_out:,} left out, see the release's README.md.")
    return {"release": {"card": (storage / "release" / "README.md").read_text(encoding="utf-8")}}


def _read(settings: Settings) -> PublishedTables:
    """The tables of the files."""
    return as_tables(_files(settings)[0])


def _files(settings: Settings) -> tuple[Published, list[str]]:
    """The rows of the files, and what is amiss with them."""
    return read_folder(settings.published)
