"""One record of Europeana's weekly dumps (EDM as RDF) as the item that the Search API gives for it.

Written after the dumps' own form, as metis-framework makes it: one ore:Aggregation of the provider, one
edm:EuropeanaAggregation, and several ore:Proxy, whose statements the search index joins (SolrDocumentPopulator).
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote_plus
from xml.etree import ElementTree

import pyoxigraph

from pipeline.harvest.entities import europeana_concept

ITEM = "http://data.europeana.eu/item"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC, DCTERMS = "{http://purl.org/dc/elements/1.1/}", "{http://purl.org/dc/terms/}"
EDM, ORE = "{http://www.europeana.eu/schemas/edm/}", "{http://www.openarchives.org/ore/terms/}"
SKOS, FOAF = "{http://www.w3.org/2004/02/skos/core#}", "{http://xmlns.com/foaf/0.1/}"
MIME = "{http://www.ebu.ch/metadata/ontologies/ebucore/ebucore#}hasMimeType"
ABOUT, RESOURCE, LANGUAGE = f"{{{RDF}}}about", f"{{{RDF}}}resource", "{http://www.w3.org/XML/1998/namespace}lang"
THUMBNAIL = "https://api.europeana.eu/thumbnail/v2/url.json?uri={}&type={}"
ENTITIES = (f"{SKOS}Concept", f"{EDM}Agent", f"{EDM}Place", f"{EDM}TimeSpan", f"{FOAF}Organization")
PREFERRED = f"{SKOS}prefLabel"
LABELS = frozenset((PREFERRED, f"{SKOS}altLabel", f"{SKOS}hiddenLabel"))
NOT_SEARCHED = frozenset((f"{EDM}type", f"{EDM}europeanaProxy", f"{DC}identifier"))
XML, TRIPLES = (".xml", ".rdf"), {".nt": pyoxigraph.RdfFormat.N_TRIPLES, ".ttl": pyoxigraph.RdfFormat.TURTLE}
NO_LANGUAGE = "def"
Element = ElementTree.Element


class EdmError(ValueError):
    """A file of a dump that is no EDM record; the message says what is wrong with it."""


class EdmRecord:
    """A record as it stands in a dump, read piece by piece: most records are not selected and need no item."""

    def __init__(self, root: Element) -> None:
        """Raises EdmError where there is no record."""
        self._nodes = _by_tag(root)
        objects = self._nodes.get(f"{EDM}ProvidedCHO", [])
        if len(objects) != 1:
            raise EdmError(f"it has {len(objects)} edm:ProvidedCHO; a record has one")
        self.record_id = objects[0].get(ABOUT, "").removeprefix(ITEM)
        if self.record_id.count("/") < 2 or not self.record_id.startswith("/"):
            raise EdmError(f"its id is {self.record_id!r}, not `/dataset/local`")
        aggregations = self._nodes.get(f"{ORE}Aggregation", [])  # an aggregator in between may have one too
        provider = (node for node in aggregations if "/aggregation/provider/" in node.get(ABOUT, ""))
        self._own = _by_tag(next(provider, aggregations[0] if aggregations else ()))
        self._european = _by_tag(next(iter(self._nodes.get(f"{EDM}EuropeanaAggregation", [])), ()))

    @cached_property
    def _stated(self) -> dict[str, list[Element]]:
        """The statements of all proxies, which the search index joins."""
        return _by_tag([value for proxy in self._nodes.get(f"{ORE}Proxy", []) for value in proxy])

    @property
    def media_type(self) -> str | None:
        """edm:type: IMAGE, TEXT, VIDEO, SOUND or 3D."""
        return next((value.text for value in self._stated.get(f"{EDM}type", []) if value.text), None)

    @property
    def rights(self) -> str | None:
        """edm:rights of the provider, as written."""
        return next(iter(_links(self._own, f"{EDM}rights")), None)

    @cached_property
    def preview(self) -> str | None:
        """edm:preview, where its file is known: only then does the index say that there is a thumbnail."""
        url = next(iter(_links(self._european, f"{EDM}preview")), None)
        files = (node for node in self._nodes.get(f"{EDM}WebResource", []) if node.get(ABOUT) == url)
        return url if url and any(value.tag == MIME for node in files for value in node) else None

    def texts(self) -> Iterator[str]:
        """What the index searches as text: all statements in words, and the labels of the entities they link to."""
        for tag, values in self._stated.items():
            if tag not in NOT_SEARCHED:
                yield from _texts(values)
        for tag in ENTITIES:
            for node in self._nodes.get(tag, []):
                yield from [label.text for label in node if label.text and label.tag in LABELS]
        for values in (self._own.get(f"{EDM}dataProvider", []), self._own.get(f"{EDM}provider", [])):
            yield from _texts(values)
        yield from _texts(self._european.get(f"{EDM}country", []))

    def item(self) -> dict[str, Any]:
        """The item, profile rich, with the fields that `records` is made from."""
        kind, preview, own, european = self.media_type, self.preview, self._own, self._european
        thumbnail = preview and THUMBNAIL.format(quote_plus(preview, safe="*").replace("~", "%7E"), kind)
        concepts = self._nodes.get(f"{SKOS}Concept", [])
        fields: dict[str, Any] = {
            "id": self.record_id,
            "type": kind,
            "title": _texts(self._stated.get(f"{DC}title", [])),
            "dcTitleLangAware": _by_language(self._stated.get(f"{DC}title", [])),
            "dcCreator": _values(self._stated.get(f"{DC}creator", [])),
            "dataProvider": self._organisation(f"{EDM}dataProvider"),
            "provider": self._organisation(f"{EDM}provider"),
            "country": _texts(european.get(f"{EDM}country", [])),
            "rights": _links(own, f"{EDM}rights"),
            "edmDatasetName": _texts(european.get(f"{EDM}datasetName", [])),
            "edmIsShownAt": _links(own, f"{EDM}isShownAt"),
            "edmIsShownBy": _links(own, f"{EDM}isShownBy"),
            "edmPreview": [thumbnail] if thumbnail else [],
            "edmConcept": [uri for node in concepts if (uri := node.get(ABOUT))],
            "dcTypeLangAware": _by_language(self._stated.get(f"{DC}type", [])),
            "dcSubjectLangAware": _by_language(self._stated.get(f"{DC}subject", [])),
            "timestamp_created": next(iter(_texts(european.get(f"{DCTERMS}created", []))), None),
            "timestamp_update": next(iter(_texts(european.get(f"{DCTERMS}modified", []))), None),
        }
        return {name: value for name, value in fields.items() if value}

    def concepts(self, known: Container[str] = ()) -> Iterator[dict[str, Any]]:
        """Europeana's own concepts in the record but the known ones, as the Record API writes labels and matches."""
        for node in self._nodes.get(f"{SKOS}Concept", []):
            uri = europeana_concept(node.get(ABOUT, ""))
            if uri is not None and uri not in known:
                said = _by_tag(node)
                labels = _by_language(said.get(PREFERRED, []))
                matches = {name: _links(said, f"{SKOS}{name}") for name in ("exactMatch", "closeMatch")}
                yield {"about": uri, "prefLabel": labels, **{name: uris for name, uris in matches.items() if uris}}

    def concept_uris(self) -> list[str]:
        """The URIs of Europeana's own concepts, in the newer spelling."""
        nodes = self._nodes.get(f"{SKOS}Concept", [])
        return [uri for node in nodes if (uri := europeana_concept(node.get(ABOUT, "")))]

    def _organisation(self, tag: str) -> list[str]:
        """The holder's or aggregator's name: of an organisation the English label, else its first."""
        return [self._names.get(name, name) for name in _values(self._own.get(tag, []))]

    @cached_property
    def _names(self) -> Mapping[str, str]:
        named = {}
        for node in self._nodes.get(f"{FOAF}Organization", []):
            labels = [(label.get(LANGUAGE), label.text) for label in node if label.text and label.tag == PREFERRED]
            if labels:
                named[node.get(ABOUT, "")] = next((text for language, text in labels if language == "en"), labels[0][1])
        return named


