"""The linked data of a release: its vocabulary as SKOS and its making as PROV-O, both Turtle."""

import polars as pl
from rdflib import RDF, XSD, Graph, Literal, Namespace, URIRef
from rdflib.namespace import DCTERMS, PROV, SKOS

from pipeline import FACETS
from pipeline.release.card import Facts
from pipeline.settings import Settings
from pipeline.vocabulary.identifiers import tag_uri

AAT = Namespace("http://vocab.getty.edu/aat/")
ODC_BY = URIRef("https://opendatacommons.org/licenses/by/1-0/")
AAT_RIGHTS = (
    "Contains information from the Art & Architecture Thesaurus (AAT)®, which is made available under the ODC "
    "Attribution License 1.0."
)


def vocabulary(tags: pl.DataFrame) -> str:
    """Every tag as a SKOS concept with its AAT URI, labels per language, and the tag above it; one scheme a facet."""
    graph = _graph()
    for facet in FACETS:
        scheme = URIRef(f"urn:eufcc:facet:{facet}")
        graph.add((scheme, RDF.type, SKOS.ConceptScheme))
        graph.add((scheme, DCTERMS.title, Literal(facet.replace("_", " "), lang="en")))
        graph.add((scheme, DCTERMS.license, ODC_BY))
        graph.add((scheme, DCTERMS.rights, Literal(AAT_RIGHTS, lang="en")))
    for tag in tags.iter_rows(named=True):
        concept, scheme = URIRef(tag_uri(tag["tag_id"])), URIRef(f"urn:eufcc:facet:{tag['facet']}")
        graph.add((concept, RDF.type, SKOS.Concept))
        graph.add((concept, SKOS.inScheme, scheme))
        graph.add((concept, SKOS.notation, Literal(tag["tag_id"])))
        if tag["parent"]:
            graph.add((concept, SKOS.broader, URIRef(tag_uri(tag["parent"]))))
        else:
            graph.add((concept, SKOS.topConceptOf, scheme))
        first: set[str] = set()
        for label in tag["labels"] or []:  # SKOS allows one preferred label per language
            kind = SKOS.altLabel if label["language"] in first else SKOS.prefLabel
            first.add(label["language"])
            graph.add((concept, kind, Literal(label["text"], lang=_language(label["language"]))))
    return graph.serialize(format="longturtle", encoding=None)


def provenance(records: pl.DataFrame, facts: Facts, settings: Settings) -> str:
    """How the release came about: the requests, when they were answered, and what was made from what (W3C PROV-O)."""
    graph = _graph()
    release = URIRef(f"urn:eufcc:release:{settings.release.version}:{facts.split_hash[:12]}")
    making, software = URIRef("urn:eufcc:activity:release"), URIRef("urn:eufcc:software")
    graph.add((release, RDF.type, PROV.Entity))
    graph.add((release, DCTERMS.title, Literal(settings.release.name)))
    graph.add((release, DCTERMS.identifier, Literal(facts.split_hash)))
    graph.add((release, PROV.wasGeneratedBy, making))
    graph.add((making, RDF.type, PROV.Activity))
    graph.add((making, PROV.wasAssociatedWith, software))
    graph.add((software, RDF.type, PROV.SoftwareAgent))
    graph.add((software, DCTERMS.title, Literal(settings.http.user_agent)))
    asked = records.group_by("request").agg(
        first=pl.col("harvested_at").min(), last=pl.col("harvested_at").max(), n=pl.len()
    )
    for number, row in enumerate(asked.sort("request").iter_rows(named=True)):
        harvest, answer = URIRef(f"urn:eufcc:activity:harvest:{number}"), URIRef(f"urn:eufcc:records:{number}")
        graph.add((harvest, RDF.type, PROV.Activity))
        graph.add((harvest, DCTERMS.description, Literal(row["request"] or "")))
        for predicate, when in ((PROV.startedAtTime, row["first"]), (PROV.endedAtTime, row["last"])):
            if when is not None:
                graph.add((harvest, predicate, Literal(when.isoformat(), datatype=XSD.dateTime)))
        graph.add((answer, RDF.type, PROV.Entity))
        graph.add((answer, PROV.wasGeneratedBy, harvest))
        graph.add((answer, DCTERMS.extent, Literal(row["n"])))
        graph.add((making, PROV.used, answer))
    source = URIRef("http://vocab.getty.edu/aat/")
    graph.add((source, RDF.type, PROV.Entity))
    graph.add((making, PROV.used, source))
    return graph.serialize(format="longturtle", encoding=None)


def _graph() -> Graph:
    graph = Graph()
    for prefix, space in (("skos", SKOS), ("prov", PROV), ("dcterms", DCTERMS), ("aat", AAT)):
        graph.bind(prefix, space)
    return graph


def _language(code: str) -> str | None:
    """A language tag RDF accepts; Europeana's `def` is none."""
    return None if code in ("def", "") else code
