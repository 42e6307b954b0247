"""Why a tag may fit an image: what carries the tag and looks like it."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import StringConstraints

from ml.assistant.api.common import PersonDep, ServiceDep, term_of
from ml.assistant.api_schemas import Body, TagIdInPath
from ml.assistant.opinions import kept_apart
from ml.assistant.pictures import NoPicture

router = APIRouter(prefix="/api", tags=["suggestions"])


class EvidenceBody(Body):
    """The image that the tag is to fit, and the model that compares."""

    image_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    model: Annotated[str | None, StringConstraints(max_length=200)] = None


@router.post("/tags/{tag_id}/evidence")
async def evidence(tag_id: TagIdInPath, body: EvidenceBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """The pictures with the tag that look most like the image, with source and rights; none for a blind image.

    A model with a memory compares all that it remembers, and `confirmed` is true: the three nearest are answered, none
    of them of the image's own group. Otherwise all training images with the tag are compared, by the storage's
    `features` table; without one, some of them by the model. Images that the person has to second are not among them,
    as that would tell them the first opinion. `seen` of `all` pictures have been compared; ask again for the others.
    """
    term_of(service, tag_id)
    row = await run_in_threadpool(service.store.pictured, body.image_id)
    if row.blind or service.models.default is None:
        return {"images": [], "seen": 0, "all": 0, "confirmed": False}
    hidden = await run_in_threadpool(kept_apart, service.store, person.name) if person.name else set()
    asked = row.image_id, tag_id, {row.image_id, *hidden}, body.model
    remembered = await service.confirmed_for(*asked)
    found = remembered or await service.nearest(*asked)
    if found is None:
        raise NoPicture("The picture of this image is missing in the assistant's folder.")
    described = await run_in_threadpool(service.tagged.described, found.cosines)
    shown = [each | {"likeness": found.cosines[each["image_id"]]} for each in described]
    return {"images": shown, "seen": found.seen, "all": found.all, "confirmed": remembered is not None}
