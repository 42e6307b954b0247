"""What the assistant refuses, in words and as an answer; each refusal is counted."""

import html
import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ml.assistant.vocabulary import LANGUAGES
from pipeline.web_gate import FOREIGN_PAGE, WRONG_HOST, Refusal, as_response

WORDS = Path(__file__).parent / "page" / "i18n"
TOO_MANY_REQUESTS = Refusal(429, "too_many_requests", "Too many requests in a short time. Try again in a second.")
NO_TOKEN = Refusal(401, "no_token", "Sign in with your token, or open the address with the token.")
TOKEN_EXPIRED = Refusal(401, "token_expired", "Your token has expired. Ask the person who runs the desk for a new one.")
TOKEN_REVOKED = Refusal(401, "token_revoked", "Your token was revoked. Ask the person who runs the desk.")
NOT_SIGNED_IN = Refusal(401, "not_signed_in", "Sign in at your institution first; this desk takes names from there.")
STORE_AWAY = Refusal(503, "store_away", "The database does not answer; nothing was saved. Try again in a moment.")
BUSY = Refusal(503, "busy", "The server is busy. Try again in a moment.")
SLOW_BODY = Refusal(408, "slow_body", "The request took too long to arrive. Try again.")
# These are not answered as requests, because none has been read; they are only counted.
SLOW_HEADERS, TOO_MANY_CONNECTIONS, NOT_HTTP = "slow_headers", "too_many_connections", "not_http"
COUNTED = (
    *(each.code for each in (TOO_MANY_REQUESTS, WRONG_HOST, FOREIGN_PAGE, BUSY, SLOW_BODY)),
    *(each.code for each in (NO_TOKEN, TOKEN_EXPIRED, TOKEN_REVOKED, NOT_SIGNED_IN)),
    *("too_large", SLOW_HEADERS, TOO_MANY_CONNECTIONS, NOT_HTTP),
)
SIGN_IN_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",  # with `no-referrer` a form is sent with the origin `null`
}
HEADERS = {429: {"retry-after": "1"}, 503: {"retry-after": "2"}, 401: {"www-authenticate": "Bearer"}}


class Busy(Exception):
    """Too many pictures are waiting to be decoded, for the model or for tiles, or too many addresses are being read."""


class Refusals:
    """How often each kind of request was refused since the start."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))

    def answer(self, refusal: Refusal, request: Request) -> Response:
        """The refusal, counted: JSON for programs and the page's scripts, a sentence in the visitor's language else."""
        self.counts[refusal.code] += 1
        headers = HEADERS.get(refusal.status)
        if "text/html" in request.headers.get("accept", ""):
            return _page(refusal, language_of(request.headers.get("accept-language", "")), headers)
        return as_response(refusal, headers)


def _page(refusal: Refusal, language: str, headers: Mapping[str, str] | None) -> Response:
    """The sentence as a page; where a token is missing, with a form to sign in."""
    words = _words(language)
    sentence = html.escape(words.get(f"error.{refusal.code}", refusal.message))
    form = ""
    if refusal.status == 401 and refusal is not NOT_SIGNED_IN:
        form = (
            f'<form method="post" action="/sign-in"><label class="field">{html.escape(words["token"])} '
            '<input type="password" name="token" maxlength="200" autocomplete="current-password" required autofocus>'
            f'</label> <button class="primary">{html.escape(words["sign_in"])}</button></form>'
        )
        headers = {**(headers or {}), **SIGN_IN_HEADERS}
    title = html.escape(words["app"])
    page = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>EUFCC · {title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/page/icon.svg"><link rel="stylesheet" href="/page/style.css"></head>'
        f'<body><main class="sign-in"><h1>EUFCC <span class="subtitle">{title}</span></h1>'
        f"<p>{sentence}</p>{form}</main></body></html>"
    )
    return HTMLResponse(page, refusal.status, headers)


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
