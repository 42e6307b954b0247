"""The assistant as a web application: one process serves the page and its API; the page loads nothing from outside."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from ml.assistant.access import Access
from ml.assistant.api import (
    annif,
    evidence,
    exports,
    grid,
    iiif,
    images,
    opinions,
    people,
    queues,
    reconcile,
    status,
    vocabulary,
    zoom,
)
from ml.assistant.api.common import PersonDep, ServiceDep
from ml.assistant.api.errors import HANDLERS
from ml.assistant.middleware import AccessMiddleware, CompressedPage
from ml.assistant.service import AssistantService
from ml.assistant.vocabulary import LANGUAGES
from pipeline.facets import FACET_OF

PAGE = Path(__file__).parent / "page"


def create_app(
    service: AssistantService,
    *,
    token: str | None = None,
    hosts: Sequence[str] = (),
    user_header: str | None = None,
) -> FastAPI:
    """The application around a service.

    `token`: the one that all clients share; None on loopback. `hosts`: the names that are answered besides loopback's.
    `user_header`: the header in which a trusted proxy names who signed in there.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPI(
        title="EUFCC annotation assistant",
        version="0.1.0",
        summary="AAT tags for pictures of museum objects: suggested by a model, decided by a cataloguer.",
        lifespan=lifespan,
        exception_handlers=HANDLERS,
        docs_url=None,  # FastAPI's page loads scripts from another server
        redoc_url=None,
    )
    app.state.service = service
    app.state.access = access = Access(token, service.people, user_header)
    of_page = (images, queues, opinions, zoom, grid, evidence, vocabulary, status, people)
    for module in (*of_page, exports, iiif, annif, reconcile):
        app.include_router(module.router)
    _serve_page(app)
    app.add_middleware(CompressedPage)
    app.add_middleware(AccessMiddleware, limits=service.limits, refusals=service.refusals, access=access, hosts=hosts)
    return app


def _serve_page(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE))

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return FileResponse(PAGE / "icon.svg")

    @app.get("/api/about")
    def about(service: ServiceDep, person: PersonDep) -> dict[str, Any]:
        """What the assistant offers: languages, facets with their labels and number of top tags, models, limits.

        `person`: who signed in, with their role; their name is null where people type it.
        """
        facets = service.vocabulary.facets
        return {
            "version": app.version,
            "person": person,
            "languages": list(LANGUAGES),
            "facets": {facet: len(service.vocabulary.roots(facet)) for facet in facets},
            "facet_labels": {facet: dict(FACET_OF[facet].labels) for facet in facets},
            "tags": len(service.vocabulary),
            "labelled": service.vocabulary.coverage(),
            "models": list(service.models.infos.values()),
            "default_model": service.models.default,
            "dataset": service.dataset is not None,
            "fetches": service.remote_images is not None,
            "blind_share": service.blind_share,
            "max_upload_bytes": service.limits.max_upload_bytes,
        }
