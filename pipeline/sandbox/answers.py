"""What every API answer of the local museum shares: the key check, the rate limit's headers, the error bodies."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

# Echoed where the caller sent no key and none is asked for.
NO_KEY = "local"


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
        """Whether one more request of this key is allowed, and the headers that say what is left."""
        now = self.clock()
        window = int(now // self.window_s)
        used = self._used.get((key, window), 0) + 1
        self._used = {name: n for name, n in self._used.items() if name[1] == window} | {(key, window): used}
        left = max(0, self.requests - used)
        reset = int((window + 1) * self.window_s - now)
        return used <= self.requests, self.headers(left, reset)

    def headers(self, left: int, reset_s: int) -> dict[str, str]:
        """IETF ratelimit draft-10; there is no Retry-After."""
        return {
            "RateLimit-Policy": f'"{self.kind}";q={self.requests};w={self.window_s}',
            "RateLimit": f'"{self.kind}";r={left};t={reset_s}',
        }


def too_many(quota: Quota) -> Refusal:
    """The answer when a key has used up its window."""
    return Refusal(
        429,
        f"{quota.kind.capitalize()} key client has reached the limit of "
        f"{quota.requests} requests per {quota.window_s // 60} minutes",
        code=f"429_limit_{quota.kind}",
        message="The use of personal keys is limited; wait until the window begins anew.",
    )


def key_of(request: Request) -> str | None:
    """The API key that came with a request, by header or by the older parameter."""
    return request.headers.get("x-api-key") or request.query_params.get("wskey")


def check_key(key: str | None, expected: str | None) -> str:
    """The key to echo. Raises Refusal as recorded when a key is expected and another or none came."""
    if expected is None:
        return key or NO_KEY
    if key is None:
        raise Refusal(401, "Unauthorized", message="Invalid API key provided!", code="invalid_apikey")
    if key != expected:
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
    return Response(
        body if isinstance(body, bytes) else dumps(body), status, headers=dict(headers or {}), media_type=media_type
    )


def dumps(value: object) -> bytes:
    """JSON as the servers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
