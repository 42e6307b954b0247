"""The shape that clients of Annif know (`/v1/projects/{id}/suggest`), with an image where Annif takes a text.

One project a model and facet, as a project of Annif has one vocabulary. The body is the image itself (`image/*`), or
a form whose `text` is a `data:` URL. Source: Annif's REST API, https://api.annif.org/v1/ui/.
"""

import base64
import binascii
from typing import Annotated, Any
from urllib.parse import parse_qs
from uuid import uuid4

from fastapi import APIRouter, Query, Request

from ml.assistant.api.common import DeskHere, Refused, body_of, refuse_other_types
from ml.assistant.api_schemas import Language
from ml.assistant.service import Desk
from ml.assistant.vocabulary import LANGUAGES
from pipeline import FACETS

router = APIRouter(prefix="/v1", tags=["Annif"])
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"text": {"type": "string", "description": "a data: URL"}}}
            },
        },
    }
}


@router.get("/")
def about() -> dict[str, str]:
    """Name and version of the API."""
    return {"title": "EUFCC annotation assistant, in the shape of Annif's REST API", "version": "v1"}


@router.get("/projects")
def projects(desk: DeskHere) -> dict[str, Any]:
    """One project per model and facet."""
    return {"projects": [_project(desk, key, facet) for key in desk.models.infos for facet in FACETS]}


@router.get("/projects/{project_id}")
def project(project_id: str, desk: DeskHere) -> dict[str, Any]:
    """One project."""
    return _project(desk, *_model_and_facet(desk, project_id))


@router.post("/projects/{project_id}/suggest", openapi_extra=BODY)
async def suggest(
    project_id: str,
    request: Request,
    desk: DeskHere,
    limit: Annotated[int | None, Query(ge=1, le=100)] = None,
    threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
    language: Language | None = None,
) -> dict[str, Any]:
    """Tags for the image, best first: `{"results": [{"uri", "label", "notation", "score"}]}`."""
    key, facet = _model_and_facet(desk, project_id)
    data, given = await _image_of(request)
    most = limit or max(1, min(100, int(_number(given.get("limit"), 10))))
    picture = await desk.decode(data)
    _, facets = await desk.suggest(uuid4().hex, picture.jpeg, model=key, limit=most)
    least = threshold if threshold is not None else _number(given.get("threshold"), 0.0)
    words = language or given.get("language", "en")
    found = facets[facet].tags if facet in facets else []
    return {
        "results": [
            {
                "uri": desk.vocabulary.terms[tag].uri,
                "label": desk.vocabulary.terms[tag].label(words if words in LANGUAGES else "en").text,
                "notation": tag,
                "score": score,
            }
            for tag, score in found
            if score >= least
        ]
    }


def _project(desk: Desk, key: str, facet: str) -> dict[str, Any]:
    return {
        "project_id": f"{key}.{facet}",
        "name": f"{key}: {facet.replace('_', ' ')}",
        "language": "en",
        "backend": {"backend_id": key},
        "vocab": {"vocab_id": f"aat-{facet}", "languages": list(LANGUAGES)},
        "vocab_language": "en",
        "is_trained": True,
        "modification_time": None,
    }


def _model_and_facet(desk: Desk, project_id: str) -> tuple[str, str]:
    key, _, facet = project_id.rpartition(".")
    if key not in desk.models.infos or facet not in FACETS:
        raise Refused(404, "no_such_project", "There is no such project; see /v1/projects.")
    return key, facet


async def _image_of(request: Request) -> tuple[bytes, dict[str, str]]:
    """The image in the body, and what else a form says."""
    refuse_other_types(request)
    body = await body_of(request)
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body, {}
    try:
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8"), max_num_fields=10).items()}
    except ValueError as error:
        raise Refused(400, "bad_form", "The form cannot be read.") from error
    head, comma, encoded = form.pop("text", "").partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise Refused(415, "not_an_image", "These projects take images: send the file, or a data: URL as `text`.")
    try:
        return base64.b64decode(encoded.replace(" ", "+"), validate=True), form
    except binascii.Error as error:
        raise Refused(422, "bad_form", "The data: URL is no base64.") from error


def _number(text: str | None, otherwise: float) -> float:
    if text is None:
        return otherwise
    try:
        value = float(text)
    except ValueError as error:
        raise Refused(422, "invalid", "limit and threshold are numbers.") from error
    if not abs(value) < 1e6:
        raise Refused(422, "invalid", "limit and threshold are small numbers.")
    return value
