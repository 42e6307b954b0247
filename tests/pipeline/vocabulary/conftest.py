"""A small thesaurus in Getty's own words, and tables of concepts by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pyoxigraph
import pytest

from pipeline.tables import CONCEPTS
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.source import DumpThenEndpoint

# Portraits below a guide term below visual works below a facet; bronze below metal; an obsolete term; German labels
# with a note; one subject whose texts are plain literals; one parent that only explicit.zip would state.
THESAURUS = """
@prefix aat: <http://vocab.getty.edu/aat/> .
@prefix gvp: <http://vocab.getty.edu/ontology#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xl: <http://www.w3.org/2008/05/skos-xl#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
aat:300264092 a gvp:Facet ; skos:prefLabel "Objects Facet"@en .
aat:300191086 a gvp:Concept, gvp:Subject, skos:Concept ; gvp:broaderPreferred aat:300264092 ;
  xl:prefLabel <http://vocab.getty.edu/aat/term/1-en> .
<http://vocab.getty.edu/aat/term/1-en> xl:literalForm "visual works (works)"@en .
aat:300191098 a gvp:GuideTerm ; gvp:broaderPreferred aat:300191086 .
aat:300015637 a gvp:Concept ; gvp:broader aat:300191098 ; gvp:broaderPreferred aat:300191098 ;
  gvp:broaderPartitive aat:300191086 ; gvp:prefLabelGVP <http://vocab.getty.edu/aat/term/2-en> ;
  xl:prefLabel <http://vocab.getty.edu/aat/term/2-en>, <http://vocab.getty.edu/aat/term/3-de> ;
  xl:altLabel <http://vocab.getty.edu/aat/term/4-en> ; skos:scopeNote <http://vocab.getty.edu/aat/scopeNote/5> .
<http://vocab.getty.edu/aat/term/2-en> xl:literalForm "portraits"@en .
<http://vocab.getty.edu/aat/term/3-de> xl:literalForm "Porträts"@de .
<http://vocab.getty.edu/aat/term/4-en> xl:literalForm "likenesses"@en .
<http://vocab.getty.edu/aat/scopeNote/5> rdf:value "Images of people."@en .
aat:300264091 a gvp:Facet .
aat:300010900 gvp:broaderPreferred aat:300264091 ; skos:prefLabel "metal"@en, "metaal"@NL .
aat:300010957 gvp:broaderPreferred aat:300010900 ; skos:prefLabel "bronze"@en .
aat:300010958 a gvp:ObsoleteSubject ; dcterms:isReplacedBy aat:300010957 .
aat:300010959 a gvp:ObsoleteSubject ; skos:prefLabel "bell metal things"@en .
"""


@pytest.fixture
def thesaurus_file(tmp_path: Path) -> Path:
    """The small thesaurus as N-Triples."""
    file = tmp_path / "small.nt"
    triples = pyoxigraph.parse(THESAURUS.encode(), format=pyoxigraph.RdfFormat.TURTLE)
    pyoxigraph.serialize(triples, output=str(file), format=pyoxigraph.RdfFormat.N_TRIPLES)
    return file


@pytest.fixture
def small(thesaurus_file: Path) -> DumpThenEndpoint:
    """The small thesaurus as a source, without an endpoint."""
    return DumpThenEndpoint(DumpSource([thesaurus_file]), None)


@pytest.fixture
def concepts() -> Callable[..., pl.DataFrame]:
    """Rows of `concepts` from {id: (parents, the preferred one first)}; kinds and English labels by id."""

    def build(
        parents: Mapping[str, tuple[str, ...]],
        kinds: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> pl.DataFrame:
        return CONCEPTS.frame(
            [
                {
                    "concept_id": each,
                    "kind": (kinds or {}).get(each, "concept"),
                    "preferred_parent": above[0] if above else None,
                    "parents": sorted(above),
                    "labels": [{"language": "en", "text": (labels or {}).get(each, f"term {each}")}],
                    "label_sources": [],
                    "alt_labels": [],
                    "scope_note": [],
                }
                for each, above in parents.items()
            ]
        )

    return build
