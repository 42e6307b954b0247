"""Stage splits: what every set of splits was made from, and making a set again in a storage of its own."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import ValidationError

from assets import curation, harvest
from assets.engine.asset_factory import stage_asset
from assets.engine.console import QUIET
from assets.engine.plan import AssetPlan, Metadata
from assets.engine.project import Project
from assets.engine.retention import AS_OF
from assets.splits import PREVIOUS, benchmark_splits
from pipeline.files import sha256_of
from pipeline.history import SHORT, HistoryError, SplitSet, add, find, page_files, restore, split_sets
from pipeline.images.slices import slice_names
from pipeline.images.takedowns import taken_down
from pipeline.images.wanted import wanted_images
from pipeline.parquet import ROWS_PER_GROUP, write_parquet
from pipeline.settings import Settings
from pipeline.tables import IMAGES, SELECTED_RECORDS, SPLIT_TABLE

SECTIONS = ("harvest", "vocabulary", "curation", "splits")  # of the settings, which the splits depend on
TABLES = ("tombstones", "concept_alignments", "concepts", "cataloguer_decisions", "groups", "provider_distances")
KNOWN = ("record_id", "view", "image_id", "source_url")  # all that splits need of the images
STEPS = (harvest.records, curation.corrections, curation.selection, curation.usable, benchmark_splits)
# Where the files that the settings name lie in the storage of an earlier day, by section and setting.
NAMED = {("curation", "corrections_file"): "given/corrections.csv", ("vocabulary", "rules_file"): "given/rules.toml"}
IMAGES_FILE = f"images/{slice_names(1)[0]}/images.parquet"
PREVIOUS_FILE = "given/previous_splits.parquet"


@dataclass(frozen=True)
class MadeAgain:
    """A set of splits that was made again: where it lies, and how it compares with the one of that day."""

    of: SplitSet
    storage: Path
    result: dg.ExecuteInProcessResult
    sha256: str = ""  # of the splits as they were made again, before take-downs
    left_out: int = 0  # images that the take-down list of today names

    @property
    def is_same(self) -> bool:
        """Whether every byte is that of the day."""
        return self.sha256 == self.of.splits


@stage_asset(AssetPlan("splits", settings=SECTIONS), kinds={"parquet", "json"})
def history(
    pages: Path,
    tombstones: Path,
    concept_alignments: Path,
    concepts: Path,
    cataloguer_decisions: Path,
    images: Path,
    groups: Path,
    provider_distances: Path,
    splits: Path,
    project: Project,
    storage: Path,
) -> Metadata:
    """Pages and tables behind every set of splits, without pictures: `eufcc run splits --as-of` makes a set again.

    A file that several sets need is stored once. `eufcc tidy` deletes the sets beyond the number in the settings.
    """
    files, harvested = page_files(pages, project.settings.harvest.collections)
    tables = (tombstones, concept_alignments, concepts, cataloguer_decisions, groups, provider_distances)
    files |= {table.name: table for table in tables} | _named_files(project.settings)
    made = project.made("splits")
    assert made is not None  # it is upstream
    described = SplitSet(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        splits=made.sha256,
        seed=made.metadata.get("seed", project.settings.splits.seed),
        images=SPLIT_TABLE.read(splits, ["record_id"]).height,
        harvested=harvested,
        settings=project.settings.model_dump(mode="json", include=set(SECTIONS)),
        files={PREVIOUS_FILE: made.metadata["previous"]} if "previous" in made.metadata else {},
    )
    previous = storage / "cache" / PREVIOUS
    if previous.exists() and sha256_of(previous) == described.files.get(PREVIOUS_FILE):
        files[PREVIOUS_FILE] = previous
    with tempfile.TemporaryDirectory(dir=storage / "cache") as place:
        files[IMAGES_FILE] = Path(place) / "images.parquet"
        known = IMAGES.read(images, KNOWN).sort("record_id", "view")
        write_parquet(known.to_arrow(), files[IMAGES_FILE], row_group_size=ROWS_PER_GROUP)
        stored = add(storage / "history", described, files, splits)
    return {"history": {"sets": len(split_sets(storage / "history")), "latest": stored.splits}}


def make_again(project: Project, asked: str) -> MadeAgain:
    """Make the splits of a day, or with that hash, from what the history kept, without network and pictures.

    They are made in `as_of/` below the storage and recorded nowhere else: today's tables and Dagster's page stay as
    they are. Images that today's take-down list names are left out afterwards. Raises HistoryError.
    """
    if project.made("history") is None:
        raise HistoryError(f"There is no history in {project.storage}: `eufcc run splits` begins it.")
    folder = project.here("history")
    one = find(folder, asked)
    storage = project.storage / AS_OF / one.name
    shutil.rmtree(storage, ignore_errors=True)
    restore(folder, one, storage)
    then = Project(_settings_of(one, project.settings, storage), storage)
    for name in ("pages", *TABLES, *then.parts_of("images")):
        then.remember(name, f"as of {one.made_at}", {})
    with dg.DagsterInstance.ephemeral() as instance:
        given: dict[str, Any] = {"resources": {"project": then}, "run_config": QUIET, "raise_on_error": False}
        result = dg.materialize(STEPS, instance=instance, **given)
    if not result.success:
        return MadeAgain(one, storage, result)
    sha256 = sha256_of(then.path("splits"))
    return MadeAgain(one, storage, result, sha256, _leave_out(then, project.settings.images.takedown_file))


def _leave_out(then: Project, takedown_file: Path | None) -> int:
    """Take the images that the list names out of the splits; the others keep theirs. Returns how many."""
    listed = list(taken_down(takedown_file))
    selected = SELECTED_RECORDS.read(then.path("selected_records"))
    wanted = wanted_images(selected, then.settings.harvest.image_source)
    named = pl.any_horizontal(
        pl.col(name).is_in(listed).fill_null(False) for name in ("record_id", "url", "fallback_url")
    )
    splits, made = SPLIT_TABLE.read(then.path("splits")), then.made("splits")
    stays = splits.join(wanted.filter(named), on=["record_id", "view"], how="anti", maintain_order="left")
    left_out = splits.height - stays.height
    if left_out and made is not None:
        then.forget("splits")
        SPLIT_TABLE.write(stays, then.path("splits"))
        then.remember_changed("splits", made, {**made.metadata, "rows": stays.height, "taken_down": left_out})
    return left_out


def _named_files(settings: Settings) -> dict[str, Path]:
    """The files that the settings name, by their place in the storage of an earlier day."""
    named = {place: getattr(getattr(settings, section), name) for (section, name), place in NAMED.items()}
    return {place: file for place, file in named.items() if file is not None}


def _settings_of(one: SplitSet, settings: Settings, storage: Path) -> Settings:
    """Today's settings with the sections and the named files of that day. Raises HistoryError."""
    values = settings.model_dump() | one.settings
    for (section, name), place in (*NAMED.items(), (("splits", "previous"), PREVIOUS_FILE)):
        values[section][name] = storage / place if place in one.files else None
    values["vocabulary"] |= {"dumps": (), "label_files": ()}  # read before the tables that are kept
    values["images"] |= {"slices": 1, "takedown_file": None}  # today's list is applied to the result
    values["splits"]["seed"] = one.seed
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise HistoryError(
            f"The splits {one.splits[:SHORT]} cannot be made again: their setting {name} is not one of this version"
            f" ({first['msg']}). Use the version of {one.made_at[:10]}."
        ) from None
