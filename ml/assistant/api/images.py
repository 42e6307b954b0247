"""The queue of images: adding them, suggestions for them, decisions on them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from ml.assistant import api_schemas
from ml.assistant.api.common import PersonDep, Refused, ServiceDep, body_of, signed, term_of
from ml.assistant.api.opinions import BLIND, OWN
from ml.assistant.api.queues import QueueDep
from ml.assistant.api_schemas import ImageId, Text, Who
from ml.assistant.opinions import compare
from ml.assistant.people import Person
from ml.assistant.pictures import image_id_of
from ml.assistant.refusals import BUSY, Busy
from ml.assistant.remote_images import NotFetched, RemoteImage
from ml.assistant.service import READING_OTHERS, AssistantService, Shown
from ml.assistant.store import Act, Annotation
from pipeline.images.verify import Rejected

router = APIRouter(prefix="/api", tags=["images"])
IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable"}  # the address contains the hash of the content
BINARY = {"schema": {"type": "string", "format": "binary"}}
Model = Annotated[str | None, Query(max_length=200)]
RAW_IMAGE = {"requestBody": {"required": True, "content": {"image/*": BINARY}}}


@router.post("/suggest", openapi_extra=RAW_IMAGE, tags=["suggestions"])
async def suggest(
    request: Request,
    service: ServiceDep,
    model: Model = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> dict[str, Any]:
    """The best tags of each facet for the image in the body. Nothing is stored."""
    data = await body_of(request)
    picture = await service.decode(data)
    info, facets = await service.suggest(image_id_of(data), picture.jpeg, model=model, limit=limit)
    worth = service.models.calibrations.get(info.key)
    return {"model": info, **api_schemas.suggestions(facets, service.vocabulary, worth)}


@router.get("/models", tags=["suggestions"])
def models(service: ServiceDep) -> dict[str, Any]:
    """The trained models."""
    return {"default": service.models.default, "models": list(service.models.infos.values())}


@router.post("/images", status_code=201, openapi_extra=RAW_IMAGE)
async def upload(
    request: Request,
    service: ServiceDep,
    person: PersonDep,
    who: Annotated[Who | None, Query()] = None,
    title: Annotated[Text, Query()] = "",
    batch: Annotated[Text, Query(max_length=64)] = "",
) -> dict[str, Any]:
    """Add the image in the body to the queue. The same bytes are added once."""
    name = signed(person, who)
    row = await service.add(await body_of(request), title=title, batch=batch or None, added_by=name)
    return {"image": api_schemas.image(row)}


@router.post("/images/dataset", status_code=201)
def add_from_dataset(body: api_schemas.DatasetBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Add images of the dataset to the queue. Decisions on them can be used in the next training."""
    if service.dataset is None:
        raise Refused(404, "no_dataset", "The assistant was started without a dataset.")
    if body.count > service.limits.most_from_dataset:
        raise Refused(413, "too_many", f"At most {service.limits.most_from_dataset} images at once.")
    rows = service.add_from_dataset(body.split, body.count, signed(person, body.who))
    return {"images": [api_schemas.image(row) for row in rows]}