def read_edm(content: bytes, suffix: str) -> EdmRecord:
    """The record in a file of a dump: `.xml` or `.rdf` in RDF/XML, `.nt` or `.ttl`. Raises EdmError."""
    if suffix in XML:
        return EdmRecord(_xml(content))
    if suffix in TRIPLES:
        return EdmRecord(_nodes_of_triples(content, TRIPLES[suffix]))
    raise EdmError(f"its name ends with {suffix!r}, and not as RDF/XML, N-Triples or Turtle do")


def _xml(content: bytes) -> Element:
    if b"<!DOCTYPE" in content:  # entities of a stranger: a record needs none
        raise EdmError("it declares a document type, which no record does")
    try:
        return ElementTree.fromstring(content)  # noqa: S314
    except ElementTree.ParseError as error:
        raise EdmError(f"it is no XML ({error})") from None


def _nodes_of_triples(content: bytes, form: pyoxigraph.RdfFormat) -> Element:
    """The statements by subject and type, as RDF/XML writes them; those of blank nodes are left out."""
    types: dict[str, str] = {}
    values: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    try:
        for triple in pyoxigraph.parse(content, form, base_iri=ITEM):
            if isinstance(triple.subject, pyoxigraph.NamedNode):
                if triple.predicate.value == f"{RDF}type" and isinstance(triple.object, pyoxigraph.NamedNode):
                    types[triple.subject.value] = triple.object.value
                else:
                    values[triple.subject.value].append((triple.predicate.value, triple.object))
    except SyntaxError as error:
        raise EdmError(f"it is no RDF ({error})") from None
    root = Element("root")
    for subject, kind in types.items():
        node = ElementTree.SubElement(root, _tag(kind), {ABOUT: subject})
        for predicate, value in values[subject]:
            if isinstance(value, pyoxigraph.NamedNode):
                ElementTree.SubElement(node, _tag(predicate), {RESOURCE: value.value})
            elif isinstance(value, pyoxigraph.Literal):
                language = {LANGUAGE: value.language} if value.language else {}
                ElementTree.SubElement(node, _tag(predicate), language).text = value.value
    return root


def _tag(iri: str) -> str:
    """`{namespace}name`, as ElementTree writes a name."""
    cut = max(iri.rfind("#"), iri.rfind("/")) + 1
    return f"{{{iri[:cut]}}}{iri[cut:]}"


def _by_tag(node: Iterable[Element]) -> dict[str, list[Element]]:
    """The children of a node by what they are."""
    found: dict[str, list[Element]] = {}
    for child in node:
        found.setdefault(child.tag, []).append(child)
    return found


def _texts(elements: list[Element]) -> list[str]:
    return [element.text for element in elements if element.text]


def _values(elements: list[Element]) -> list[str]:
    """The URIs and the texts of statements."""
    return [value for element in elements if (value := element.get(RESOURCE) or element.text)]


def _links(statements: Mapping[str, list[Element]], tag: str) -> list[str]:
    return [uri for element in statements.get(tag, []) if (uri := element.get(RESOURCE))]


def _by_language(elements: list[Element]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for element in elements:
        if value := element.get(RESOURCE) or element.text:
            found.setdefault(element.get(LANGUAGE, NO_LANGUAGE), []).append(value)
    return found
