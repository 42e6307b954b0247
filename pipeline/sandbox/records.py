"""Europeana's Record API: one record as `/record/v2/<dataset>/<local>.json`, built from its search item."""

import hashlib
from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from typing import Any

import pyoxigraph
from starlette.requests import Request
from starlette.responses import Response

from pipeline.sandbox.answers import Refusal, json_answer, not_modified
from pipeline.sandbox.index import moment
from pipeline.sandbox.museum import Museum
from pipeline.vocabulary.identifiers import aat_id

SKOS = "http://www.w3.org/2004/02/skos/core#"
GVP = "http://vocab.getty.edu/ontology#"
API_VERSION = "local-1"


class RecordApi:
    """Answers for the records of a museum."""

    def __init__(self, museum: Museum) -> None:
        self.museum = museum

    async def record(self, request: Request, key: str) -> Response:
        """`/record/v2/<dataset>/<local>.json`, or 304 when the caller has it already."""
        record_id = f"/{request.path_params['dataset']}/{request.path_params['local'].removesuffix('.json')}"
        position = self.museum.position(record_id)
        if position is None:
            raise Refusal(404, f"Invalid record identifier: {record_id}")
        item = self.museum.item(position)
        headers = validators(item)
        if not_modified(request, headers):
            return Response(None, 304, headers=headers)
        body = {"apikey": key, "success": True, "statsDuration": 1, "requestNumber": 999}
        return json_answer(body | {"object": record_object(self.museum, item)}, headers=headers)


def record_object(museum: Museum, item: Mapping[str, Any]) -> dict[str, Any]:
    """The `object` of a Record API answer for a search item."""
    return _stated(
        about=item["id"],
        aggregations=[_aggregation(item)],
        concepts=[concept for uri in item.get("edmConcept", []) if (concept := _concept(museum, uri))],
        edmDatasetName=item.get("edmDatasetName"),
        europeanaAggregation=_europeana_aggregation(item),
        europeanaCollectionName=item.get("edmDatasetName"),
        europeanaCompleteness=item.get("europeanaCompleteness"),
        providedCHOs=[{"about": f"/item{item['id']}"}],
        proxies=_proxies(item),
        timestamp_created=item.get("timestamp_created"),
        timestamp_update=item.get("timestamp_update"),
        title=item.get("title"),
        type=item.get("type"),
    )


def validators(item: Mapping[str, Any]) -> dict[str, str]:
    """ETag (weak, from id, update and API version), Last-Modified and Cache-Control of a record."""
    updated = item.get("timestamp_update", "")
    digest = hashlib.sha256(f"{item['id']}{updated}{API_VERSION}".encode()).hexdigest()[:32]
    headers = {"ETag": f'W/"{digest}"', "Cache-Control": "public, max-age=86400"}
    if updated:
        headers["Last-Modified"] = format_datetime(moment(updated), usegmt=True)
    return headers


def _aggregation(item: Mapping[str, Any]) -> dict[str, Any]:
    image = _first(item.get("edmIsShownBy"))
    return _stated(
        about=f"/aggregation/provider{item['id']}",
        aggregatedCHO=f"/item{item['id']}",
        edmDataProvider=_plain(item.get("dataProvider")),
        edmIsShownAt=_first(item.get("edmIsShownAt")),
        edmIsShownBy=image,
        edmObject=_first(item.get("edmObject")),
        edmProvider=_plain(item.get("provider")),
        edmRights=_plain(item.get("rights")),
        edmUgc="false",
        hasView=item.get("hasView"),
        webResources=[{"about": image}] if image else None,
    )


def _europeana_aggregation(item: Mapping[str, Any]) -> dict[str, Any]:
    return _stated(
        about=f"/aggregation/europeana{item['id']}",
        aggregatedCHO=f"/item{item['id']}",
        edmCountry=_plain(item.get("country")),
        edmLandingPage=f"https://www.europeana.eu/item{item['id']}",
        edmLanguage=_plain(item.get("language")),
        edmPreview=_first(item.get("edmPreview")),
    )


def _proxies(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Europeana's enrichments, which are its own concepts among the record's, and the provider's statements."""
    record_id = item["id"]
    subjects = _uris(item.get("dcTypeLangAware", {})) | _uris(item.get("dcSubjectLangAware", {}))
    others = [uri for uri in item.get("edmConcept", []) if uri not in subjects]
    enriched = [uri for uri in others if uri.startswith("http://data.europeana.eu/")]
    europeana = _stated(
        about=f"/proxy/europeana{record_id}",
        dcSubject=_plain(enriched),
        edmType=item.get("type"),
        europeanaProxy=True,
        lineage=[f"/proxy/provider{record_id}"],
        proxyFor=f"/item{record_id}",
        proxyIn=[f"/aggregation/europeana{record_id}"],
    )
    provider = _stated(
        about=f"/proxy/provider{record_id}",
        dcTitle=item.get("dcTitleLangAware"),
        dcType=item.get("dcTypeLangAware"),
        dcSubject=item.get("dcSubjectLangAware"),
        dctermsMedium=_plain([uri for uri in others if uri not in enriched]),
        edmType=item.get("type"),
        europeanaProxy=False,
        proxyFor=f"/item{record_id}",
        proxyIn=[f"/aggregation/provider{record_id}"],
    )
    return [europeana, provider]


def _concept(museum: Museum, uri: str) -> dict[str, Any] | None:
    """The concept as the Record API gives it: labels are lists, the id is `about`."""
    entity = museum.entity(uri)
    if entity is not None:
        preferred = {
            language: texts if isinstance(texts, list) else [texts]
            for language, texts in entity.get("prefLabel", {}).items()
            if texts
        }
        concept = {"about": uri, "prefLabel": preferred}
        links = ("altLabel", "note", "broader", "exactMatch", "closeMatch")
        return concept | {name: entity[name] for name in links if entity.get(name)}
    concept_id = aat_id(uri)
    return _aat_concept(museum.thesaurus, uri, concept_id) if concept_id else None


def _aat_concept(thesaurus: pyoxigraph.Store, uri: str, concept_id: str) -> dict[str, Any] | None:
    node = pyoxigraph.NamedNode(f"http://vocab.getty.edu/aat/{concept_id}")
    concept: dict[str, Any] = {"about": uri}
    for name in ("prefLabel", "altLabel"):
        labels: dict[str, list[str]] = {}
        for quad in thesaurus.quads_for_pattern(node, pyoxigraph.NamedNode(SKOS + name), None):
            if isinstance(quad.object, pyoxigraph.Literal):
                labels.setdefault(quad.object.language or "def", []).append(quad.object.value)
        if labels:
            concept[name] = {language: sorted(texts) for language, texts in sorted(labels.items())}
    parents = thesaurus.quads_for_pattern(node, pyoxigraph.NamedNode(GVP + "broaderPreferred"), None)
    broader = sorted(quad.object.value for quad in parents if isinstance(quad.object, pyoxigraph.NamedNode))
    if broader:
        concept["broader"] = broader
    return concept if len(concept) > 1 else None


def _stated(**fields: object) -> dict[str, Any]:
    """The fields that hold something."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _plain(values: Sequence[str] | None) -> dict[str, list[str]] | None:
    return {"def": list(values)} if values else None


def _first(values: Sequence[str] | None) -> str | None:
    return values[0] if values else None


def _uris(by_language: Mapping[str, Sequence[str]]) -> set[str]:
    return {text for texts in by_language.values() for text in texts if text.startswith(("http://", "https://"))}
