"""What all addresses share: the desk, and refusals as `{"error": code, "message": sentence}`."""

from typing import Annotated

from fastapi import Depends, Request

from ml.assistant.service import Desk
from ml.assistant.vocabulary import Term


class Refused(Exception):
    """An answer that says no: HTTP status, a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str, **more: object):
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def desk_of(request: Request) -> Desk:
    """The desk that this process serves."""
    return request.app.state.desk


DeskHere = Annotated[Desk, Depends(desk_of)]


def term_of(desk: Desk, tag_id: str) -> Term:
    """The tag, or 404."""
    if tag_id not in desk.vocabulary:
        raise Refused(404, "no_such_tag", f"There is no tag {tag_id} in these trees.")
    return desk.vocabulary.terms[tag_id]


async def body_of(request: Request) -> bytes:
    """The raw body; the gate counts it as it comes in."""
    data = await request.body()
    if not data:
        raise Refused(400, "empty", "No image was sent; put the file's bytes into the body.")
    return data


def refuse_other_types(request: Request) -> None:
    """415 for what calls itself something else than an image; what it is, its first bytes tell."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if (
        kind
        and not kind.startswith("image/")
        and kind not in ("application/octet-stream", "application/x-www-form-urlencoded")
    ):
        raise Refused(415, "unsupported_format", f"{kind[:60]} is no image; send JPEG, PNG, WebP, TIFF or GIF.")
