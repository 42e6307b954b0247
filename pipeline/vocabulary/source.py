"""Where the AAT comes from: local dumps when settings name some, else Getty's endpoint; the answers are equal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from pipeline.http import HttpClient
from pipeline.settings import VocabularySettings
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.getty import GettySource


class ConceptSource(Protocol):
    """Answers what the AAT says about subjects."""

    def concepts(self, ids: Sequence[str]) -> pl.DataFrame:
        """Rows of `concepts` for these ids, everything above them and what replaces them; facet null."""
        ...


def concept_source(http: HttpClient, settings: VocabularySettings, cache: Path) -> ConceptSource:
    """The dumps of the settings, else the SPARQL endpoint with its cache in this folder."""
    if settings.dumps:
        return DumpSource(settings.dumps, settings.max_dump_bytes)
    return GettySource(http, settings, cache)


def all_or_these(source: ConceptSource, ids: Sequence[str]) -> pl.DataFrame:
    """All subjects of the AAT where dumps have them; from the endpoint these ids with everything above them."""
    return source.all_concepts() if isinstance(source, DumpSource) else source.concepts(ids)
