"""Many images at once: those of a batch or those that look alike, and one decision on all that are chosen."""

import asyncio
from functools import partial
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import Field, StringConstraints

from ml.assistant import api_schemas
from ml.assistant.api.common import PersonDep, Refused, ServiceDep, signed, term_of
from ml.assistant.api_schemas import ActBody, Body, TagId
from ml.assistant.likeness import likeness
from ml.assistant.opinions import compare, kept_apart
from ml.assistant.people import Person
from ml.assistant.pictures import NoPicture
from ml.assistant.schema import images
from ml.assistant.service import AssistantService
from ml.assistant.store import Act, Conflict, NoSuchImage, NothingToUndo
from ml.assistant.together import Outcome, decide_together, state_of_tag, undo_together, verdicts_of

router = APIRouter(prefix="/api/grid", tags=["many images at once"])
MOST = 200  # images in a grid: more do not fit on a screen, and each decision is a transaction
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class GridBody(Body):
    """Which images: those of the batch of an image, or those that look like it; and the tag that is decided."""

    image_id: Id
    of: Literal["batch", "like"]
    tag_id: TagId
    model: Annotated[str | None, StringConstraints(max_length=200)] = None
    offset: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class TogetherBody(ActBody):
    """The images, each with the version that the client saw. `version` of the whole is not looked at."""

    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,56}$")]
    version: int = 0
    images: Annotated[dict[Id, api_schemas.Version], Field(min_length=1, max_length=MOST)]


class DecideBody(TogetherBody):
    """A decision on a tag for all these images."""

    tag_id: TagId
    action: Literal["accept", "reject"]


@router.post("")
async def grid(body: GridBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """The images with what holds for the tag on each, at most 200; without those that are decided blind.

    Second opinions are given one by one, and images that the person has to second are left out.

    For `like`, the most alike come first, and `seen` of `all` images have been compared: ask again for the others.
    """
    term_of(service, body.tag_id)
    one = await run_in_threadpool(service.store.image, body.image_id)
    if one.second_of is not None:
        raise Refused(403, "one_by_one", "Second opinions are given one by one.")
    hidden = await run_in_threadpool(kept_apart, service.store, person.name) if person.name else set()
    if body.of == "batch":
        rows, count = await run_in_threadpool(_of_batch, service, one, body.offset)
        alike: dict[str, float] = {}
        seen = count
    else:
        everything = await run_in_threadpool(_sighted, service)
        alike = await _alike(service, one, everything, body.model)
        seen, count = len(alike), len(everything)
        rows = [everything[image_id] for image_id in list(alike)[:MOST]]
    rows = [row for row in rows if row.image_id not in hidden]
    verdicts = await run_in_threadpool(verdicts_of, service.store, [row.image_id for row in rows])
    shown = [
        api_schemas.image(row)
        | {
            "verdict": state_of_tag(verdicts[row.image_id], body.tag_id, service.vocabulary),
            "likeness": alike.get(row.image_id),
        }
        for row in rows
    ]
    return {"images": shown, "seen": seen, "all": count}


@router.post("/decisions")
def decide(body: DecideBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Accept or reject a tag on all these images; each decision is logged by itself."""
    term_of(service, body.tag_id)
    act = _act(body, service, person)
    outcome = decide_together(service.store, body.images, body.tag_id, body.action, act, service.vocabulary)
    return _answer(service, outcome)


@router.post("/undo")
def undo(body: TogetherBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Take back the latest step of all these images, where nothing has been decided since."""
    return _answer(service, undo_together(service.store, body.images, _act(body, service, person)))


def _act(body: TogetherBody, service: AssistantService, person: Person) -> Act:
    if person.name and kept_apart(service.store, person.name) & set(body.images):
        raise Refused(403, "one_by_one", "You are giving a second opinion on one of these images. Finish it first.")
    return body.act(signed(person, body.who))


def _answer(service: AssistantService, outcome: Outcome) -> dict[str, Any]:
    compare(service.store, service.vocabulary)  # images of which two opinions are done may be among them
    problems = [{"image_id": image_id, **_told(error)} for image_id, error in outcome.problems.items()]
    return {"saved": outcome.saved, "unchanged": outcome.unchanged, "problems": problems}


def _told(error: Exception) -> dict[str, str]:
    if isinstance(error, Conflict):
        names = sorted({line.who for line in error.since})
        return {"error": "conflict", "message": f"Changed meanwhile by {', '.join(names) or 'someone else'}."}
    if isinstance(error, NoSuchImage):
        return {"error": "no_such_image", "message": str(error)}
    if isinstance(error, NothingToUndo):
        return {"error": "nothing_to_undo", "message": str(error)}
    return {"error": "store_away", "message": "The database does not answer; nothing was saved for this image."}


def _of_batch(service: AssistantService, one: sa.Row, offset: int) -> tuple[list[sa.Row], int]:
    """The images that were added together with this one, in their order, from `offset`; and how many there are."""
    together = (
        images.c.blind.is_(False)
        & images.c.second_of.is_(None)
        & (images.c.image_id == one.image_id if one.batch is None else images.c.batch == one.batch)
    )
    query = sa.select(images).where(together).order_by(images.c.position)
    with service.store.engine.connect() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(images).where(together)).scalar_one()
        return list(connection.execute(query.offset(offset).limit(MOST))), count


def _sighted(service: AssistantService) -> dict[str, sa.Row]:
    """All images that are not decided blind, by id."""
    return {row.image_id: row for row in service.store.queue() if not row.blind}


async def _alike(
    service: AssistantService, one: sa.Row, everything: dict[str, sa.Row], model: str | None
) -> dict[str, float]:
    """How alike the images are to this one, as far as they have been compared: itself, then the most alike first."""
    if service.models.default is None:
        raise Refused(404, "no_such_model", "There is no trained model, so pictures cannot be compared.")
    order = dict.fromkeys([one.image_id, *everything])
    pictures = {image_id: partial(service.pictures.read, image_id) for image_id in order}
    features = await service.features_of(pictures, model)
    if one.image_id not in features:
        raise NoPicture("The picture of this image is missing in the assistant's folder.")
    others = {image_id: vector for image_id, vector in features.items() if image_id in everything}
    alike = await asyncio.to_thread(likeness, features[one.image_id], others)
    itself = {one.image_id: alike[one.image_id]} if one.image_id in alike else {}
    return itself | alike
