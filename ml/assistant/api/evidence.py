"""Why a tag may fit an image: what carries the tag and looks like it."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import StringConstraints

from ml.assistant.api.common import PersonDep, Refused, ServiceDep, term_of
from ml.assistant.api_schemas import Body, TagIdInPath
from ml.assistant.likeness import likeness
from ml.assistant.opinions import kept_apart

router = APIRouter(prefix="/api", tags=["suggestions"])


class EvidenceBody(Body):
    """The image that the tag is to fit, and the model that compares."""

    image_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    model: Annotated[str | None, StringConstraints(max_length=200)] = None


@router.post("/tags/{tag_id}/evidence")
async def evidence(tag_id: TagIdInPath, body: EvidenceBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """The pictures with the tag that look most like the image, with source and rights; none for a blind image.

    Images that the person has to second are not among them, as that would tell them the first opinion.
    `seen` of `all` pictures have been compared; ask again for the others.
    """
    term_of(service, tag_id)
    row = await run_in_threadpool(service.store.pictured, body.image_id)
    if row.blind or service.models.default is None:
        return {"images": [], "seen": 0, "all": 0}
    most = service.limits.compared_per_tag
    hidden = await run_in_threadpool(kept_apart, service.store, person.name) if person.name else set()
    readers = await run_in_threadpool(service.tagged.readers, tag_id, {row.image_id, *hidden}, most)
    one = {row.image_id: service.pictures.file(row.image_id).read_bytes}
    features = await service.features_of(one | readers, body.model)
    if row.image_id not in features:
        raise Refused(404, "no_such_image", "The picture of this image is missing in the assistant's folder.")
    nearest = likeness(features.pop(row.image_id), features)
    best = list(nearest)[: service.limits.most_examples]
    described = await run_in_threadpool(service.tagged.described, best)
    shown = [each | {"likeness": nearest[each["image_id"]]} for each in described]
    return {"images": shown, "seen": len(features), "all": len(readers)}
