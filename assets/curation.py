"""Stage curation: which records and tags stay, by named rules whose effect is counted."""

from pathlib import Path

import polars as pl

from assets.stage import stage_asset
from pipeline.curation.corrections import read_corrections
from pipeline.settings import Settings
from pipeline.tables import IMAGES
from pipeline.vocabulary.facets import load_rules

CODE = ("pipeline/curation", "pipeline/vocabulary")


@stage_asset("curation", code=CODE, settings=("curation",), kinds=frozenset({"csv", "polars"}))
def corrections(settings: Settings) -> pl.DataFrame:
    """From the curators' file, and from the cataloguers' decisions in the assistant."""
    return read_corrections(settings.curation.corrections_file)


@stage_asset(
    "curation",
    writes=("selected_records", "candidate_record_tags", "selection_report"),
    code=CODE,
    settings=("curation", "vocabulary"),
)
def selection(
    records: pl.DataFrame,
    concept_alignments: pl.DataFrame,
    concepts: pl.DataFrame,
    tombstones: pl.DataFrame,
    corrections: pl.DataFrame,
    settings: Settings,
) -> dict[str, pl.DataFrame]:
    """First pass, on records: open rights, no excluded provider, tags closed upwards, at least 10 images a tag.

    It saves fetching images that no tag needs.
    """
    from pipeline.curation.curate import select_records

    rules = load_rules(settings.vocabulary.rules_file)
    chosen = select_records(records, concept_alignments, concepts, tombstones, corrections, rules, settings.curation)
    return {
        "selected_records": chosen.selected_records,
        "candidate_record_tags": chosen.record_tags,
        "selection_report": chosen.report,
    }


@stage_asset("curation", writes=("tags", "record_tags", "curation_report"), code=CODE, settings=("curation",))
def usable(
    candidate_record_tags: pl.DataFrame, images: Path, concepts: pl.DataFrame, settings: Settings
) -> dict[str, pl.DataFrame]:
    """Second pass, on usable images, exact duplicates counted once. Splits, statistics and release read this one."""
    from pipeline.curation.curate import curate_usable

    usable_images = IMAGES.read(images, ["record_id", "image_id"])
    kept = curate_usable(candidate_record_tags, usable_images, concepts, settings.curation)
    return {"tags": kept.tags, "record_tags": kept.record_tags, "curation_report": kept.report}
