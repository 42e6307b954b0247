"""The queue: images in, suggestions out, decisions kept."""

from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from ml.assistant import api_schemas as shapes
from ml.assistant.api.common import DeskHere, Refused, body_of, refuse_other_types, term_of
from ml.assistant.api_schemas import ImageId, Text, Who
from ml.assistant.remote_images import NotFetched
from ml.assistant.store import NewImage
from pipeline.images.verify import Picture, Rejected

router = APIRouter(prefix="/api", tags=["images"])
IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable"}  # named by their content
RAW_IMAGE = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/suggest", openapi_extra=RAW_IMAGE, tags=["suggestions"])
async def suggest(
    request: Request,
    desk: DeskHere,
    model: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> dict[str, Any]:
    """The best tags of each facet for the image in the body. Nothing is stored."""
    refuse_other_types(request)
    picture = await desk.decode(await body_of(request))
    info, facets = await desk.suggest(uuid4().hex, picture.jpeg, model=model, limit=limit)
    tags = [tag for found in facets.values() for tag, _ in found.tags]
    return {
        "model": shapes.model(info),
        "facets": shapes.suggestions(facets),
        "nodes": shapes.nodes_with_paths(desk.vocabulary, tags),
    }


@router.get("/models", tags=["suggestions"])
def models(desk: DeskHere) -> dict[str, Any]:
    """The trained models at hand."""
    return {
        "default": desk.models.default,
        "models": [shapes.model(info) for info in desk.models.infos.values()],
    }


@router.get("/queue")
def queue(
    desk: DeskHere,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
    state: Literal["open", "done", "skipped"] | None = None,
) -> dict[str, Any]:
    """The images in the order they came, and how far the work is."""
    rows = desk.store.queue(state=state, offset=offset, limit=limit)
    return {"progress": desk.store.progress(), "images": [shapes.image(row) for row in rows]}


@router.post("/images", status_code=201, openapi_extra=RAW_IMAGE)
async def upload(
    request: Request,
    desk: DeskHere,
    who: Annotated[Who, Query()],
    title: Annotated[Text, Query()] = "",
    batch: Annotated[Text, Query(max_length=64)] = "",
) -> dict[str, Any]:
    """Put the image in the body into the queue; the same bytes again are the same image."""
    refuse_other_types(request)
    data = await body_of(request)

    def new(image_id: str, picture: Picture) -> NewImage:
        return NewImage(image_id, picture.width, picture.height, title=title, batch=batch or None, who=who)

    return {"image": shapes.image(await desk.add(data, new))}


@router.post("/images/dataset", status_code=201)
def add_from_dataset(body: shapes.DatasetBody, desk: DeskHere) -> dict[str, Any]:
    """Put images of the dataset into the queue: what is decided on them can go into the next training."""
    if desk.dataset is None:
        raise Refused(404, "no_dataset", "The desk was started without a dataset.")
    if body.count > desk.limits.most_from_dataset:
        raise Refused(413, "too_many", f"At most {desk.limits.most_from_dataset} images at once.")
    rows = desk.add_from_dataset(body.split, body.count, body.who)
    return {"images": [shapes.image(row) for row in rows]}


@router.post("/images/address", status_code=201)
async def add_from_address(body: shapes.AddressBody, desk: DeskHere) -> dict[str, Any]:
    """Fetch the images of a IIIF manifest or of a Europeana record into the queue; the only call that leaves the desk.

    `problems` names the images of a manifest that could not be taken.
    """
    if desk.elsewhere is None:
        raise Refused(403, "not_allowed", "This desk was started so that it asks no other server.")
    rows, problems = [], []
    for found in await desk.elsewhere.find(body.address.strip()):
        try:
            rows.append(await desk.add_found(found, body.who))
        except NotFetched as error:
            problems.append({"url": found.url, "error": error.code})
        except Rejected as error:
            problems.append({"url": found.url, "error": error.reason})
    if not rows:
        raise Refused(422, problems[0]["error"], "None of the images could be taken.", problems=problems)
    return {"images": [shapes.image(row) for row in rows], "problems": problems}


@router.get("/images/{image_id}")
def one(image_id: ImageId, desk: DeskHere) -> dict[str, Any]:
    """An image of the queue with its decisions."""
    return {
        "image": shapes.image(desk.store.image(image_id)),
        "annotation": shapes.annotation(desk.vocabulary, desk.store.annotation(image_id)),
    }


@router.get("/images/{image_id}/picture", response_class=FileResponse)
def picture_of(image_id: ImageId, desk: DeskHere) -> FileResponse:
    """The picture, re-encoded by us."""
    desk.store.image(image_id)
    return FileResponse(desk.pictures.file(image_id), media_type="image/jpeg", headers=IMMUTABLE)


@router.get("/images/{image_id}/thumbnail", response_class=FileResponse)
def thumbnail_of(image_id: ImageId, desk: DeskHere) -> FileResponse:
    """A small picture."""
    desk.store.image(image_id)
    return FileResponse(desk.pictures.thumbnail(image_id), media_type="image/jpeg", headers=IMMUTABLE)


@router.get("/images/{image_id}/suggestions", tags=["suggestions"])
async def suggestions(
    image_id: ImageId, desk: DeskHere, model: Annotated[str | None, Query(max_length=200)] = None
) -> dict[str, Any]:
    """A model's best tags for an image of the queue; none for an image that is to be decided blind."""
    row = await run_in_threadpool(desk.store.image, image_id)
    if row.blind or desk.models.default is None:
        return {"blind": row.blind, "model": None, "showing_id": None, "facets": {}, "nodes": {}}
    shown = await desk.show(image_id, model)
    tags = [tag for found in shown.facets.values() for tag, _ in found.tags]
    return {
        "blind": False,
        "model": shapes.model(shown.model),
        "showing_id": shown.showing_id,
        "facets": shapes.suggestions(shown.facets),
        "nodes": shapes.nodes_with_paths(desk.vocabulary, tags),
    }


@router.post("/images/{image_id}/decisions")
def decide(image_id: ImageId, body: shapes.DecisionBody, desk: DeskHere) -> dict[str, Any]:
    """Accept or reject a tag, or withdraw what was said about it. Saved when this answers."""
    term_of(desk, body.tag_id)
    after = desk.store.decide(image_id, body.tag_id, body.action, body.act(), desk.vocabulary)
    return {"annotation": shapes.annotation(desk.vocabulary, after)}


@router.post("/images/{image_id}/undo")
def undo(image_id: ImageId, body: shapes.ActBody, desk: DeskHere) -> dict[str, Any]:
    """Take back the latest step on the image."""
    return {"annotation": shapes.annotation(desk.vocabulary, desk.store.undo(image_id, body.act()))}


@router.post("/images/{image_id}/state")
def move(image_id: ImageId, body: shapes.StateBody, desk: DeskHere) -> dict[str, Any]:
    """Mark the image as done, skip it, or take it up again."""
    after = desk.store.move(image_id, body.kind, body.act())
    return {"annotation": shapes.annotation(desk.vocabulary, after), "progress": desk.store.progress()}


@router.get("/images/{image_id}/log")
def log(image_id: ImageId, desk: DeskHere) -> dict[str, Any]:
    """Every step on the image, oldest first: who, when, what, and what was taken back."""
    desk.store.image(image_id)
    return {"steps": shapes.log(desk.store.log(image_id))}
