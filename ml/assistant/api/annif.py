"""Annif's REST API (`/v1/projects/{id}/suggest`, https://api.annif.org/v1/ui/), with an image in place of the text.

There is one project per model and facet, because a project of Annif has one vocabulary. The body is the image itself
(`image/*`), or a form with a `data:` URL in the field `text`.
"""

import base64
import binascii
import math
from itertools import product
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request

from ml.assistant.api.common import Refused, ServiceDep, body_of
from ml.assistant.api_schemas import Language
from ml.assistant.pictures import image_id_of
from ml.assistant.service import AssistantService
from ml.assistant.vocabulary import LANGUAGES

router = APIRouter(prefix="/v1", tags=["Annif"])
FORM = {"type": "object", "properties": {"text": {"type": "string", "description": "a data: URL"}}}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/x-www-form-urlencoded": {"schema": FORM},
        },
    }
}


@router.get("/")
def about() -> dict[str, str]:
    """Name and version of the API."""
    return {"title": "EUFCC annotation assistant, in the shape of Annif's REST API", "version": "v1"}


@router.get("/projects")
def projects(service: ServiceDep) -> dict[str, Any]:
    """One project per model and facet."""
    return {"projects": [_project(*pair) for pair in product(service.models.infos, service.vocabulary.facets)]}


@router.get("/projects/{project_id}")
def project(project_id: str, service: ServiceDep) -> dict[str, Any]:
    """One project."""
    return _project(*_model_and_facet(service, project_id))


@router.post("/projects/{project_id}/suggest", openapi_extra=BODY)
async def suggest(
    project_id: str,
    request: Request,
    service: ServiceDep,
    limit: Annotated[int | None, Query(ge=1, le=100)] = None,
    threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
    language: Language | None = None,
) -> dict[str, Any]:
    """Tags for the image, best first: `{"results": [{"uri", "label", "notation", "score"}]}`."""
    key, facet = _model_and_facet(service, project_id)
    data, fields = await _image_of(request)
    most = limit or max(1, min(100, int(_number(fields.get("limit"), 10))))
    least = threshold if threshold is not None else _number(fields.get("threshold"), 0.0)
    asked = language or fields.get("language", "en")
    picture = await service.decode(data)
    _, facets = await service.suggest(image_id_of(data), picture.jpeg, model=key, limit=most)
    tags = facets[facet].tags if facet in facets else []
    terms = service.vocabulary.terms
    return {
        "results": [
            {
                "uri": terms[tag].uri,
                "label": terms[tag].label(asked if asked in LANGUAGES else "en").text,
                "notation": tag,
                "score": score,
            }
            for tag, score in tags
            if score >= least
        ]
    }


def _project(key: str, facet: str) -> dict[str, Any]:
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


def _model_and_facet(service: AssistantService, project_id: str) -> tuple[str, str]:
    key, _, facet = project_id.rpartition(".")
    if key not in service.models.infos or facet not in service.vocabulary.facets:
        raise Refused(404, "no_such_project", "There is no such project; see /v1/projects.")
    return key, facet


async def _image_of(request: Request) -> tuple[bytes, dict[str, str]]:
    """The image in the body, and the other fields of a form."""
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
        raise Refused(422, "bad_form", "The data: URL is not valid base64.") from error


def _number(text: str | None, default: float) -> float:
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e6:
        raise Refused(422, "invalid", "limit and threshold must be small numbers.")
    return value
