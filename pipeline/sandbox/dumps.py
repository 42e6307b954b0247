"""Europeana's weekly dumps of the local museum, in EDM.

`/dataset/XML/` lists a zip for each dataset, and `/dataset/XML/<dataset>.zip` holds its records. As on
download.europeana.eu there is one file a record, named after its local id. `NT` in place of `XML` gives N-Triples.
"""

import hashlib
import io
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

import pyoxigraph
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipeline.harvest.edm import ABOUT, DC, DCTERMS, EDM, FOAF, ITEM, LANGUAGE, MIME, NO_LANGUAGE, ORE, RESOURCE, SKOS
from pipeline.images.wanted import source_of_thumbnail
from pipeline.sandbox.museum import Museum
from pipeline.sandbox.query import Search
from pipeline.sandbox.records import record_object

DATA = "http://data.europeana.eu"
SUFFIXES = {"XML": ".xml", "NT": ".nt"}
DATE = (2026, 8, 2, 20, 0, 0)  # of every file: a Sunday evening
Element = ElementTree.Element


class DumpServer:
    """The dumps of a museum, written when they are asked for."""

    def __init__(self, museum: Museum) -> None:
        self.museum = museum

    async def listing(self, request: Request) -> Response:
        """A folder's page, as web servers write it: a link for each zip."""
        if request.path_params["form"] not in SUFFIXES:
            return Response("Not Found", 404, media_type="text/plain")
        links = "".join(f'<a href="{name}.zip">{name}.zip</a>\n' for name in datasets(self.museum))
        return HTMLResponse(f"<html><body><pre>\n{links}</pre></body></html>")

    async def dataset(self, request: Request) -> Response:
        """A zip, or the part of it that a Range header asks for while it is still the one that If-Range names."""
        form, name = request.path_params["form"], request.path_params["name"].removesuffix(".zip")
        positions = datasets(self.museum).get(name) if form in SUFFIXES else None
        if positions is None:
            return Response("Not Found", 404, media_type="text/plain")
        content = zipped(self.museum, positions, form)
        begin = request.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
        same = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if begin.isdecimal() and 0 < int(begin) < len(content) and request.headers.get("if-range") == same["ETag"]:
            span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return Response(content[int(begin) :], 206, same | {"Content-Range": span}, "application/zip")
        return Response(content, headers=same, media_type="application/zip")


def datasets(museum: Museum) -> Mapping[str, list[int]]:
    """The records of each dataset, by the first part of their ids."""
    found: dict[str, list[int]] = defaultdict(list)
    for position in museum.find(Search(sort=(("europeana_id", False),))):
        found[museum.record_id(position).split("/")[1]].append(position)
    return found


