"""How the desk is doing, for the person who runs it."""

from typing import Any

from fastapi import APIRouter

from ml.assistant.api.common import ServiceDep

router = APIRouter(prefix="/api", tags=["status"])


@router.get("/status")
def status(service: ServiceDep) -> dict[str, Any]:
    """How many requests of each kind were refused since the start, and how many pictures are in work."""
    return {"refused": dict(service.refusals.counts), "in_work": service.in_work()}
