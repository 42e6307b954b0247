"""The queue of images, and what it can be chosen by."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.concurrency import run_in_threadpool

from ml.assistant import api_schemas
from ml.assistant.api.common import PersonDep, ServiceDep, signed
from ml.assistant.api_schemas import Who
from ml.assistant.queues import RANKED, Order, Queue, groups

router = APIRouter(prefix="/api", tags=["queue"])
Group = Annotated[str | None, Query(max_length=300)]


def queue_of(
    service: ServiceDep,
    person: PersonDep,
    batch: Group = None,
    provider: Group = None,
    collection: Group = None,
    order: Order = "added",
    second: Annotated[bool, Query(description="the second opinions of this person")] = False,
    who: Annotated[Who | None, Query(description="the person; their pace is what the estimate follows")] = None,
) -> Queue:
    """The queue that an address names."""
    model = service.models.infos.get(service.models.default or "")
    second_by = signed(person, who) if second else None
    return Queue(batch, provider, collection, order, model.name if model else None, second_by)


QueueDep = Annotated[Queue, Depends(queue_of)]


@router.get("/queue")
async def queue(
    service: ServiceDep,
    person: PersonDep,
    chosen: QueueDep,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
    state: Literal["open", "done", "skipped"] | None = None,
    at: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="start at the page with this image")] = None,
    who: Annotated[Who | None, Query(description="the person")] = None,
) -> dict[str, Any]:
    """The images of a queue in its order, and its progress; `left_s` is an estimate of the time for the open ones.

    The orders other than `added` follow the default model; `ranking` says how many images it has looked at so far.
    """
    if chosen.order in RANKED:
        service.ranking.start()
    return await run_in_threadpool(_queue, service, chosen, person.name or who, state, offset, limit, at)


def _queue(
    service: ServiceDep, chosen: Queue, who: str | None, state: str | None, offset: int, limit: int, at: str | None
) -> dict[str, Any]:
    place = chosen.place(service.store, at, state=state) if at else None
    offset = offset if place is None else place - place % limit
    rows = chosen.rows(service.store, state=state, offset=offset, limit=limit)
    return {
        "progress": chosen.progress(service.store, who),
        "ranking": chosen.ranked(service.store) if chosen.order in RANKED else None,
        "offset": offset,
        "images": [api_schemas.image(row) for row in rows],
    }


@router.get("/queues")
def queues(
    service: ServiceDep,
    person: PersonDep,
    who: Annotated[Who | None, Query(description="the person whose second opinions are counted")] = None,
) -> dict[str, Any]:
    """The batches, providers and collections that a queue can be chosen by, and the progress of second opinions."""
    name = person.name or who
    second = Queue(second_by=name).progress(service.store, name) if name else None
    return groups(service.store) | {"second": second}
