"""The tags of images in the forms that others read: published CSV, EDM, Web Annotation, LIDO."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from ml.assistant.vocabulary import Term, Vocabulary
from pipeline import FACETS

# The published files' names of the facets.
PUBLISHED = {
    "object_types": "objectTypes",
    "subjects": "subjects",
    "materials": "materials",
    "classifications": "classifications",
}
EDM_PROPERTY = {
    "object_types": "dc:type",
    "materials": "dcterms:medium",
    "classifications": "dc:subject",
    "subjects": "dc:subject",
}
LIDO = "http://www.lido-schema.org"
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class ExportedTag:
    """A tag of an image, with who says so."""

    term: Term
    origin: str  # human or machine
    who: str | None = None
    at: datetime | None = None
    decision_id: str | None = None
    model: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class ExportedImage:
    """An image with its tags."""

    image_id: str
    title: str
    record_id: str | None
    source_url: str | None
    attribution: str | None
    tags: tuple[ExportedTag, ...]

    @property
    def uri(self) -> str:
        """Europeana's item where it is one, else the image by its content."""
        if self.record_id:
            return f"http://data.europeana.eu/item{self.record_id}"
        return f"urn:sha256:{self.image_id}"

    def of(self, facet: str) -> list[ExportedTag]:
        """The tags of one facet."""
        return [tag for tag in self.tags if tag.term.facet == facet]


