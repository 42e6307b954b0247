"""OpenRefine's reconciliation service: finds AAT concepts for texts.

Source: W3C Community Group report "Reconciliation Service API v0.2", https://www.w3.org/community/reports/reconciliation/.
"""

import json
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request

from ml.assistant.api.common import Refused, ServiceDep
from ml.assistant.api_schemas import Language
from ml.assistant.search import Hit, fold
from ml.assistant.service import AssistantService
from ml.assistant.vocabulary import AAT

router = APIRouter(prefix="/reconcile", tags=["reconciliation"])
MOST_QUERIES = 50
FORM = {"type": "object", "properties": {"queries": {"type": "string"}}}
BODY = {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": FORM}}}}


@router.get("")
def manifest(
    request: Request, service: ServiceDep, queries: str | None = None, lang: Language = "en"
) -> dict[str, Any]:
    """The service's manifest; with `queries`, the candidates for them."""
    if queries is not None:
        return _answers(service, queries, lang)
    suggest = {"service_url": str(request.base_url).rstrip("/"), "service_path": "/reconcile/suggest/entity"}
    return {
        "versions": ["0.2"],
        "name": "AAT tags of the EUFCC annotation assistant",
        "identifierSpace": AAT,
        "schemaSpace": "http://www.w3.org/2004/02/skos/core#Concept",
        "defaultTypes": [_type(facet) for facet in service.vocabulary.facets],
        "view": {"url": "https://vocab.getty.edu/aat/{{id}}"},
        "suggest": {"entity": suggest},
        "batchSize": MOST_QUERIES,
    }


@router.post("", openapi_extra=BODY)
async def reconcile(request: Request, service: ServiceDep, lang: Language = "en") -> dict[str, Any]:
    """Candidates for each of several queries, in the form field `queries`."""
    try:
        form = parse_qs((await request.body()).decode("utf-8"), max_num_fields=10)
    except ValueError as error:
        raise Refused(400, "bad_form", "The form cannot be read.") from error
    return _answers(service, form.get("queries", ["{}"])[0], lang)


@router.get("/suggest/entity")
def suggest_entity(
    service: ServiceDep, prefix: Annotated[str, Query(max_length=200)], lang: Language = "en"
) -> dict[str, Any]:
    """Concepts whose labels contain the typed words."""
    hits = service.index.search(prefix, lang, limit=20)
    return {
        "result": [
            {
                "id": hit.term.tag_id,
                "name": hit.term.label(lang).text,
                "description": _where(service, hit, lang),
                "notable": [_type(hit.term.facet)],
            }
            for hit in hits
        ]
    }


def _answers(service: AssistantService, text: str, language: str) -> dict[str, Any]:
    try:
        queries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "bad_queries", "`queries` is not valid JSON.") from error
    if not isinstance(queries, dict) or len(queries) > MOST_QUERIES:
        raise Refused(400, "bad_queries", f"`queries` must be an object of at most {MOST_QUERIES} queries.")
    return {str(name): {"result": _candidates(service, query, language)} for name, query in queries.items()}


def _candidates(service: AssistantService, query: object, language: str) -> list[dict[str, Any]]:
    if not isinstance(query, dict) or not isinstance(query.get("query"), str):
        raise Refused(400, "bad_queries", "Each query must be an object with a text in `query`.")
    limit = query.get("limit", 5)
    kind = query.get("type")
    facet = kind if isinstance(kind, str) and kind in service.vocabulary.facets else None
    most = limit if isinstance(limit, int) and 1 <= limit <= 100 else 5
    hits = service.index.search(query["query"], language, facet=facet, limit=most)
    exact = [hit for hit in hits if fold(hit.text) == fold(query["query"])]
    return [
        {
            "id": hit.term.tag_id,
            "name": hit.term.label(language).text,
            "description": _where(service, hit, language),
            "type": [_type(hit.term.facet)],
            "score": 100 if hit in exact else max(1, 80 - 5 * rank),
            "match": exact == [hit],  # two homographs match neither
        }
        for rank, hit in enumerate(hits)
    ]


def _where(service: AssistantService, hit: Hit, language: str) -> str:
    """The path above the concept, which distinguishes homographs."""
    path = service.vocabulary.path(hit.term.tag_id)[:-1]
    return " › ".join(service.vocabulary.terms[tag].label(language).text for tag in path)


def _type(facet: str) -> dict[str, str]:
    return {"id": facet, "name": facet.replace("_", " ")}
