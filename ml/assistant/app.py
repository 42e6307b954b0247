"""The assistant as a web application: one process, the page and its API, nothing fetched from elsewhere."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from ml.assistant import api_schemas as shapes
from ml.assistant.api import annif, exports, images, reconcile, vocabulary
from ml.assistant.api.common import Refused
from ml.assistant.middleware import Gate
from ml.assistant.remote_images import NotFetched
from ml.assistant.service import Busy, Desk, UnknownModel
from ml.assistant.store import Conflict, NoSuchImage, NothingToUndo
from ml.assistant.trained import ModelError
from ml.assistant.vocabulary import LANGUAGES
from pipeline import FACETS
from pipeline.images.verify import Rejected

PAGE = Path(__file__).parent / "page"
log = logging.getLogger(__name__)
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
UNSUPPORTED = ("svg", "html", "xml", "json", "pdf", "archive", "unsupported_format", "not_an_image", "polyglot")
OVER_LIMIT = ("too_many_pixels", "too_long", "too_much_memory", "decode_timeout")


def create_app(desk: Desk, *, token: str | None = None, hosts: Sequence[str] = ()) -> FastAPI:
    """The application around a desk.

    `token`: needed from whoever does not come over loopback; `hosts`: further host names it answers to without one.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with desk:
            yield

    app = FastAPI(
        title="EUFCC annotation assistant",
        version="0.1.0",
        summary="AAT tags for pictures of museum objects: suggested by a model, decided by a cataloguer.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.desk = desk
    for module in (images, vocabulary, exports, annif, reconcile):
        app.include_router(module.router)
    _serve_page(app)
    _answer_errors(app)
    app.add_middleware(Gate, limits=desk.limits, token=token, hosts=hosts)
    return app


def _serve_page(app: FastAPI) -> None:
    """The page's files by a list made at start, so that no name in a request becomes a path."""
    files = {file.relative_to(PAGE).as_posix(): file for file in sorted(PAGE.rglob("*")) if file.suffix in MEDIA_TYPES}

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(PAGE / "index.html", media_type=MEDIA_TYPES[".html"])

    @app.get("/page/{name:path}", include_in_schema=False)
    def page_file(name: str) -> Response:
        if name not in files:
            raise Refused(404, "not_found", "There is nothing at this address.")
        headers = {"cache-control": "no-cache"}  # a newer installation shows at once
        return FileResponse(files[name], media_type=MEDIA_TYPES[files[name].suffix], headers=headers)

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return FileResponse(PAGE / "icon.svg", media_type=MEDIA_TYPES[".svg"])

    @app.get("/api/about")
    def about(request: Request) -> dict[str, Any]:
        """What this desk offers: languages, facets, models, limits."""
        desk: Desk = request.app.state.desk
        return {
            "version": app.version,
            "languages": list(LANGUAGES),
            "facets": {facet: len(desk.vocabulary.roots(facet)) for facet in FACETS},
            "tags": len(desk.vocabulary),
            "labelled": desk.vocabulary.coverage(),
            "models": [shapes.model(info) for info in desk.models.infos.values()],
            "default_model": desk.models.default,
            "dataset": desk.dataset is not None,
            "fetches": desk.elsewhere is not None,
            "blind_share": desk.blind_share,
            "max_upload_bytes": desk.limits.max_upload_bytes,
        }


def _answer_errors(app: FastAPI) -> None:
    def answer(status: int, code: str, message: str, **more: object) -> JSONResponse:
        return JSONResponse({"error": code, "message": message, **more}, status_code=status)

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> JSONResponse:
        return answer(error.status, error.code, error.message, **error.more)

    @app.exception_handler(Rejected)
    def rejected(_: Request, error: Rejected) -> JSONResponse:
        status = 415 if error.reason in UNSUPPORTED else 413 if error.reason in OVER_LIMIT else 422
        return answer(status, error.reason, f"This is no picture the desk can take: {error.reason.replace('_', ' ')}.")

    @app.exception_handler(Conflict)
    def conflict(request: Request, error: Conflict) -> JSONResponse:
        vocabulary = request.app.state.desk.vocabulary
        current, since = shapes.annotation(vocabulary, error.current), shapes.log(error.since)
        return answer(409, "conflict", "Someone else decided on this image.", annotation=current, since=since)

    @app.exception_handler(NoSuchImage)
    def no_such_image(_: Request, error: NoSuchImage) -> JSONResponse:
        return answer(404, "no_such_image", str(error))

    @app.exception_handler(NotFetched)
    def not_fetched(_: Request, error: NotFetched) -> JSONResponse:
        return answer(422, error.code, str(error))

    @app.exception_handler(NothingToUndo)
    def nothing_to_undo(_: Request, error: NothingToUndo) -> JSONResponse:
        return answer(409, "nothing_to_undo", str(error))

    @app.exception_handler(UnknownModel)
    def unknown_model(_: Request, error: UnknownModel) -> JSONResponse:
        return answer(404, "no_such_model", str(error))

    @app.exception_handler(ModelError)
    def unusable_model(_: Request, error: ModelError) -> JSONResponse:
        log.error("%s", error)  # it names files of this machine, which are nobody else's business
        return answer(503, "unusable_model", "This model cannot be loaded; train it again, or choose another.")

    @app.exception_handler(OperationalError)
    def store_away(_: Request, error: OperationalError) -> JSONResponse:
        log.error("%s", error.orig)
        response = answer(503, "store_away", "The store does not answer; nothing was saved. Try again in a moment.")
        response.headers["retry-after"] = "5"
        return response

    @app.exception_handler(Busy)
    def busy(_: Request, error: Busy) -> JSONResponse:
        response = answer(429, "busy", str(error))
        response.headers["retry-after"] = "1"
        return response

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            {"where": ".".join(str(part) for part in each["loc"]), "problem": each["msg"]} for each in error.errors()
        ]
        first = problems[0] if problems else {"where": "request", "problem": "not valid"}
        return answer(422, "invalid", f"{first['where']}: {first['problem']}.", problems=problems)

    @app.exception_handler(HTTPException)
    def other(_: Request, error: HTTPException) -> JSONResponse:
        response = answer(error.status_code, "http", str(error.detail))
        response.headers.update(error.headers or {})
        return response
