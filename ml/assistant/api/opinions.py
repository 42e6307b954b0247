"""Second opinions: beginning them, where they differ from the first, and what a reviewer settles."""

from dataclasses import replace
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from ml.assistant import api_schemas
from ml.assistant.agreement import agreement_of
from ml.assistant.api.common import PersonDep, Refused, ServiceDep, require, signed
from ml.assistant.api_schemas import Body, ImageId, Key, TagId, Who
from ml.assistant.opinions import (
    Conflict,
    begin_opinions,
    open_opinion,
    people_of,
    read_conflicts,
    read_ratings,
    read_settlements,
    settle,
)
from ml.assistant.people import Person
from ml.assistant.service import AssistantService

router = APIRouter(prefix="/api", tags=["second opinions"])
MOST_IMAGES = 50  # or rather pairs of opinions with conflicts, in one answer


def check_blind(image_id: ImageId, service: ServiceDep, person: PersonDep) -> None:
    """Keep the two opinions on an image apart. Raises Refused (403).

    Who gives a second opinion sees the first when theirs is done; a second opinion is seen by its person and reviewers.
    """
    _check(image_id, service, person, may_see=person.may("reviewer"))


def check_own(image_id: ImageId, service: ServiceDep, person: PersonDep) -> None:
    """The same for what a log keeps: a second opinion is given by its person alone. Raises Refused (403)."""
    _check(image_id, service, person, may_see=False)


def _check(image_id: str, service: AssistantService, person: Person, *, may_see: bool) -> None:
    if person.name is None:  # whoever asks could type another name
        return
    row = service.store.image(image_id)
    if row.second_of is None:
        if open_opinion(service.store, image_id, person.name):
            raise Refused(403, "opinion_open", "You are giving a second opinion on this image. Finish it first.")
    elif row.added_by != person.name and not may_see:
        raise Refused(403, "opinion_of_another", "This is the second opinion of another person.")


BLIND, OWN = [Depends(check_blind)], [Depends(check_own)]


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
    """Where two people differ, for reviewers: by pair of opinions, and how far they agree over all and in each facet.

    An image is listed once for each opinion that differs from the first.
    """
    require(person, "reviewer")
    found = read_conflicts(service.store)
    chosen = [each for each in found if settled or each.settled is None]
    pairs = [list(rows) for _, rows in groupby(chosen, lambda each: each.rating.second_id)]
    people = people_of(service.store, [rows[0].rating.second_id for rows in pairs[:MOST_IMAGES]])
    return {
        "open": sum(each.settled is None for each in found),
        "images": [_of_pair(service, people[rows[0].rating.second_id], rows) for rows in pairs[:MOST_IMAGES]],
        "more_images": max(0, len(pairs) - MOST_IMAGES),
        "agreement": [row for row in agreement_of(read_ratings(service.store)).to_dicts() if row["tag_id"] == "all"],
    }


def _of_pair(service: AssistantService, people: tuple[str, str], rows: list[Conflict]) -> dict[str, Any]:
    tags = [_of_tag(service, each) for each in rows]
    image = api_schemas.image(service.store.image(rows[0].rating.image_id))
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
    of_tag = (image_id, body.tag_id)
    conflicts = read_conflicts(service.store)
    found = next((each for each in conflicts if (each.rating.image_id, each.rating.tag_id) == of_tag), None)
    if found is None:
        raise Refused(404, "no_conflict", "Two people do not differ on this tag of the image, or no longer.")
    settle(service.store, image_id, body.tag_id, body.accepted, who, body.number, body.key)
    return {"tag": _of_tag(service, replace(found, settled=read_settlements(service.store)[of_tag]))}
