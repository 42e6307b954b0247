"""Signing in and out."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from ml.assistant.access import cookie_of
from ml.assistant.api.common import Refused, ServiceDep
from ml.assistant.people import Person

router = APIRouter(tags=["people"])
FORM = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}
BODY = {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": FORM}}}}


@router.get("/sign-in", include_in_schema=False)
def sign_in_page() -> Response:
    """The page asks for a token by itself where one is needed."""
    return RedirectResponse("/", 303)


@router.post("/sign-in", openapi_extra=BODY)
async def sign_in(request: Request, service: ServiceDep) -> Response:
    """Keep the token of a form in a cookie, and lead to the page."""
    access = request.app.state.access
    try:
        fields = parse_qs((await request.body()).decode("utf-8"), max_num_fields=10)
    except ValueError as error:
        raise Refused(400, "bad_form", "The form cannot be read.") from error
    token = fields.get("token", [""])[0].strip()
    person = access.of_token(token, request)
    if not isinstance(person, Person):
        return service.refusals.answer(person, request)
    return RedirectResponse("/", 303, headers={"set-cookie": cookie_of(token, request)})


@router.post("/sign-out", status_code=204)
def sign_out(request: Request) -> Response:
    """Take the cookie away."""
    return Response(status_code=204, headers={"set-cookie": cookie_of("", request)})
