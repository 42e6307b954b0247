"""Stage curation: selects records and tags by named rules, and counts what each rule removes."""

from functools import partial
from pathlib import Path

import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan, Metadata, Tables, TableWithMetadata
from assets.engine.project import Project
from assets.sources import DESK, source
from pipeline.curation.corrections import all_corrections, decisions_as_corrections, read_corrections
from pipeline.curation.corrections import rejected_tags as rejected_tags_of
from pipeline.markdown import markdown
from pipeline.settings import Settings
from pipeline.tables import IMAGES, RECORDS
from pipeline.vocabulary.facets import load_rules, rule_effects

plan = partial(AssetPlan, "curation")
RIGHTS = ("curation.open_rights", "curation.more_open_rights")
MINIMUM = "curation.min_images_per_tag"
RULES = (*RIGHTS, MINIMUM, "curation.excluded_providers", "curation.max_records_per_provider", "vocabulary.rules_file")
SELECTION = ("selected_records", "candidate_record_tags", "selection_report",
             "ignored_corrections", "removed_candidates", "rule_effects")  # fmt: skip
PAGE = "statistics.html"


def state_of_decisions(project: Project) -> str:
    """A version of the decisions in the assistant's database."""
    from ml.assistant.decisions import database_of, state_of

    return state_of(database_of(project.storage))


@stage_asset(plan(outside=state_of_decisions), kinds={"sqlalchemy", "polars"}, deps=[source(DESK)])
def cataloguer_decisions(project: Project) -> pl.DataFrame:
    """The current decisions in the assistant's database; none before its first use.

    The assistant writes to the storage's own SQLite file, or to the database of ASSISTANT_DATABASE.
    """
    from ml.assistant.decisions import database_of, read_decisions

    rule = project.settings.curation.second_opinions
    return read_decisions(database_of(project.storage), second_opinions=rule)


@stage_asset(plan(settings=("curation.corrections_file",)), kinds={"csv", "polars"})
def corrections(cataloguer_decisions: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """From the curators' file and the cataloguers' decisions: accepted tags are added, rejected ones removed."""
    of_file = read_corrections(settings.curation.corrections_file)
    return all_corrections(of_file, decisions_as_corrections(cataloguer_decisions))


@stage_asset(plan(writes=SELECTION, settings=RULES))
def selection(
    records: pl.DataFrame,
    concept_alignments: pl.DataFrame,
    concepts: pl.DataFrame,
    tombstones: pl.DataFrame,
    corrections: pl.DataFrame,
    settings: Settings,
) -> Tables:
    """First pass, on records: open rights, no excluded provider, tags with their ancestors, at least 10 images per tag.

    It avoids downloading images that no tag needs.
    """
    from pipeline.curation.curate import select_records

    rules = load_rules(settings.vocabulary.rules_file)
    chosen = select_records(records, concept_alignments, concepts, tombstones, corrections, rules, settings.curation)
    effects = rule_effects(concepts, rules)
    problems = effects.drop_nulls("problem").select("rule", "problem")
    ignored = chosen.ignored_corrections
    return {
        "selected_records": chosen.selected_records,
        "candidate_record_tags": chosen.record_tags,
        "selection_report": TableWithMetadata(chosen.report, _what_rules_removed(chosen.report)),
        "ignored_corrections": TableWithMetadata(ignored, {"ignored": markdown(ignored)}),
        "removed_candidates": TableWithMetadata(chosen.removed_tags, _most_frequent(chosen.removed_tags)),
        "rule_effects": TableWithMetadata(effects, {"problems": markdown(problems)}),
    }


@stage_asset(plan(writes=("tags", "record_tags", "curation_report", "removed_tags"), settings=(MINIMUM,)))
def usable(candidate_record_tags: pl.DataFrame, images: Path, concepts: pl.DataFrame, settings: Settings) -> Tables:
    """Second pass, on usable images, counting exact duplicates once. Splits, statistics and release use this one."""
    from pipeline.curation.curate import curate_usable

    usable_images = IMAGES.read(images, ["record_id", "image_id"])
    kept = curate_usable(candidate_record_tags, usable_images, concepts, settings.curation)
    return {
        "tags": kept.tags,
        "record_tags": kept.record_tags,
        "curation_report": TableWithMetadata(kept.report, _what_rules_removed(kept.report)),
        "removed_tags": TableWithMetadata(kept.removed_tags, _most_frequent(kept.removed_tags)),
    }


@stage_asset(plan(), kinds={"plotly", "html"})
def statistics(tags: pl.DataFrame, record_tags: pl.DataFrame, images: Path, records: Path, storage: Path) -> Metadata:
    """The paper's figures on one page: providers, tags per image, facets, the frequency curve, a sunburst per facet."""
    from pipeline.curation.statistics import figures
    from pipeline.curation.statistics_page import small_tables, write_page

    of_images = IMAGES.read(images, ["record_id", "view"]).join(record_tags, on="record_id", how="semi")
    of_records = RECORDS.read(records, ["record_id", "data_provider"])
    tables = (tags, record_tags, of_images, of_records)
    words = f"{of_images.height:,} usable images with {tags.height:,} tags."
    write_page(storage / "statistics" / PAGE, figures(*tables), "The dataset in figures", words)
    return {"statistics": {"page": PAGE, "images": of_images.height, **small_tables(*tables)}}


@stage_asset(plan())
def rejected_tags(corrections: pl.DataFrame, tags: pl.DataFrame, record_tags: pl.DataFrame) -> pl.DataFrame:
    """Removed tags with their descendants: training treats them as verified negatives, not as missing tags."""
    return rejected_tags_of(corrections, tags, record_tags)


def _what_rules_removed(report: pl.DataFrame) -> dict[str, str]:
    """The rules that removed something, and how much."""
    fell = {name: pl.col(f"{name}_before") - pl.col(f"{name}_after") for name in ("records", "record_tags")}
    removed = report.select("round", "rule", **fell, reason="reason")
    return {"removed_by": markdown(removed.filter((pl.col("records") != 0) | (pl.col("record_tags") != 0)))}


def _most_frequent(removed: pl.DataFrame) -> dict[str, str]:
    return {"nearest_to_the_minimum": markdown(removed.sort("n_images", "tag_id", descending=[True, False]))}
