"""Stage splits: outer test providers by distance, a balanced inner test, and the files that models read."""

import shutil
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from assets.engine.asset_factory import stage_asset
from assets.engine.console import bar
from assets.engine.plan import AssetPlan, Tables, TableWithMetadata
from assets.engine.project import Project
from pipeline.files import sha256_of, whole_file
from pipeline.markdown import markdown
from pipeline.release.folder import write_dataset
from pipeline.settings import Settings
from pipeline.tables import IMAGES, SPLIT_TABLE

# The settings that decide the outer test, and those that decide the others.
OUTER = (
    "splits.seed", "splits.previous", "splits.reselect", "splits.outer_providers", "splits.second_rule",
    "splits.outer_min_share", "splits.outer_max_share", "splits.outer_min_entropy_bits", "splits.outer_extractor",
    "splits.kid_subset", "splits.bootstrap",
)  # fmt: skip
INNER = (
    "splits.seed", "splits.previous", "splits.test_share", "splits.validation_share", "splits.max_tag_share",
    "splits.min_test_images", "splits.objective", "splits.size",
)  # fmt: skip
PREVIOUS = "previous_splits.parquet"  # in the cache: the earlier splits whose images keep theirs
MOVED_SHOWN = 100  # images with another split than before that the metadata lists


class SplitConfig(dg.Config):
    """Options of one set of splits, for the Launchpad."""

    seed: int | None = Field(
        None, ge=0, le=2**31 - 1, description="Seed of the splits, from 0; by default the one in the settings."
    )
    keep: bool = Field(
        False, description="Keep the split of every image in the stored release; assign only new images."
    )


@stage_asset(AssetPlan("splits", settings=OUTER), kinds={"numpy", "parquet"})
def provider_distances(
    features: Path,
    images: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    project: Project,
    settings: Settings,
) -> pl.DataFrame:
    """The complete ranking, with the reason why a provider is in the outer test or not.

    The providers of the last release are kept, unless `reselect` is set in the settings.
    """
    from pipeline.splits.outer import provider_distances as distances_of_providers

    known = IMAGES.read(images, ["record_id", "view", "image_id"])
    previous = _previous_splits(project)
    with bar("distances", "providers") as progress:
        return distances_of_providers(features, known, records, record_tags, settings.splits, previous, progress)


@stage_asset(AssetPlan("splits", writes=("splits", "split_tags"), settings=INNER), kinds={"numba", "parquet"})
def benchmark_splits(
    images: Path,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    provider_distances: pl.DataFrame,
    project: Project,
    settings: Settings,
    config: SplitConfig,
) -> Tables:
    """Equal tables, seed and settings give equal bytes on any machine. Groups of near-duplicates are never divided."""
    from pipeline.splits.inner import make_splits

    known = IMAGES.read(images, ["record_id", "view", "image_id"])
    rules = settings.splits
    if config.seed is not None:
        rules = rules.model_copy(update={"seed": config.seed})
    file = _previous_file(project, of_release=config.keep)
    previous = SPLIT_TABLE.read(file) if file else None
    made = make_splits(known, groups, records, record_tags, tags, provider_distances, rules, previous)
    told: dict[str, object] = {"moved": made.moved.height, "seed": rules.seed}
    if file is not None:  # a release that follows replaces it: `history` takes it from here
        with whole_file(project.storage / "cache" / PREVIOUS) as copy:
            shutil.copyfile(file, copy)
        told["previous"] = sha256_of(project.storage / "cache" / PREVIOUS)
    if not made.moved.is_empty():
        told["moved_images"] = markdown(made.moved, most=MOVED_SHOWN)
    return {"splits": TableWithMetadata(made.splits, told), "split_tags": made.split_tags}


@stage_asset(AssetPlan("splits"), kinds={"parquet"})
def dataset(
    images: Path,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    splits: pl.DataFrame,
    split_tags: pl.DataFrame,
    rejected_tags: pl.DataFrame,
    storage: Path,
) -> None:
    """The splits that models read: folders of Parquet shards with images and tags, and the tag list."""
    folder = storage / "dataset"
    write_dataset(images, records, record_tags, tags, splits, split_tags, folder, rejected_tags=rejected_tags)


@stage_asset(
    AssetPlan("splits", settings=("evaluation", "splits.outer_extractor"), of_images=False), kinds={"numpy", "parquet"}
)
def informativeness(dataset: Path, features: Path, settings: Settings) -> Tables:
    """What each test can tell, before any row is trained: support, rankings without pictures, and probes."""
    from ml.evaluation.informativeness import informativeness_rows

    rows = informativeness_rows(dataset, features, settings.evaluation, settings.splits.outer_extractor)
    words = {f"{split} {facet}": word for split, facet, word in rows.select("split", "facet", "tells").iter_rows()}
    return {"informativeness": TableWithMetadata(rows, words)}


def _previous_splits(project: Project) -> pl.DataFrame | None:
    """The splits that the settings name, else those of the release in the storage; None without either."""
    file = _previous_file(project, of_release=True)
    return SPLIT_TABLE.read(file) if file else None


def _previous_file(project: Project, *, of_release: bool) -> Path | None:
    file = project.settings.splits.previous
    if file is None and of_release:
        file = project.here("release") / "splits.parquet"
        file = file if file.exists() else None
    return file
