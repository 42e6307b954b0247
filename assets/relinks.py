"""Europeana's records of the published rows, by the addresses of their pictures: EUFCC_PROFILE=official."""

from pathlib import Path

import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.console import bar, patience, remark
from assets.engine.plan import AssetPlan, Tables, TableWithMetadata
from assets.engine.project import Project
from assets.harvest import NETWORK_RETRY, europeana, source_version
from assets.sources import EUROPEANA, GETTY, PUBLISHED, source
from assets.vocabulary import ALIGNED, aligned
from pipeline.http import HttpClient
from pipeline.markdown import markdown
from pipeline.published.alignment import (
    Evidence,
    align_published,
    candidates_of,
    catalan_labels,
    coverage_of,
    ids_of_names,
    linked_concepts,
)
from pipeline.published.dataset import read_folder
from pipeline.published.lookup import Lookup
from pipeline.published.relinks import addresses_of, counts_of, lost_pictures, relinks_of
from pipeline.published.tables import as_tables, with_views
from pipeline.published.trees import read_candidates
from pipeline.tables import FETCHES
from pipeline.vocabulary.facets import load_rules
from pipeline.vocabulary.labels import add_labels, read_label_files
from pipeline.vocabulary.source import all_or_these, concept_source


def _asked_of(project: Project) -> str:
    """Which server is asked: without a key none, and the stored answers count."""
    with europeana(project) as client:
        return source_version(project) if client.may_ask else "stored answers"


@stage_asset(
    AssetPlan("vocabulary", settings=("published",), outside=_asked_of),
    kinds={"europeana", "parquet"},
    pool="europeana",
    retry_policy=NETWORK_RETRY,
    deps=[source(EUROPEANA), source(PUBLISHED)],
)
def relinks(fetches: Path, project: Project) -> Tables:
    """The record of each published row, by the address inside its thumbnail's URL, with its rights and concepts.

    Resumable: each answer is stored before the next request. Without EUROPEANA_API_KEY nothing is asked.
    """
    rows = addresses_of(with_views(read_folder(project.settings.published)[0]))
    addresses = rows["address"].drop_nulls().unique()
    file = project.storage / "cache" / "relinks" / "answers.jsonl"
    with europeana(project) as client:
        lookup = Lookup(client, file, project.settings.harvest)
        if client.may_ask:
            with bar("records", "questions") as progress:
                lookup.run(addresses, progress)
        else:
            remark("EUROPEANA_API_KEY is not set: the records of the published rows are not looked up.")
    told = FETCHES.read(fetches, ["url", "reason"])
    table, lost = relinks_of(rows, lookup.answers(addresses), told), lost_pictures(rows, told)
    counts = counts_of(table)
    listed = ", ".join(f"{status} {n:,}" for status, n in counts.select("status", "rows").iter_rows())
    remark(f"Europeana's records of {rows.height:,} rows, with {lookup.requests:,} requests: {listed}.")
    if not lost.is_empty():
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in lost.iter_rows())
        remark(f"Pictures that could not be had, by reason (pipeline/images/reasons.py): {reasons}.")
    about = {
        "by_status": markdown(counts),
        "lost_pictures": markdown(lost),
        "requests": lookup.requests,
        "addresses": addresses.len(),
    }
    about["other_provider"] = int((~table["same_provider"]).sum())
    return {"relinks": TableWithMetadata(table, about)}


@stage_asset(
    AssetPlan("vocabulary", writes=ALIGNED, settings=("vocabulary",), outside=source_version),
    kinds={"sparql", "polars"},
    pool="getty",
    retry_policy=NETWORK_RETRY,
    deps=[source(GETTY), source(EUROPEANA)],
)
def relinked_concepts(relinks: pl.DataFrame, project: Project) -> Tables:
    """The concepts of the records behind the published rows, as those of a harvest."""
    none = pl.lit([], dtype=pl.List(pl.String))
    records = relinks.drop_nulls("europeana_id").unique("europeana_id", keep="first", maintain_order=True)
    stated = records.select("concept_uris", record_id="europeana_id", type_uris=none, subject_uris=none)
    return aligned(stated, project)


@stage_asset(
    AssetPlan("vocabulary", settings=("published", "vocabulary"), outside=source_version),
    kinds={"sparql", "polars"},
    pool="getty",
    retry_policy=NETWORK_RETRY,
)
def published_alignment(
    relinks: pl.DataFrame, concept_alignments: pl.DataFrame, concepts: pl.DataFrame, project: Project
) -> Tables:
    """The AAT id of each published tag: by the concepts of the rows' records, labels, places, and given mappings."""
    settings, cache = project.settings.vocabulary, project.storage / "cache"
    tables = as_tables(read_folder(project.settings.published)[0])
    further = read_label_files(settings.label_files)
    given = candidates_of(tables.tags, read_candidates(*settings.candidate_files))
    wanted = {
        *concepts["concept_id"],
        *ids_of_names(tables.tags, further),
        *(each for one in given.values() for each in one),
    }
    with HttpClient(project.settings.http, budgets=cache / "budgets", patience=patience()) as http:
        known = all_or_these(concept_source(http, settings, cache / "getty"), sorted(wanted))
    known = pl.concat([concepts, add_labels(known, further).join(concepts, on="concept_id", how="anti")])
    evidence = Evidence(
        concepts=known,
        catalan=catalan_labels(known, further),
        rules=load_rules(settings.rules_file),
        candidates=given,
        linked=linked_concepts(relinks, concept_alignments),
        languages=settings.languages,
    )
    table = align_published(tables.tags, tables.record_tags, evidence)
    coverage, conflicts = coverage_of(table, tables.record_tags), table.drop_nulls("conflict")
    told = (f"{facet} {has:,} of {n:,}" for facet, n, has in coverage.select("facet", "tags", "with_id").iter_rows())
    remark(f"Published tags with an AAT id: {', '.join(told)}; {conflicts.height:,} conflicts for a curator.")
    shown = conflicts.select("tag_id", "concept_id", "how", "sure", "n_rows", "conflict").sort(
        "n_rows", descending=True
    )
    about = {"coverage": markdown(coverage), "conflicts": markdown(shown, most=30)}
    return {"published_alignment": TableWithMetadata(table, about)}