def as_csv(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """The published columns, then per facet the AAT URIs and origins in the same order, joined by ` $ ` too."""
    columns = ["idInSource"]
    columns += [f"{PUBLISHED[facet]}.hierarchy" for facet in ("object_types", "subjects", "materials")]
    columns += ["#portraitMedia.original", "database", "repository.keeper", "classifications.hierarchy"]
    columns += [f"{PUBLISHED[facet]}.{kind}" for facet in FACETS for kind in ("aat", "origin")]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for image in images:
        writer.writerow({name: _no_formula(value) for name, value in _row(image, vocabulary, language).items()})
    return out.getvalue()


def _row(image: ExportedImage, vocabulary: Vocabulary, language: str) -> dict[str, str]:
    row = {
        "idInSource": image.record_id or image.image_id,
        "#portraitMedia.original": image.source_url or "",
        "database": "EUROPEANA" if image.record_id else "",
        "repository.keeper": image.attribution or "",
    }
    for facet in FACETS:
        tags = image.of(facet)
        paths = [
            " | ".join(vocabulary.terms[step].label(language).text for step in _path(vocabulary, tag)) for tag in tags
        ]
        row[f"{PUBLISHED[facet]}.hierarchy"] = " $ ".join(paths)
        row[f"{PUBLISHED[facet]}.aat"] = " $ ".join(tag.term.uri for tag in tags)
        row[f"{PUBLISHED[facet]}.origin"] = " $ ".join(tag.origin for tag in tags)
    return row


def _path(vocabulary: Vocabulary, tag: ExportedTag) -> list[str]:
    return vocabulary.path(tag.term.tag_id) if tag.term.tag_id in vocabulary else []


def _no_formula(value: str) -> str:
    """Text that a spreadsheet would run as a formula is marked as text."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def as_edm(images: Iterable[ExportedImage]) -> str:
    """JSON-LD in the Europeana Data Model: objects, the concepts they carry, and who assigned each as an annotation."""
    graph: list[dict[str, Any]] = []
    concepts: dict[str, Term] = {}
    for image in images:
        cho: dict[str, Any] = {"@id": image.uri, "@type": "edm:ProvidedCHO", "dc:title": image.title or image.image_id}
        for facet in FACETS:
            for tag in image.of(facet):
                cho.setdefault(EDM_PROPERTY[facet], []).append({"@id": tag.term.uri})
                concepts[tag.term.uri] = tag.term
        aggregation: dict[str, Any] = {
            "@id": f"{image.uri}#aggregation",
            "@type": "ore:Aggregation",
            "edm:aggregatedCHO": {"@id": image.uri},
        }
        if image.attribution:
            aggregation["edm:dataProvider"] = image.attribution
        if image.source_url:
            aggregation["edm:isShownBy"] = {"@id": image.source_url}
        graph += [cho, aggregation, *(_assignment(image, tag) for tag in image.tags)]
    graph += [
        {
            "@id": uri,
            "@type": "skos:Concept",
            "skos:inScheme": {"@id": "http://vocab.getty.edu/aat/"},
            "skos:prefLabel": [{"@language": language, "@value": text} for language, text in term.labels.items()],
        }
        for uri, term in sorted(concepts.items())
    ]
    return _json({"@context": EDM_CONTEXT, "@graph": graph})


EDM_CONTEXT = {
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


def _assignment(image: ExportedImage, tag: ExportedTag) -> dict[str, Any]:
    """Who says that the object carries the concept: a person, or a program with its confidence."""
    node: dict[str, Any] = {
        "@id": annotation_id(image, tag),
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


def as_web_annotations(images: Iterable[ExportedImage], language: str) -> str:
    """A W3C Web Annotation page: a `tagging` annotation per tag, with generator and confidence where a model spoke."""
    items = [_annotation(image, tag, language) for image in images for tag in image.tags]
    page = {
        "@context": ["http://www.w3.org/ns/anno.jsonld", CONFIDENCE],
        "id": "urn:eufcc:annotations",
        "type": "AnnotationPage",
        "items": items,
    }
    return _json(page)


# `taConfidence` of the W3C's ITS 2.0 ontology; the Web Annotation vocabulary has no confidence of its own.
CONFIDENCE = {
    "confidence": {
        "@id": "http://www.w3.org/2005/11/its/rdf#taConfidence",
        "@type": "http://www.w3.org/2001/XMLSchema#double",
    }
}


def _annotation(image: ExportedImage, tag: ExportedTag, language: str) -> dict[str, Any]:
    label = tag.term.label(language)
    body: dict[str, Any] = {"type": "SpecificResource", "purpose": "tagging", "source": tag.term.uri}
    words: dict[str, Any] = {"type": "TextualBody", "purpose": "tagging", "value": label.text, "format": "text/plain"}
    if label.language:
        words["language"] = label.language
    annotation: dict[str, Any] = {
        "id": annotation_id(image, tag),
        "type": "Annotation",
        "motivation": "tagging",
        "body": [body, words],
        "target": {"id": image.source_url or image.uri, "type": "Image"},
    }
    if tag.origin == "human":
        annotation["creator"] = {"type": "Person", "name": tag.who or ""}
    if tag.at is not None:
        annotation["created"] = tag.at.isoformat()
    if tag.model is not None and tag.score is not None:  # an added tag is no model's
        annotation["generator"] = {"id": f"urn:eufcc:model:{tag.model}", "type": "Software", "name": tag.model}
    if tag.score is not None:
        annotation["confidence"] = tag.score
    return annotation


def annotation_id(image: ExportedImage, tag: ExportedTag) -> str:
    """A name for the assignment that stays the same at every export."""
    return f"urn:eufcc:annotation:{tag.decision_id or f'{image.image_id[:24]}-{tag.term.tag_id}-machine'}"


def as_lido(images: Iterable[ExportedImage], language: str) -> str:
    """LIDO 1.1: one record an image; each term with its AAT id, and `lido:label` saying human or machine."""
    ElementTree.register_namespace("lido", LIDO)
    wrap = ElementTree.Element(_name("lidoWrap"))
    for image in images:
        _lido_record(wrap, image, language)
    ElementTree.indent(wrap)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(wrap, encoding="unicode") + "\n"


def _lido_record(wrap: ElementTree.Element, image: ExportedImage, language: str) -> None:
    lido = ElementTree.SubElement(wrap, _name("lido"))
    _child(lido, "lidoRecID", image.uri, type="http://terminology.lido-schema.org/lido00100")
    _child(lido, "category", None)
    _concept_id(lido[-1], "http://www.cidoc-crm.org/cidoc-crm/E22_Human-Made_Object", "URI")
    described = ElementTree.SubElement(lido, _name("descriptiveMetadata"), {_XML_LANG: language})
    classification = _child(described, "objectClassificationWrap", None)
    types = _child(classification, "objectWorkTypeWrap", None)
    for tag in image.of("object_types"):
        _lido_term(_child(types, "objectWorkType", None), tag, language)
    if not image.of("object_types"):  # the schema asks for one
        _child(_child(types, "objectWorkType", None), "term", "unknown")
    if disciplines := image.of("classifications"):
        wrapped = _child(classification, "classificationWrap", None)
        for tag in disciplines:
            _lido_term(_child(wrapped, "classification", None), tag, language)
    titles = _child(_child(described, "objectIdentificationWrap", None), "titleWrap", None)
    _child(_child(titles, "titleSet", None), "appellationValue", image.title or image.image_id)
    if materials := image.of("materials"):
        _lido_materials(described, materials, language)
    if subjects := image.of("subjects"):
        sets = _child(_child(described, "objectRelationWrap", None), "subjectWrap", None)
        for tag in subjects:
            subject = _child(_child(sets, "subjectSet", None), "subject", None)
            _lido_term(_child(subject, "subjectConcept", None), tag, language)
    _lido_administration(lido, image, language)


def _lido_materials(described: ElementTree.Element, materials: list[ExportedTag], language: str) -> None:
    event = _child(_child(_child(described, "eventWrap", None), "eventSet", None), "event", None)
    production = _child(event, "eventType", None)
    _concept_id(production, "http://terminology.lido-schema.org/lido00007", "URI")
    _child(production, "term", "Production", _lang="en")
    for tag in materials:
        materials_tech = _child(_child(event, "eventMaterialsTech", None), "materialsTech", None)
        _lido_term(_child(materials_tech, "termMaterialsTech", None, type="material"), tag, language)


def _lido_administration(lido: ElementTree.Element, image: ExportedImage, language: str) -> None:
    administrative = ElementTree.SubElement(lido, _name("administrativeMetadata"), {_XML_LANG: language})
    record = _child(administrative, "recordWrap", None)
    _child(record, "recordID", image.record_id or image.image_id, type="local")
    _child(_child(record, "recordType", None), "term", "Item-level record", _lang="en")
    source = _child(_child(record, "recordSource", None), "legalBodyName", None)
    _child(source, "appellationValue", image.attribution or "unknown")
    if image.source_url:
        resource = _child(_child(administrative, "resourceWrap", None), "resourceSet", None)
        _child(_child(resource, "resourceRepresentation", None), "linkResource", image.source_url)


def _lido_term(parent: ElementTree.Element, tag: ExportedTag, language: str) -> None:
    _concept_id(parent, tag.term.uri, "URI")
    label = tag.term.label(language)
    said = tag.origin if tag.score is None else f"{tag.origin}; {tag.model} {tag.score:.3g}"
    _child(parent, "term", label.text, label=said, _lang=label.language)


_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def _name(tag: str) -> str:
    return f"{{{LIDO}}}{tag}"


def _concept_id(parent: ElementTree.Element, uri: str, kind: str) -> None:
    attributes = {_name("type"): kind}
    if uri.startswith("http://vocab.getty.edu/"):
        attributes[_name("source")] = "AAT"
    ElementTree.SubElement(parent, _name("conceptID"), attributes).text = uri


def _child(
    parent: ElementTree.Element, tag: str, text: str | None, *, _lang: str | None = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, _name(tag), {_name(name): value for name, value in attributes.items()})
    if _lang:
        element.set(_XML_LANG, _lang)
    if text is not None:
        element.text = NOT_IN_XML.sub("\ufffd", text)
    return element


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
