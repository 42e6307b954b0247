"""Where the AAT comes from: Getty's dump with the endpoint for what is newer, or the endpoint alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from pipeline.http import HttpClient
from pipeline.settings import VocabularySettings
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.getty import GettySource, Lookup
from pipeline.vocabulary.identifiers import checked_ids
from pipeline.vocabulary.subjects import Subject, concept_rows, with_ancestors


class ConceptSource(Protocol):
    """Answers what the AAT says about subjects."""

    @property
    def lookup(self) -> Lookup:
        """What the endpoint did not say."""
        ...

    def concepts(self, ids: Sequence[str]) -> pl.DataFrame:
        """Rows of `concepts` for these ids, everything above them and what replaces them; facet null."""
        ...


class DumpThenEndpoint:
    """Subjects of the dumps; those that no dump knows, which may be newer, from the endpoint.

    An endpoint that does not answer is no error: `lookup` names what stayed unknown. Raises NotAnAatId, DumpError.
    """

    def __init__(self, dump: DumpSource, getty: GettySource | None) -> None:
        self._dump, self._getty = dump, getty
        self.lookup = getty.lookup if getty is not None else Lookup()

    def concepts(self, ids: Sequence[str]) -> pl.DataFrame:
        """Rows of `concepts` for these ids, everything above them and what replaces them."""
        return concept_rows(with_ancestors(checked_ids(ids), self._fetch))

    def all_concepts(self) -> pl.DataFrame:
        """Rows of `concepts` for every subject of the dumps."""
        return self._dump.all_concepts()

    def _fetch(self, ids: list[str]) -> dict[str, Subject]:
        found = self._dump.fetch(ids)
        newer = [each for each in ids if each not in found]
        return found | (self._getty.fetch(newer) if newer and self._getty is not None else {})


def concept_source(http: HttpClient, settings: VocabularySettings, cache: Path) -> ConceptSource:
    """The dumps of the settings, which the endpoint fills in, else the endpoint with its cache in this folder."""
    if not settings.dumps:
        return GettySource(http, settings, cache)
    getty = GettySource(http, settings, cache, need_not_answer=True) if settings.fill_in else None
    return DumpThenEndpoint(DumpSource(settings.dumps, settings.max_dump_bytes), getty)


def all_or_these(source: ConceptSource, ids: Sequence[str]) -> pl.DataFrame:
    """All subjects of the AAT where dumps have them; from the endpoint these ids with everything above them."""
    return source.all_concepts() if isinstance(source, DumpThenEndpoint) else source.concepts(ids)
