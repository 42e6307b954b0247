"""What the assistant refuses, in words and as an answer; each refusal is counted."""

import html
import json
from collections import Counter
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ml.assistant.vocabulary import LANGUAGES
from pipeline.web_gate import FOREIGN_PAGE, WRONG_HOST, Refusal, as_response

WORDS = Path(__file__).parent / "page" / "i18n"
TOO_MANY_REQUESTS = Refusal(429, "too_many_requests", "Too many requests in a short time. Try again in a second.")
NO_TOKEN = Refusal(401, "no_token", "Open the address with the token, which was printed at the start.")
BUSY = Refusal(503, "busy", "The server is busy. Try again in a moment.")
SLOW_BODY = Refusal(408, "slow_body", "The request took too long to arrive. Try again.")
# These are not answered as requests, because none has been read; they are only counted.
SLOW_HEADERS, TOO_MANY_CONNECTIONS, NOT_HTTP = "slow_headers", "too_many_connections", "not_http"
COUNTED = (
    *(each.code for each in (TOO_MANY_REQUESTS, WRONG_HOST, NO_TOKEN, FOREIGN_PAGE, BUSY, SLOW_BODY)),
    *("too_large", SLOW_HEADERS, TOO_MANY_CONNECTIONS, NOT_HTTP),
)
HEADERS = {429: {"retry-after": "1"}, 503: {"retry-after": "2"}, 401: {"www-authenticate": "Bearer"}}


class Refusals:
    """How often each kind of request was refused since the start."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))

    def answer(self, refusal: Refusal, request: Request) -> Response:
        """The refusal, counted: JSON for programs and the page's scripts, a sentence in the visitor's language else."""
        self.counts[refusal.code] += 1
        headers = HEADERS.get(refusal.status)
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            language = language_of(request.headers.get("accept-language", ""))
            sentence = _words(language).get(f"error.{refusal.code}", refusal.message)
            page = f'<!doctype html><html lang="{language}"><title>EUFCC</title><p>{html.escape(sentence)}</p></html>'
            return HTMLResponse(page, refusal.status, headers)
        return as_response(refusal, headers)


def too_large(max_bytes: int) -> Refusal:
    """The refusal of a body over this limit."""
    return Refusal(413, "too_large", f"The request is larger than the limit of {max_bytes / 1e6:g} MB.")


def language_of(accepted: str) -> str:
    """The first language of an Accept-Language header that the page speaks; English if it speaks none of them."""
    wished = (each.strip()[:2].lower() for each in accepted[:200].split(","))
    return next((each for each in wished if each in LANGUAGES), "en")


@cache
def _words(language: str) -> dict[str, str]:
    return json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8"))
