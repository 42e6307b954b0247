"""Tags as LIDO 1.1 (https://lido-schema.org): one record per image."""

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from pipeline.facets import FACET_OF, LidoElement

LIDO = "http://www.lido-schema.org"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_lido(images: Iterable[ExportedImage], language: str) -> str:
    """One record per image. Every term has its AAT id, and a `lido:label` that says human or machine."""
    ElementTree.register_namespace("lido", LIDO)
    wrap = ElementTree.Element(_name("lidoWrap"))
    for image in images:
        record = _child(wrap, "lido")
        _child(record, "lidoRecID", image.uri, type="http://terminology.lido-schema.org/lido00100")
        _concept_id(_child(record, "category"), "http://www.cidoc-crm.org/cidoc-crm/E22_Human-Made_Object")
        _description(_child(record, "descriptiveMetadata", lang=language), image, language)
        _administration(_child(record, "administrativeMetadata", lang=language), image)
    ElementTree.indent(wrap)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(wrap, encoding="unicode") + "\n"


def _description(description: ElementTree.Element, image: ExportedImage, language: str) -> None:
    """The element of each facet's tags is in the facet's record (`pipeline.facets`)."""
    tags: dict[LidoElement, list[ExportedTag]] = {facet.lido: [] for facet in FACET_OF.values()}
    for facet, of_facet in image.tags_by_facet().items():
        tags[FACET_OF[facet].lido] += of_facet
    wrap = _child(description, "objectClassificationWrap")
    types = _child(wrap, "objectWorkTypeWrap")
    _terms(types, ("objectWorkType",), tags.get("objectWorkType", []), language)
    if not len(types):  # the schema requires one
        _child(_child(types, "objectWorkType"), "term", "unknown")
    if classifications := tags.get("classification"):
        _terms(_child(wrap, "classificationWrap"), ("classification",), classifications, language)
    title = _below(description, "objectIdentificationWrap", "titleWrap", "titleSet")
    _child(title, "appellationValue", image.title or image.image_id)
    if materials := tags.get("materialsTech"):
        event = _below(description, "eventWrap", "eventSet", "event")
        production = _child(event, "eventType")
        _concept_id(production, "http://terminology.lido-schema.org/lido00007")
        _child(production, "term", "Production", lang="en")
        _terms(event, ("eventMaterialsTech", "materialsTech", "termMaterialsTech"), materials, language)
    if subjects := tags.get("subjectConcept"):
        wrap = _below(description, "objectRelationWrap", "subjectWrap")
        _terms(wrap, ("subjectSet", "subject", "subjectConcept"), subjects, language)


def _administration(administration: ElementTree.Element, image: ExportedImage) -> None:
    record = _child(administration, "recordWrap")
    _child(record, "recordID", image.record_id or image.image_id, type="local")
    _child(_child(record, "recordType"), "term", "Item-level record", lang="en")
    _child(_below(record, "recordSource", "legalBodyName"), "appellationValue", image.attribution or "unknown")
    if image.source_url:
        resource = _below(administration, "resourceWrap", "resourceSet", "resourceRepresentation")
        _child(resource, "linkResource", image.source_url)


def _terms(parent: ElementTree.Element, path: Sequence[str], tags: Iterable[ExportedTag], language: str) -> None:
    """Every tag at the end of a path of its own, with its AAT id, its label and its origin."""
    for tag in tags:
        *above, last = path
        element = _child(_below(parent, *above), last, **FACET_OF[tag.term.facet].lido_attributes)
        _concept_id(element, tag.term.uri)
        label = tag.term.label(language)
        origin = tag.origin if tag.score is None else f"{tag.origin}; {tag.model} {tag.score:.3g}"
        _child(element, "term", label.text, lang=label.language, label=origin)


def _name(tag: str) -> str:
    return f"{{{LIDO}}}{tag}"


def _concept_id(parent: ElementTree.Element, uri: str) -> None:
    source = {"source": "AAT"} if uri.startswith("http://vocab.getty.edu/") else {}
    _child(parent, "conceptID", uri, type="URI", **source)


def _below(parent: ElementTree.Element, *path: str) -> ElementTree.Element:
    """The element at the end of a path of new elements."""
    for tag in path:
        parent = _child(parent, tag)
    return parent


def _child(
    parent: ElementTree.Element, tag: str, text: str | None = None, *, lang: str | None = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, _name(tag), {_name(name): value for name, value in attributes.items()})
    if lang:
        element.set(XML_LANG, lang)
    if text is not None:
        element.text = NOT_IN_XML.sub("\ufffd", text)
    return element