@router.post("/images/address", status_code=201)
async def add_from_address(body: api_schemas.AddressBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Add the images of manifests, Collections or Europeana records to the queue, as one batch.

    `problems` lists the images that could not be added. At most 200 images are added; `left` is how many more there
    are at least, and `next` the `start` with which the same request adds the next ones.
    """
    if service.remote_images is None:
        raise Refused(403, "not_allowed", "This assistant was started with --no-fetch: it asks no other server.")
    who = signed(person, body.who)
    with service.reading_an_address():
        found = await service.remote_images.find(body.address.strip(), body.start)
        rows, problems = await _added(service, found.images, who)
    if not rows and not found.left:
        errors = [each["error"] for each in problems if each["error"] != BUSY.code]
        if not errors:
            raise Busy(READING_OTHERS)
        raise Refused(422, errors[0], "None of the images could be added.", problems=problems)
    more = {"left": found.left, "next": body.start + len(found.images) if found.left else None}
    return {"images": [api_schemas.image(row) for row in rows], "problems": problems, **more}


async def _added(
    service: AssistantService, found: list[RemoteImage], who: str
) -> tuple[list[sa.Row], list[dict[str, str]]]:
    rows, problems, batch = [], [], uuid4().hex
    for remote in found:
        try:
            rows.append(await service.add_remote_image(remote, who, batch))
        except (NotFetched, Rejected, Busy) as error:
            problems.append({"url": remote.source_url, "error": _code_of(error)})
    return rows, problems


def _code_of(error: NotFetched | Rejected | Busy) -> str:
    if isinstance(error, Busy):
        return BUSY.code
    return error.code if isinstance(error, NotFetched) else error.reason


@router.get("/images/{image_id}", dependencies=BLIND)
def one(image_id: ImageId, service: ServiceDep) -> dict[str, Any]:
    """An image of the queue with its decisions."""
    return {
        "image": api_schemas.image(service.store.image(image_id)),
        "annotation": api_schemas.annotation(service.vocabulary, service.store.annotation(image_id)),
    }


@router.get("/images/{image_id}/picture", response_class=FileResponse)
def picture_of(image_id: ImageId, service: ServiceDep) -> FileResponse:
    """The picture, re-encoded as JPEG."""
    picture = service.store.pictured(image_id).image_id
    return _jpeg(service, service.pictures.file(picture))


@router.get("/images/{image_id}/thumbnail", response_class=FileResponse)
def thumbnail_of(image_id: ImageId, service: ServiceDep) -> FileResponse:
    """The thumbnail of the picture."""
    picture = service.store.pictured(image_id).image_id
    return _jpeg(service, service.pictures.thumbnail(picture))


def _jpeg(service: AssistantService, file: Path) -> FileResponse:
    return FileResponse(service.pictures.there(file), media_type="image/jpeg", headers=IMMUTABLE)


@router.get("/images/{image_id}/suggestions", tags=["suggestions"])
async def suggestions(image_id: ImageId, service: ServiceDep, model: Model = None) -> dict[str, Any]:
    """A model's best tags for an image of the queue; none for an image that is decided blind. Nothing is logged."""
    return await _suggestions(service, image_id, model, service.suggestions)


@router.post("/images/{image_id}/suggestions", dependencies=OWN, tags=["suggestions"])
async def show(image_id: ImageId, service: ServiceDep, model: Model = None) -> dict[str, Any]:
    """The same for a cataloguer: that they were shown is logged, and decisions name the `showing_id`."""
    return await _suggestions(service, image_id, model, service.show)


async def _suggestions(
    service: AssistantService, image_id: str, model: str | None, find: Callable[..., Awaitable[Shown]]
) -> dict[str, Any]:
    row = await run_in_threadpool(service.store.image, image_id)
    if row.blind or service.models.default is None:
        return {"blind": row.blind, "model": None, "showing_id": None, "facets": {}, "nodes": {}}
    shown = await find(image_id, model)
    named = {"blind": False, "model": shown.model, "showing_id": shown.showing_id}
    worth = service.models.calibrations.get(shown.model.key)
    return named | api_schemas.suggestions(shown.facets, service.vocabulary, worth)


@router.post("/images/{image_id}/decisions", dependencies=OWN)
def decide(image_id: ImageId, body: api_schemas.DecisionBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Accept or reject a tag, or withdraw the decision on it. The answer comes after the commit."""
    term_of(service, body.tag_id)
    after = service.store.decide(image_id, body.tag_id, body.action, _act(body, person), service.vocabulary)
    return _after(service, after)


@router.post("/images/{image_id}/undo", dependencies=OWN)
def undo(image_id: ImageId, body: api_schemas.ActBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Take back the latest step on the image."""
    return _after(service, service.store.undo(image_id, _act(body, person)))


@router.post("/images/{image_id}/state", dependencies=OWN)
def move(
    image_id: ImageId, body: api_schemas.StateBody, service: ServiceDep, person: PersonDep, queue: QueueDep
) -> dict[str, Any]:
    """Mark the image as done, skip it, or reopen it. The progress is that of the queue in the address."""
    act = _act(body, person)
    after = _after(service, service.store.move(image_id, body.kind, act))
    return after | {"progress": queue.progress(service.store, act.who)}


def _after(service: AssistantService, annotation: Annotation) -> dict[str, Any]:
    """The decisions after a step. Two opinions are compared when both are done, and again when one changes then."""
    if annotation.state == "done":
        compare(service.store, service.vocabulary)
    return {"annotation": api_schemas.annotation(service.vocabulary, annotation)}


def _act(body: api_schemas.ActBody, person: Person) -> Act:
    return body.act(signed(person, body.who))


@router.get("/images/{image_id}/log", dependencies=BLIND)
def log(image_id: ImageId, service: ServiceDep) -> dict[str, Any]:
    """Every step on the image, oldest first."""
    service.store.image(image_id)
    return {"steps": api_schemas.log(service.store.log(image_id))}
