"""Errors as answers: an HTTP status with `{"error": code, "message": sentence}`."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from ml.assistant import api_schemas
from ml.assistant.api.common import Refused
from ml.assistant.models import UnknownModel
from ml.assistant.opinions import NothingToSecond, Settled
from ml.assistant.pictures import NoPicture
from ml.assistant.refusals import BUSY, STORE_AWAY, Busy
from ml.assistant.remote_images import NotFetched
from ml.assistant.store import Conflict, NoSuchImage, NothingToUndo
from ml.assistant.trained import ModelError
from pipeline.images.verify import Rejected
from pipeline.web_gate import Refusal, as_response

log = logging.getLogger(__name__)
Handler = Callable[[Request, Any], Response]
UNSUPPORTED = ("svg", "html", "xml", "json", "pdf", "archive", "unsupported_format", "not_an_image", "polyglot")
OVER_LIMIT = ("too_many_pixels", "too_long", "too_much_memory", "decode_timeout")


def _answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    return as_response(Refusal(status, code, message), headers, **more)


def _own_message(status: int, code: str) -> Handler:
    """Answers with the exception's own message."""
    return lambda _, error: _answer(status, code, str(error))


def _rejected(_: Request, error: Rejected) -> JSONResponse:
    status = 415 if error.reason in UNSUPPORTED else 413 if error.reason in OVER_LIMIT else 422
    reason = error.reason.replace("_", " ")
    return _answer(status, error.reason, f"The file cannot be used as a picture: {reason}.")


def _conflict(request: Request, error: Conflict) -> JSONResponse:
    current = api_schemas.annotation(request.app.state.service.vocabulary, error.current)
    message = "Someone else has changed the decisions on this image."
    return _answer(409, "conflict", message, annotation=current, since=api_schemas.log(error.since))


def _unusable_model(_: Request, error: ModelError) -> JSONResponse:
    log.error("%s", error)  # only logged: the message names files of this machine
    return _answer(503, "unusable_model", "This model cannot be loaded. Train it again, or choose another one.")


def _store_away(_: Request, error: OperationalError) -> JSONResponse:
    log.error("%s", error.orig)
    return as_response(STORE_AWAY, {"retry-after": "5"})


def _busy(request: Request, error: Busy) -> Response:
    return request.app.state.service.refusals.answer(replace(BUSY, message=str(error)), request)


def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    problems = [{"where": ".".join(map(str, each["loc"])), "problem": each["msg"]} for each in error.errors()]
    first = problems[0] if problems else {"where": "request", "problem": "not valid"}
    return _answer(422, "invalid", f"{first['where']}: {first['problem']}.", problems=problems)


def _http(_: Request, error: HTTPException) -> JSONResponse:
    return _answer(error.status_code, "http", str(error.detail), error.headers)


HANDLERS: dict[int | type[Exception], Any] = {
    Refused: lambda _, error: _answer(error.status, error.code, error.message, **error.more),
    NotFetched: lambda _, error: _answer(422, error.code, str(error)),
    NoSuchImage: _own_message(404, "no_such_image"),
    NoPicture: _own_message(404, "no_picture"),
    UnknownModel: _own_message(404, "no_such_model"),
    NothingToSecond: _own_message(409, "nothing_to_second"),
    Settled: _own_message(409, "settled"),
    NothingToUndo: _own_message(409, "nothing_to_undo"),
    Busy: _busy,
    Rejected: _rejected,
    Conflict: _conflict,
    ModelError: _unusable_model,
    OperationalError: _store_away,
    RequestValidationError: _invalid,
    HTTPException: _http,
}
