"""Which host a request was meant for: the local museum answers for all of them on one address."""

import re
from urllib.parse import quote

from starlette.types import Scope

# Hosts whose paths are APIs; on any other host every URL is a provider's image.
API_HOSTS = re.compile(
    r"https?://(?:api\.europeana\.eu|www\.europeana\.eu|data\.europeana\.eu|vocab\.getty\.edu)(?::\d+)?"
)


def original_host(scope: Scope) -> str:
    """`<scheme>://<host>` that the caller meant (header X-Original-Host), or an empty text."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-original-host"), "")


def media_url(scope: Scope) -> str | None:
    """The full original URL when the request was meant for a provider's host, else None."""
    origin = original_host(scope)
    if not origin or API_HOSTS.fullmatch(origin):
        return None
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return str(origin.rstrip("/") + (path + query).decode("latin-1"))
