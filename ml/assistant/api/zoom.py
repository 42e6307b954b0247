"""The closer view of a picture: its size, and its tiles."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool

from ml.assistant.api.common import Refused, ServiceDep
from ml.assistant.api_schemas import ImageId

router = APIRouter(prefix="/api/images", tags=["images"])
CACHED = {"cache-control": "private, max-age=86400"}
Number = Annotated[int, PathParameter(ge=0, le=2**20)]


@router.post("/{image_id}/zoom")
async def zoom(image_id: ImageId, service: ServiceDep) -> dict[str, Any]:
    """The picture's full size and its tiles: of its image service, or of the largest picture that is kept.

    If neither is there yet, the provider's server is asked. `problem` says why there are no tiles.
    """
    row = await run_in_threadpool(service.store.pictured, image_id)
    view = await service.zoom.view(row, service.original_of, service.remote_images)
    problem = view.problem and {"error": view.problem.code, "message": str(view.problem)}
    return {**vars(view), "factors": list(view.factors), "problem": problem}


@router.get("/{image_id}/tiles/{factor}/{column}/{row}", response_class=Response)
async def tile(image_id: ImageId, factor: Number, column: Number, row: Number, service: ServiceDep) -> Response:
    """A tile of the picture scaled down by `factor`, as JPEG; those of other servers are checked and re-encoded."""
    found = await run_in_threadpool(service.store.pictured, image_id)
    jpeg = await service.zoom.tile(found, (factor, column, row), service.original_of, service.remote_images)
    if jpeg is None:
        raise Refused(404, "no_such_tile", "There is no such tile of this picture.")
    return Response(jpeg, media_type="image/jpeg", headers=CACHED)
