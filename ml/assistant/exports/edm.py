"""Tags as JSON-LD in the Europeana Data Model (https://pro.europeana.eu/page/edm-documentation)."""

import json
from collections.abc import Iterable
from typing import Any

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.vocabulary import Term, Vocabulary
from pipeline.facets import FACET_OF

CONTEXT = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "edm": "http://www.europeana.eu/schemas/edm/",
    "itsrdf": "http://www.w3.org/2005/11/its/rdf#",
    "oa": "http://www.w3.org/ns/oa#",
    "ore": "http://www.openarchives.org/ore/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def as_edm(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """The objects with their concepts, and an annotation per tag that tells who assigned it."""
    images = list(images)
    graph = [node for image in images for node in _nodes(image)]
    terms = {tag.term.uri: tag.term for image in images for tag in image.tags}
    graph += [_concept(uri, term) for uri, term in sorted(terms.items())]
    return json.dumps({"@context": CONTEXT, "@graph": graph}, ensure_ascii=False, indent=1) + "\n"


def _nodes(image: ExportedImage) -> list[dict[str, Any]]:
    """The object, its aggregation and the assignments of its tags."""
    cho: dict[str, Any] = {"@id": image.uri, "@type": "edm:ProvidedCHO", "edm:type": "IMAGE"}
    cho["dc:title"] = image.title or image.image_id
    for facet, tags in image.tags_by_facet().items():
        for tag in tags:
            cho.setdefault(FACET_OF[facet].edm, []).append({"@id": tag.term.uri})
    aggregation: dict[str, Any] = {
        "@id": f"{image.uri}#aggregation",
        "@type": "ore:Aggregation",
        "edm:aggregatedCHO": {"@id": image.uri},
    }
    if image.attribution:
        aggregation["edm:dataProvider"] = image.attribution
    if image.source_url:
        aggregation["edm:isShownBy"] = {"@id": image.source_url}
    return [cho, aggregation, *(_assignment(image, tag) for tag in image.tags)]


def _concept(uri: str, term: Term) -> dict[str, Any]:
    return {
        "@id": uri,
        "@type": "skos:Concept",
        "skos:inScheme": {"@id": "http://vocab.getty.edu/aat/"},
        "skos:prefLabel": [{"@language": language, "@value": text} for language, text in term.labels.items()],
    }


def _assignment(image: ExportedImage, tag: ExportedTag) -> dict[str, Any]:
    """Who assigned the tag: a person, or a program with its confidence."""
    node: dict[str, Any] = {
        "@id": image.annotation_id(tag),
        "@type": "oa:Annotation",
        "oa:motivatedBy": {"@id": "oa:tagging"},
        "oa:hasTarget": {"@id": image.uri},
        "oa:hasBody": {"@id": tag.term.uri},
        "dcterms:creator": {
            "@type": "prov:Person" if tag.origin == "human" else "prov:SoftwareAgent",
            "skos:prefLabel": tag.who if tag.origin == "human" else tag.model,
        },
    }
    if tag.at is not None:
        node["dcterms:created"] = {"@type": "xsd:dateTime", "@value": tag.at.isoformat()}
    if tag.score is not None:
        node["itsrdf:taConfidence"] = {"@type": "xsd:double", "@value": repr(tag.score)}
    return node
