"""How the desk is doing, for the person who runs it."""

from typing import Any

from fastapi import APIRouter

from ml.assistant.api.common import PersonDep, ServiceDep, require

router = APIRouter(prefix="/api", tags=["status"])


@router.get("/status")
def status(service: ServiceDep, person: PersonDep) -> dict[str, Any]:
    """How many requests of each kind were refused since the start, and how many pictures are in work.

    Only for admins.
    """
    require(person, "admin")
    return {"refused": dict(service.refusals.counts), "in_work": service.in_work()}
