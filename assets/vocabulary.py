"""Stage vocabulary: aligns the concepts that records link to with the AAT and its facets."""

import shutil
from pathlib import Path

import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.console import patience
from assets.engine.plan import AssetPlan, Tables, TableWithMetadata
from assets.engine.project import Project
from assets.freshness import WEEKLY
from assets.harvest import NETWORK_RETRY, SETTINGS, europeana, source_version
from assets.sources import EUROPEANA, GETTY, source
from pipeline.harvest.bulk import concepts_in_pages
from pipeline.http import HttpClient
from pipeline.markdown import markdown
from pipeline.vocabulary.align import align_concepts
from pipeline.vocabulary.facets import load_rules
from pipeline.vocabulary.source import concept_source
from pipeline.vocabulary.thesaurus import graph_checks

# Without the API, Europeana's concepts are those that the dumps describe beside their records.
OF_DUMPS = ("pages",) if SETTINGS.harvest.dumps else ()
ALIGNED = ("concept_alignments", "unmapped_concepts", "concepts")


@stage_asset(
    AssetPlan(
        "vocabulary",
        writes=ALIGNED,
        settings=("vocabulary", "harvest.dumps", "harvest.collections"),
        after=OF_DUMPS,
        outside=source_version,
        again=lambda config, before: "endpoint_trouble" in before.metadata,  # Getty may be back
    ),
    kinds={"sparql", "polars"},
    pool="getty",
    retry_policy=NETWORK_RETRY,
    freshness_policy=WEEKLY,
    deps=[source(GETTY), source(EUROPEANA)],
)
def aligned_concepts(records: pl.DataFrame, project: Project) -> Tables:
    """AAT URIs count directly, Europeana's concepts through their exactMatch; obsolete ids are replaced.

    The concepts include all ancestors. Facets follow from the roots in the protocol, then from the experts' rules.
    """
    return aligned(records, project)


def aligned(records: pl.DataFrame, project: Project) -> Tables:
    """The tables ALIGNED for records with concept_uris, type_uris and subject_uris."""
    vocabulary, harvest = project.settings.vocabulary, project.settings.harvest
    cache = project.storage / "cache"
    rules = load_rules(vocabulary.rules_file)
    http = HttpClient(project.settings.http, budgets=cache / "budgets", patience=patience())
    with http, europeana(project) as client:
        getty = concept_source(http, vocabulary, cache / "getty")
        ask = concepts_in_pages(project.here("pages"), harvest.collections) if harvest.dumps else client.concepts
        found = align_concepts(records, ask, getty, vocabulary, _entity_cache(project), rules)
    trouble = getty.lookup.metadata()
    alignments, unmapped = found.concept_alignments, found.unmapped_concepts
    by_evidence = markdown(alignments.group_by("evidence", "match").len("n").sort("evidence", "match"))
    return {
        "concept_alignments": TableWithMetadata(alignments, {"by_evidence": by_evidence, **trouble}),
        "unmapped_concepts": TableWithMetadata(unmapped, {"most_often": markdown(unmapped, most=30)}),
        "concepts": TableWithMetadata(found.concepts, {"checks": markdown(graph_checks(found.concepts)), **trouble}),
    }


def _entity_cache(project: Project) -> Path:
    """Where answers on Europeana's concepts are kept; what the dumps say is read anew each time."""
    cache = project.storage / "cache"
    if not project.settings.harvest.dumps:
        return cache / "entities"
    shutil.rmtree(cache / "entities_of_dumps", ignore_errors=True)
    return cache / "entities_of_dumps"
