"""What every API answer of the local museum shares: the key check, the rate limit's headers, the error bodies."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

# Echoed where the caller sent no key and none is asked for.
NO_KEY = "local"
Handler = Callable[[Request, str], Awaitable[Response]]  # of a request and the key to echo
Endpoint = Callable[[Request], Awaitable[Response]]


class Refusal(Exception):
    """An answer that is an error, with Europeana's status, code and words."""

    def __init__(self, status: int, error: str, *, code: str | None = None, message: str | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.code, self.message = status, error, code, message

    def body(self, key: str | None) -> dict[str, Any]:
        """The body in the order Europeana writes it: apikey, success, error, message, code."""
        body: dict[str, Any] = {"apikey": key, "success": False, "error": self.error}
        body |= {"message": self.message, "code": self.code}
        return {name: value for name, value in body.items() if value is not None}


@dataclass
class Quota:
    """A fixed clock window of requests per key, as keycloak-europeana counts them."""

    requests: int = 1_000_000
    window_s: int = 3600
    kind: str = "personal"
    clock: Callable[[], float] = time.time
    _used: dict[tuple[str, int], int] = field(default_factory=dict)

    def count(self, key: str) -> tuple[bool, dict[str, str]]:
        """Whether one more request of this key is allowed, and the headers that say what is left.

        The headers are those of IETF's ratelimit draft-10; there is no Retry-After.
        """
        now = self.clock()
        window = int(now // self.window_s)
        used = self._used.get((key, window), 0) + 1
        self._used = {name: n for name, n in self._used.items() if name[1] == window} | {(key, window): used}
        left, reset_s = max(0, self.requests - used), int((window + 1) * self.window_s - now)
        return used <= self.requests, {
            "RateLimit-Policy": f'"{self.kind}";q={self.requests};w={self.window_s}',
            "RateLimit": f'"{self.kind}";r={left};t={reset_s}',
        }

    def refusal(self) -> Refusal:
        """The answer when a key has used up its window."""
        return Refusal(
            429,
            f"{self.kind.capitalize()} key client has reached the limit of "
            f"{self.requests} requests per {self.window_s // 60} minutes",
            code=f"429_limit_{self.kind}",
            message="The use of personal keys is limited; wait until the window begins anew.",
        )


@dataclass(frozen=True)
class KeyedCalls:
    """Decorates the handlers of keyed API calls: checks the key, counts the request, writes refusals.

    `api_key`: the one key that is accepted; None accepts any and none.
    """

    api_key: str | None
    quota: Quota

    def __call__(self, handler: Handler) -> Endpoint:
        """The handler as an endpoint that answers a Refusal as Europeana does."""

        async def endpoint(request: Request) -> Response:
            key = request.headers.get("x-api-key") or request.query_params.get("wskey")
            headers: dict[str, str] = {}
            try:
                key = self._checked(key)
                allowed, headers = self.quota.count(key)
                if not allowed:
                    raise self.quota.refusal()
                response = await handler(request, key)
            except Refusal as refusal:
                echoed = None if refusal.status in (401, 429) else key
                return json_answer(refusal.body(echoed), status=refusal.status, headers=headers)
            response.headers.update(headers)
            return response

        return endpoint

    def _checked(self, key: str | None) -> str:
        """The key to echo. Raises Refusal as recorded when a key is expected and another or none came."""
        if self.api_key is None:
            return key or NO_KEY
        if key is None:
            raise Refusal(401, "Unauthorized", message="Invalid API key provided!", code="invalid_apikey")
        if key != self.api_key:
            raise Refusal(401, "API key is invalid", message="Please register for an API key", code="401_key_invalid")
        return key


def json_answer(
    body: Mapping[str, Any] | bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """JSON in UTF-8, without spaces."""
    content = body if isinstance(body, bytes) else dumps(body)
    return Response(content, status, headers=dict(headers or {}), media_type=media_type)


def dumps(value: object) -> bytes:
    """JSON as the servers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def not_modified(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the caller's copy is the one with these headers; an ETag outweighs a date (RFC 9110, 13.2.2)."""
    if "if-none-match" in request.headers:
        known = [tag.strip().removeprefix("W/") for tag in request.headers["if-none-match"].split(",")]
        return "*" in known or headers["ETag"].removeprefix("W/") in known
    modified, since = headers.get("Last-Modified"), request.headers.get("if-modified-since")
    try:
        return bool(modified and since and parsedate_to_datetime(modified) <= parsedate_to_datetime(since))
    except (TypeError, ValueError):  # not a date, or one without a time zone
        return False
