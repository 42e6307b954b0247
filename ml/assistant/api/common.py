"""What all routes share: the service, and refusals as `{"error": code, "message": sentence}`."""

from typing import Annotated

from fastapi import Depends, Request

from ml.assistant.people import Person, Role
from ml.assistant.service import AssistantService
from ml.assistant.vocabulary import Term


class Refused(Exception):
    """A request that is refused: HTTP status, a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str, **more: object):
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def service_of(request: Request) -> AssistantService:
    """The service of this application."""
    return request.app.state.service


ServiceDep = Annotated[AssistantService, Depends(service_of)]


def person_of(request: Request) -> Person:
    """Who sent the request, as the middleware found."""
    return request.state.person


PersonDep = Annotated[Person, Depends(person_of)]


def signed(person: Person, who: str | None) -> str:
    """The name that a decision carries: that of the token, otherwise the typed one. Raises Refused (422)."""
    name = person.name or who
    if not name:
        raise Refused(422, "invalid", "who: Say who you are.")
    return name


def require(person: Person, role: Role) -> None:
    """Raise Refused (403) for a person without the rights of this role."""
    if not person.may(role):
        raise Refused(403, "not_your_role", f"This needs the role of {role}; yours is {person.role}.")


def term_of(service: AssistantService, tag_id: str) -> Term:
    """The tag. Raises Refused (404)."""
    if tag_id not in service.vocabulary:
        raise Refused(404, "no_such_tag", f"There is no tag {tag_id} in these trees.")
    return service.vocabulary.terms[tag_id]


def check_facet(service: AssistantService, facet: str | None) -> None:
    """Raise Refused (422) for a facet that the vocabulary does not have."""
    if facet is not None and facet not in service.vocabulary.facets:
        known = ", ".join(service.vocabulary.facets)
        raise Refused(422, "invalid", f"There is no facet {facet[:60]!r}; the facets are: {known}.")


async def body_of(request: Request) -> bytes:
    """The raw body, whose size the middleware limits.

    Raises Refused: 415 if the content type is neither an image nor unspecific (the bytes are checked later), 400 if the
    body is empty.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    unspecific = ("", "application/octet-stream", "application/x-www-form-urlencoded")
    if not kind.startswith("image/") and kind not in unspecific:
        raise Refused(415, "unsupported_format", f"{kind[:60]} is no image; send JPEG, PNG, WebP, TIFF or GIF.")
    data = await request.body()
    if not data:
        raise Refused(400, "empty", "No image was sent; put the file's bytes into the body.")
    return data
