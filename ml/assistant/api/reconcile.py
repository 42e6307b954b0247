"""OpenRefine's reconciliation service: finds AAT concepts for texts, and tells what lies around them.

Source: W3C Community Group report "Reconciliation Service API v0.2",
https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/. Bodies are JSON or a form.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from ml.assistant.api.common import Refused, ServiceDep
from ml.assistant.api_schemas import Language
from ml.assistant.search import LONGEST_QUERY, fold
from ml.assistant.service import AssistantService
from ml.assistant.vocabulary import AAT, Term
from pipeline.texts import loads
from pipeline.vocabulary.identifiers import aat_id

router = APIRouter(prefix="/reconcile", tags=["reconciliation"])
CONCEPT = "http://www.w3.org/2004/02/skos/core#Concept"  # every tag is one, so that it restricts nothing
MOST_QUERIES = 50
MOST_CANDIDATES = 100
CANDIDATES = 5  # if the query names no limit
SUGGESTIONS = 20  # at once; `cursor` leads to the next ones
MOST_SUGGESTIONS = 200
MOST_IDS = 1_000  # concepts whose properties are asked for at once
MOST_PROPERTIES = 20
PROPERTIES = {"broader": "broader concept", "facet": "facet", "scope_note": "scope note"}
FIELDS = ("queries", "extend")
FORM = {"type": "object", "properties": {name: {"type": "string"} for name in FIELDS}}
CONTENT_TYPES = ("application/x-www-form-urlencoded", "application/json")
BODY = {"requestBody": {"content": {kind: {"schema": FORM} for kind in CONTENT_TYPES}}}
Prefix = Annotated[str, Query(max_length=200)]
Cursor = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("")
def manifest(
    request: Request, service: ServiceDep, queries: str | None = None, extend: str | None = None, lang: Language = "en"
) -> dict[str, Any]:
    """The service's manifest; with `queries`, the candidates for them; with `extend`, properties of concepts."""
    if queries is not None or extend is not None:
        return _answer(service, {"queries": queries, "extend": extend}, lang)
    address = str(request.base_url).rstrip("/")

    def at(path: str) -> dict[str, str]:
        return {"service_url": address, "service_path": f"/reconcile{path}"}

    return {
        "versions": ["0.2"],
        "name": "AAT tags of the EUFCC annotation assistant",
        "identifierSpace": AAT,
        "schemaSpace": CONCEPT,
        "defaultTypes": [_type(facet) for facet in service.vocabulary.facets],
        "view": {"url": "https://vocab.getty.edu/aat/{{id}}"},
        "suggest": {kind: at(f"/suggest/{kind}") for kind in ("entity", "type", "property")},
        "extend": {"propose_properties": at("/properties"), "property_settings": []},
        "batchSize": MOST_QUERIES,
    }


@router.post("", openapi_extra=BODY)
async def reconcile(request: Request, service: ServiceDep, lang: Language = "en") -> dict[str, Any]:
    """Candidates for each of several `queries`, or properties of concepts (`extend`); a form or JSON."""
    fields = _fields(request.headers.get("content-type", ""), await request.body())
    # Folding and searching take a while for a full batch; other requests go on meanwhile.
    return await run_in_threadpool(_answer, service, fields, lang)


@router.get("/suggest/entity")
def suggest_entity(service: ServiceDep, prefix: Prefix, cursor: Cursor = 0, lang: Language = "en") -> dict[str, Any]:
    """Concepts whose labels contain the typed words, or the concept whose URI or id was pasted."""
    if tag := aat_id(prefix, bare=True):
        terms = [service.vocabulary.terms[tag]] if tag in service.vocabulary else []
    else:
        terms = [hit.term for hit in service.index.search(prefix, lang, limit=MOST_SUGGESTIONS)]
    return {
        "result": [
            {
                "id": term.tag_id,
                "name": term.label(lang).text,
                "description": _where(service, term, lang),
                "notable": [_type(term.facet)],
            }
            for term in terms[cursor : cursor + SUGGESTIONS]
        ]
    }


