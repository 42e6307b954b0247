"""The tags for IIIF viewers: an AnnotationPage of a manifest, and a manifest of a batch."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from ml.assistant.api.common import Refused, ServiceDep
from ml.assistant.api.exports import exported
from ml.assistant.api_schemas import Language
from ml.assistant.exports import iiif
from ml.assistant.exports.exported import ExportedImage
from ml.assistant.schema import images
from ml.assistant.service import AssistantService
from ml.assistant.settled import counted_decisions

router = APIRouter(prefix="/iiif", tags=["IIIF"])
MEDIA_TYPE = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'
Address = Annotated[str, Query(min_length=1, max_length=2000, description="the address of a manifest")]


@router.get("/annotations", response_class=Response)
async def annotations(request: Request, service: ServiceDep, manifest: Address, lang: Language = "en") -> Response:
    """The accepted tags of the images of a manifest as an AnnotationPage; each annotation targets its canvas."""
    found = await _images(service, images.c.manifest == manifest)
    return _answer(iiif.annotation_page(found, lang, str(request.url)))


@router.get("/manifest", response_class=Response)
async def manifest_of(
    request: Request,
    service: ServiceDep,
    manifest: Annotated[str | None, Query(max_length=2000, description="the address of a manifest")] = None,
    batch: Annotated[str | None, Query(max_length=64)] = None,
    lang: Language = "en",
) -> Response:
    """The images of a manifest or a batch with their accepted tags, as a manifest that any viewer shows."""
    if (manifest is None) == (batch is None):
        raise Refused(422, "invalid", "Give either the address of a manifest or a batch.")
    found = await _images(service, images.c.batch == batch if manifest is None else images.c.manifest == manifest)
    return _answer(_manifest(request, found, lang))


def _manifest(request: Request, found: list[ExportedImage], language: str) -> dict[str, Any]:
    def picture(image: ExportedImage) -> str:
        return str(request.url_for("picture_of", image_id=image.image_id))

    def canvas(image: ExportedImage) -> str:
        return f"{request.base_url!s}iiif/canvas/{image.image_id}"

    title = found[0].collection or found[0].title or "EUFCC"
    return iiif.manifest(found, language, str(request.url), title, picture, canvas)


async def _images(service: AssistantService, wanted: sa.ColumnElement[bool]) -> list[ExportedImage]:
    """The images with their accepted tags, in the order they were added. Raises Refused (404)."""
    query = sa.select(images).where(wanted, images.c.second_of.is_(None)).order_by(images.c.position)

    def rows() -> list[sa.Row]:
        with service.store.engine.connect() as connection:
            return list(connection.execute(query))

    found = await run_in_threadpool(rows)
    if not found:
        raise Refused(404, "no_such_manifest", "No image of this manifest or batch is in the queue.")
    decided = await run_in_threadpool(counted_decisions, service.store)
    return [await exported(service, row, decided.get(row.image_id, []), False) for row in found]


def _answer(document: dict[str, Any]) -> Response:
    return JSONResponse(document, media_type=MEDIA_TYPE)
