"""Europeana's Entity API: one concept, several at once, or the one that matches a URI of another vocabulary."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.sandbox.answers import Refusal, dumps, json_answer
from pipeline.sandbox.museum import ENTITY_CONTEXT, Museum
from pipeline.texts import loads

DATA = "http://data.europeana.eu/"
MAX_URIS = 1000


class EntityApi:
    """Answers for the concepts of a museum."""

    def __init__(self, museum: Museum) -> None:
        self.museum = museum

    async def entity(self, request: Request, key: str) -> Response:
        """`/entity/concept/<number>`, also with `base/` before the number and `.json` or `.jsonld` after it."""
        number = re.sub(r"\.(json|jsonld)$", "", request.path_params["number"])
        base = "base/" if request.path_params.get("base") else ""
        uri = f"{DATA}concept/{base}{number}"
        entity = self.museum.entity(uri)
        if entity is None:
            return _not_found(key, "/entity", f"No entity found for ID : {uri}")
        return _ld_json({"@context": ENTITY_CONTEXT} | entity)

    async def retrieve(self, request: Request, key: str) -> Response:
        """`/entity/retrieve`: the concepts of a list of URIs; the unknown are left out."""
        try:
            uris = loads(await request.body())
        except ValueError:
            uris = None
        if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris) or len(uris) > MAX_URIS:
            raise Refusal(400, f"The body must be a JSON list of at most {MAX_URIS} entity URIs")
        items = [entity for uri in dict.fromkeys(uris) if (entity := self.museum.entity(uri)) is not None]
        page = {"@context": ENTITY_CONTEXT, "type": "ResultPage", "total": len(items)}
        return _ld_json(page | ({"items": items} if items else {}))

    async def resolve(self, request: Request, key: str) -> Response:
        """`/entity/resolve?uri=…`: a redirect to the concept that matches exactly."""
        uri = request.query_params.get("uri", "")
        for entity in self.museum.entities.values():
            if uri in entity.get("exactMatch", []):
                return RedirectResponse(f"https://api.europeana.eu/entity/{entity['id'].removeprefix(DATA)}.json", 301)
        return _not_found(key, "/entity/resolve", f"No entity found for sameAs/exactMatch URI : {uri}")


def _not_found(key: str, action: str, error: str) -> Response:
    return json_answer({"apikey": key, "action": action, "success": False, "error": error}, status=404)


def _ld_json(body: dict[str, Any]) -> Response:
    return Response(dumps(body), media_type="application/ld+json;charset=utf-8")