@router.get("/suggest/type")
def suggest_type(service: ServiceDep, prefix: Prefix = "", cursor: Cursor = 0) -> dict[str, Any]:
    """The facets whose names contain the typed words."""
    types = [_type(facet) for facet in service.vocabulary.facets]
    return {"result": [each for each in types if fold(prefix) in fold(each["name"])][cursor:]}


@router.get("/suggest/property")
def suggest_property(prefix: Prefix = "", cursor: Cursor = 0) -> dict[str, Any]:
    """The properties whose names contain the typed words."""
    return {"result": [each for each in _properties() if fold(prefix) in fold(each["name"])][cursor:]}


@router.get("/properties")
def propose_properties(
    type: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = MOST_PROPERTIES,
) -> dict[str, Any]:
    """What `extend` can be asked for; the same for concepts of every facet."""
    return {"properties": _properties()[:limit], **({"type": type} if type else {}), "limit": limit}


def _fields(content_type: str, body: bytes) -> Mapping[str, Any]:
    """The fields of a request's body. Raises Refused."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        content = _parsed(body, "The body")
        if not isinstance(content, dict):
            raise Refused(400, "bad_queries", "The body must be a JSON object with `queries` or `extend`.")
        return content
    if kind not in ("", CONTENT_TYPES[0]):
        raise Refused(415, "unsupported_form", f"Send `queries` as {' or '.join(CONTENT_TYPES)}, not as {kind[:60]}.")
    try:
        form = parse_qs(body.decode("utf-8"), max_num_fields=10)
    except ValueError as error:
        raise Refused(400, "bad_form", "The form cannot be read.") from error
    return {name: values[0] for name, values in form.items()}


def _answer(service: AssistantService, fields: Mapping[str, Any], language: str) -> dict[str, Any]:
    queries, extend = (_parsed(fields.get(name), f"`{name}`") for name in FIELDS)
    if queries is None and extend is None:
        raise Refused(400, "bad_queries", "The request has neither `queries` nor `extend`.")
    if queries is None:
        return _extended(service, extend, language)
    if not isinstance(queries, dict) or len(queries) > MOST_QUERIES:
        raise Refused(400, "bad_queries", f"`queries` must be an object of at most {MOST_QUERIES} queries.")
    return {name: _result(service, query, language) for name, query in queries.items()}


def _parsed(value: Any, name: str) -> Any:
    """The value, or what it says if it is JSON as text."""
    if not isinstance(value, str | bytes):
        return value
    try:
        return loads(value)
    except ValueError as error:
        raise Refused(400, "bad_queries", f"{name} is not valid JSON.") from error


def _result(service: AssistantService, query: object, language: str) -> dict[str, Any]:
    """The candidates for one query; none, and the reason, for a query that cannot be read."""
    if not isinstance(query, dict):
        return {"result": [], "error": "A query must be an object."}
    text = query.get("query", "" if query.get("properties") else None)
    if not isinstance(text, str):
        return {"result": [], "error": "A query must have a text in `query`."}
    limit = _limit(query.get("limit"))
    if limit is None:
        return {"result": [], "error": "`limit` must be a whole number from 1."}
    facets = _facets(service, query)
    if facets is None:
        return {"result": [], "error": "`type` must be an id, an object with an id, or a list of these."}
    if tag := aat_id(text, bare=True):
        term = service.vocabulary.terms.get(tag)
        terms = [term] if term is not None and term.facet in facets else []
        return {"result": [_candidate(service, each, language, 100, match=True) for each in terms]}
    return {"result": _candidates(service, text, facets, limit, language)}


def _candidates(
    service: AssistantService, text: str, facets: list[str], limit: int, language: str
) -> list[dict[str, Any]]:
    if not facets:
        return []
    # Two at least, so that a second concept of the same name is seen.
    some = facets if len(facets) < len(service.vocabulary.facets) else None
    hits = service.index.search(text, language, facet=some, limit=max(limit, 2))
    folded = fold(text) if len(text) <= LONGEST_QUERY else None  # of a longer text the search sees only the beginning
    exact = {hit.term.tag_id for hit in hits if fold(hit.text) == folded}
    return [
        _candidate(
            service,
            hit.term,
            language,
            100 if hit.term.tag_id in exact else max(1, 80 - 5 * rank),
            match=exact == {hit.term.tag_id},  # two homographs match neither
        )
        for rank, hit in enumerate(hits[:limit])
    ]


def _candidate(service: AssistantService, term: Term, language: str, score: int, *, match: bool) -> dict[str, Any]:
    return {
        "id": term.tag_id,
        "name": term.label(language).text,
        "description": _where(service, term, language),
        "type": [_type(term.facet)],
        "score": score,
        "match": match,
    }


def _limit(value: object) -> int | None:
    """The number of candidates that a query asks for; None if that is no number of candidates."""
    if value is None:
        return CANDIDATES
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1e9:
        return None
    return min(int(value), MOST_CANDIDATES)


def _facets(service: AssistantService, query: Mapping[str, Any]) -> list[str] | None:
    """The facets that candidates may be of; None if the query's `type` cannot be read.

    `type_strict`: with `should` a type is a wish, with `all` a candidate is of every type; a concept has one facet.
    """
    given, known = query.get("type"), list(service.vocabulary.facets)
    listed = given if isinstance(given, list) else [given] if given else []
    ids = [each.get("id") if isinstance(each, dict) else each for each in listed]
    if not all(isinstance(each, str) for each in ids):
        return None
    wanted = set(ids) - {"", CONCEPT}
    if not wanted or query.get("type_strict") == "should":
        return known
    if query.get("type_strict") == "all" and len(wanted) > 1:
        return []
    return [facet for facet in known if facet in wanted]


def _extended(service: AssistantService, extend: object, language: str) -> dict[str, Any]:
    """The properties of concepts ("data extension"). Raises Refused."""
    ids, properties = (extend.get(name) for name in ("ids", "properties")) if isinstance(extend, dict) else (None, None)
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids) or len(ids) > MOST_IDS:
        raise Refused(400, "bad_extend", f"`extend` needs `ids`, a list of at most {MOST_IDS} ids.")
    if not isinstance(properties, list) or len(properties) > MOST_PROPERTIES:
        raise Refused(400, "bad_extend", f"`extend` needs `properties`, a list of at most {MOST_PROPERTIES}.")
    asked = [each.get("id") if isinstance(each, dict) else each for each in properties]
    names = [each for each in asked if isinstance(each, str) and each in PROPERTIES]
    if len(names) < len(asked):
        raise Refused(400, "bad_extend", f"`properties` may have the ids {', '.join(PROPERTIES)}.")
    return {
        "meta": [each for name in names for each in _properties() if each["id"] == name],
        "rows": {each: {name: _values(service, each, name, language) for name in names} for each in ids},
    }


def _values(service: AssistantService, given: str, name: str, language: str) -> list[dict[str, str]]:
    term = service.vocabulary.terms.get(aat_id(given, bare=True) or "")
    if term is None:
        return []
    if name == "broader":
        above = [service.vocabulary.terms[parent] for parent in term.parents]
        return [{"id": each.tag_id, "name": each.label(language).text} for each in above]
    if name == "facet":
        return [{"str": _type(term.facet)["name"]}]
    note = term.scope_notes.get(language) or term.scope_notes.get("en")
    return [{"str": note}] if note else []


def _properties() -> list[dict[str, str]]:
    return [{"id": name, "name": title} for name, title in PROPERTIES.items()]


def _where(service: AssistantService, term: Term, language: str) -> str:
    """The path above the concept, which distinguishes homographs."""
    path = service.vocabulary.path(term.tag_id)[:-1]
    return " › ".join(service.vocabulary.terms[tag].label(language).text for tag in path)


def _type(facet: str) -> dict[str, str]:
    return {"id": facet, "name": facet.replace("_", " ")}