def zipped(museum: Museum, positions: list[int], form: str) -> bytes:
    """The zip with these records; the same records give the same bytes."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for position in positions:
            name = museum.record_id(position).split("/", 2)[2].replace("/", "_")
            content = edm(museum, museum.item(position))
            if form == "NT":
                triples = pyoxigraph.parse(content, pyoxigraph.RdfFormat.RDF_XML)
                content = pyoxigraph.serialize(triples, format=pyoxigraph.RdfFormat.N_TRIPLES) or b""
            archive.writestr(zipfile.ZipInfo(name + SUFFIXES[form], DATE), content, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def edm(museum: Museum, item: Mapping[str, Any]) -> bytes:
    """A record in EDM, as the dumps write it, from its search item."""
    root = Element("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF")
    record_id = item["id"]
    _node(root, f"{EDM}ProvidedCHO", f"{ITEM}{record_id}")
    previews = [source_of_thumbnail(url) or url for url in item.get("edmPreview", [])]
    for url in dict.fromkeys([*previews, *item.get("edmIsShownBy", [])]):
        _text(_node(root, f"{EDM}WebResource", url), MIME, "image/jpeg")
    _add_concepts(root, museum, item)
    for name in _texts(item.get("edmPlaceLabel")):
        _text(_node(root, f"{EDM}Place", f"#place-{zlib.crc32(name.encode())}"), f"{SKOS}prefLabel", name)
    own = _node(root, f"{ORE}Aggregation", f"{DATA}/aggregation/provider{record_id}")
    _add_organisations(root, own, item)
    for name, key in (("isShownAt", "edmIsShownAt"), ("isShownBy", "edmIsShownBy"), ("rights", "rights")):
        for url in item.get(key, []):
            _link(own, EDM + name, url)
    _add_proxies(root, item)
    european = _node(root, f"{EDM}EuropeanaAggregation", f"{DATA}/aggregation/europeana{record_id}")
    for name, key in (("datasetName", "edmDatasetName"), ("country", "country"), ("language", "language")):
        for text in item.get(key, []):
            _text(european, EDM + name, text)
    for url in previews:
        _link(european, f"{EDM}preview", url)
    for name, key in (("created", "timestamp_created"), ("modified", "timestamp_update")):
        if key in item:
            _text(european, DCTERMS + name, item[key])
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_concepts(root: Element, museum: Museum, item: Mapping[str, Any]) -> None:
    described = {concept["about"]: concept for concept in record_object(museum, item).get("concepts", [])}
    nodes = [_node(root, f"{SKOS}Concept", uri) for uri in item.get("edmConcept", [])]
    for node in nodes:
        concept = described.get(node.get(ABOUT, ""), {})
        for name in ("prefLabel", "altLabel"):
            for language, labels in concept.get(name, {}).items():
                for label in _texts(labels):
                    _text(node, SKOS + name, label, language)
        for name in ("exactMatch", "closeMatch", "broader"):
            for uri in _texts(concept.get(name)):
                _link(node, SKOS + name, uri)
    if nodes:  # labels that the item has of concepts which nothing here describes: searched, and no preferred ones
        for language, labels in item.get("edmConceptPrefLabelLangAware", {}).items():
            for label in _texts(labels):
                _text(nodes[0], f"{SKOS}hiddenLabel", label, language)


def _add_organisations(root: Element, aggregation: Element, item: Mapping[str, Any]) -> None:
    for key in ("dataProvider", "provider"):
        for name in item.get(key, []):
            uri = f"{DATA}/organization/{zlib.crc32(name.encode())}"
            _link(aggregation, EDM + key, uri)
            _text(_node(root, f"{FOAF}Organization", uri), f"{SKOS}prefLabel", name, "en")


def _add_proxies(root: Element, item: Mapping[str, Any]) -> None:
    own = _node(root, f"{ORE}Proxy", f"{DATA}/proxy/provider{item['id']}")
    titles = item.get("dcTitleLangAware") or {NO_LANGUAGE: item.get("title", [])}
    by_language = {"title": titles, "type": item.get("dcTypeLangAware"), "subject": item.get("dcSubjectLangAware")}
    for name, values in by_language.items():
        for language, texts in (values or {}).items():
            for text in _texts(texts):
                _statement(own, DC + name, text, language)
    for name, key in (("creator", "dcCreator"), ("contributor", "dcContributor"), ("description", "dcDescription")):
        for text in item.get(key, []):
            _statement(own, DC + name, text, NO_LANGUAGE)
    _text(own, f"{EDM}type", item.get("type", "IMAGE"))
    _text(own, f"{EDM}europeanaProxy", "false")
    european = _node(root, f"{ORE}Proxy", f"{DATA}/proxy/europeana{item['id']}")
    _text(european, f"{EDM}europeanaProxy", "true")


def _node(root: Element, tag: str, about: str) -> Element:
    return ElementTree.SubElement(root, tag, {ABOUT: about})


def _statement(node: Element, tag: str, text: str, language: str) -> None:
    """A URI without a language is a link, anything else words."""
    if language == NO_LANGUAGE and text.startswith(("http://", "https://")):
        _link(node, tag, text)
    else:
        _text(node, tag, text, language)


def _link(node: Element, tag: str, uri: str) -> None:
    ElementTree.SubElement(node, tag, {RESOURCE: uri})


def _text(node: Element, tag: str, text: str, language: str = NO_LANGUAGE) -> None:
    attributes = {} if language == NO_LANGUAGE else {LANGUAGE: language}
    ElementTree.SubElement(node, tag, attributes).text = text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        yield from (text for text in value if isinstance(text, str))
