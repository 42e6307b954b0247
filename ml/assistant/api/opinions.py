"""Second opinions: beginning them, where they differ from the first, and what a reviewer settles."""

from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from ml.assistant import api_schemas
from ml.assistant.agreement import agreement_of
from ml.assistant.api.common import PersonDep, Refused, ServiceDep, require, signed
from ml.assistant.api_schemas import Body, ImageId, Key, TagId, Who
from ml.assistant.opinions import Conflict, begin_opinions, compare, people_of, read_conflicts, read_ratings, settle
from ml.assistant.service import AssistantService

router = APIRouter(prefix="/api", tags=["second opinions"])
MOST_IMAGES = 50  # with conflicts, in one answer


class OpinionsBody(Body):
    """A request for images to give a second opinion on."""

    count: Annotated[int, Field(ge=1, le=200)] = 10
    who: Who | None = None


class SettlementBody(Body):
    """What a reviewer settles on a tag. `number`: that of the settlement they saw, 0 for none."""

    tag_id: TagId
    accepted: bool
    number: Annotated[int, Field(ge=0, le=2**31 - 2)] = 0
    key: Key
    who: Who | None = None


@router.post("/opinions", status_code=201)
def begin(body: OpinionsBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Take images that other people have finished, to decide on them once more without seeing their decisions."""
    begun = begin_opinions(service.store, signed(person, body.who), body.count)
    return {"images": [api_schemas.image(service.store.image(each)) for each in begun]}


@router.get("/conflicts")
def conflicts(
    service: ServiceDep,
    person: PersonDep,
    settled: Annotated[bool, Query(description="also those that are settled")] = False,
) -> dict[str, Any]:
    """Where two people differ, for reviewers: by image, and how far they agree over all and in each facet."""
    require(person, "reviewer")
    compare(service.store, service.vocabulary)
    found = read_conflicts(service.store)
    chosen = [each for each in found if settled or each.settled is None]
    by_image = [(image, list(rows)) for image, rows in groupby(chosen, lambda each: each.rating.image_id)]
    people = people_of(service.store, [image for image, _ in by_image[:MOST_IMAGES]])
    return {
        "open": sum(each.settled is None for each in found),
        "images": [_of_image(service, image, people[image], rows) for image, rows in by_image[:MOST_IMAGES]],
        "more_images": max(0, len(by_image) - MOST_IMAGES),
        "agreement": [row for row in agreement_of(read_ratings(service.store)).to_dicts() if row["tag_id"] == "all"],
    }


def _of_image(
    service: AssistantService, image_id: str, people: tuple[str, str], rows: Iterable[Conflict]
) -> dict[str, Any]:
    tags = [_of_tag(service, each) for each in rows]
    image = api_schemas.image(service.store.image(image_id))
    return {"image": image, "first_by": people[0], "second_by": people[1], "tags": tags}


def _of_tag(service: AssistantService, conflict: Conflict) -> dict[str, Any]:
    rating, vocabulary = conflict.rating, service.vocabulary
    known = rating.tag_id in vocabulary
    node = api_schemas.node(vocabulary, rating.tag_id) if known else {"tag_id": rating.tag_id, "labels": {}}
    path = api_schemas.labels_of(vocabulary, vocabulary.path(rating.tag_id)[:-1]) if known else []
    settled = conflict.settled and vars(conflict.settled) | {"at": conflict.settled.at.isoformat()}
    return {"node": node, "path": path, "first": rating.first, "second": rating.second, "settled": settled}


@router.post("/images/{image_id}/settlements")
def settle_tag(image_id: ImageId, body: SettlementBody, service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """Settle a tag on which two people differ. The last settlement counts; all are kept."""
    require(person, "reviewer")
    who = signed(person, body.who)
    found = [each for each in read_conflicts(service.store) if each.rating.image_id == image_id]
    if body.tag_id not in {each.rating.tag_id for each in found}:
        raise Refused(404, "no_conflict", "Two people do not differ on this tag of the image, or no longer.")
    settle(service.store, image_id, body.tag_id, body.accepted, who, body.number, body.key)
    (after,) = [each for each in read_conflicts(service.store) if _is(each, image_id, body.tag_id)]
    return {"tag": _of_tag(service, after)}


def _is(conflict: Conflict, image_id: str, tag_id: str) -> bool:
    return (conflict.rating.image_id, conflict.rating.tag_id) == (image_id, tag_id)
