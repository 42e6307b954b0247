"""Stage vocabulary: from the concepts that records link to, to the AAT and its four facets."""

import polars as pl

from assets.harvest import NETWORK_RETRY, europeana, source_version
from assets.project import Project
from assets.stage import stage_asset
from pipeline.http import HttpClient
from pipeline.vocabulary.align import align_concepts
from pipeline.vocabulary.facets import assign_facets, load_rules
from pipeline.vocabulary.source import ConceptSource, concept_source

CODE = ("pipeline/http.py", "pipeline/harvest/europeana.py", "pipeline/vocabulary")


def _source(project: Project) -> ConceptSource:
    settings = project.settings
    return concept_source(HttpClient(settings.http), settings.vocabulary, project.storage / "cache" / "getty")


@stage_asset(
    "vocabulary",
    writes=("concept_alignments", "unmapped_concepts"),
    code=CODE,
    settings=("vocabulary",),
    kinds=frozenset({"sparql", "polars"}),
    outside=source_version,
    pool="getty",
    retry=NETWORK_RETRY,
)
def aligned_concepts(records: pl.DataFrame, project: Project) -> dict[str, pl.DataFrame]:
    """AAT URIs count directly, Europeana's concepts through their exactMatch; obsolete ids are followed."""
    cache = project.storage / "cache" / "entities"
    found = align_concepts(records, europeana(project).concepts, _source(project), project.settings.vocabulary, cache)
    return {"concept_alignments": found.concept_alignments, "unmapped_concepts": found.unmapped_concepts}


@stage_asset(
    "vocabulary",
    code=CODE,
    settings=("vocabulary",),
    kinds=frozenset({"sparql", "polars"}),
    outside=source_version,
    pool="getty",
    retry=NETWORK_RETRY,
)
def concepts(concept_alignments: pl.DataFrame, project: Project) -> pl.DataFrame:
    """Every ancestor is here too. The facet follows from the roots in the protocol, then from the experts' rules."""
    ids = concept_alignments["concept_id"].unique().sort().to_list()
    return assign_facets(_source(project).concepts(ids), load_rules(project.settings.vocabulary.rules_file))
