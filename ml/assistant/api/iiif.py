"""The tags for IIIF viewers: an AnnotationPage of a manifest, and a manifest of a batch."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from ml.assistant.api.common import PersonDep, Refused, ServiceDep
from ml.assistant.api.exports import exported
from ml.assistant.api_schemas import Language
from ml.assistant.exports import iiif
from ml.assistant.exports.exported import ExportedImage
from ml.assistant.opinions import kept_apart
from ml.assistant.people import Person
from ml.assistant.schema import images
from ml.assistant.service import AssistantService
from ml.assistant.settled import counted_decisions

router = APIRouter(prefix="/iiif", tags=["IIIF"])
MEDIA_TYPE = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'
Address = Annotated[str, Query(min_length=1, max_length=2000, description="the address of a manifest")]


@router.get("/annotations", response_class=Response)
async def annotations(
    request: Request, service: ServiceDep, person: PersonDep, manifest: Address, lang: Language = "en"
) -> Response:
    """The accepted tags of the images of a manifest as an AnnotationPage; each annotation targets its canvas."""
    found = await _images(service, person, images.c.manifest == manifest)
    return _answer(iiif.annotation_page(found, lang, str(request.url)))


@router.get("/manifest", response_class=Response)
async def manifest_of(
    request: Request,
    service: ServiceDep,
    person: PersonDep,
    manifest: Annotated[str | None, Query(max_length=2000, description="the address of a manifest")] = None,
    batch: Annotated[str | None, Query(max_length=64)] = None,
    lang: Language = "en",
) -> Response:
    """The images of a manifest or a batch with their accepted tags, as a manifest that any viewer shows."""
    if (manifest is None) == (batch is None):
        raise Refused(422, "invalid", "Give either the address of a manifest or a batch.")
    wanted = images.c.batch == batch if manifest is None else images.c.manifest == manifest
    found = await _images(service, person, wanted)
    return _answer(_manifest(request, found, lang))


def _manifest(request: Request, found: list[ExportedImage], language: str) -> dict[str, Any]:
    def file(image: ExportedImage, name: str) -> str:
        return str(request.url_for(f"{name}_of", image_id=image.image_id))

    def canvas(image: ExportedImage) -> str:
        return f"{request.base_url!s}iiif/canvas/{image.image_id}"

    title = found[0].collection or found[0].title or "EUFCC"
    return iiif.manifest(found, language, str(request.url), title, file, canvas)


async def _images(service: AssistantService, person: Person, wanted: sa.ColumnElement[bool]) -> list[ExportedImage]:
    """The images with their accepted tags, in the order they were added. Raises Refused (404).

    Of an image that the person still has to second, no tags are shown.
    """
    query = sa.select(images).where(wanted, images.c.second_of.is_(None)).order_by(images.c.position)

    def rows() -> list[sa.Row]:
        with service.store.engine.connect() as connection:
            return list(connection.execute(query))

    found = await run_in_threadpool(rows)
    if not found:
        raise Refused(404, "no_such_manifest", "No image of this manifest or batch is in the queue.")
    decided = await run_in_threadpool(counted_decisions, service.store)
    hidden = await run_in_threadpool(kept_apart, service.store, person.name) if person.name else set()
    shown = {image_id: lines for image_id, lines in decided.items() if image_id not in hidden}
    return [await exported(service, row, shown.get(row.image_id, []), False) for row in found]


def _answer(document: dict[str, Any]) -> Response:
    return JSONResponse(document, media_type=MEDIA_TYPE)
