"""The HTTP client for every server: timeouts, retries, rate limits, a host map, redaction and typed errors."""

import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import tenacity
from pydantic_core import SchemaValidator

from pipeline.connections import (
    AddressError,
    Answer,
    Client,
    ConnectionFailure,
    Deadline,
    Transport,
    check_address,
    with_query,
)
from pipeline.encodings import BodyDecoder, EncodingError, TooLong, UnknownEncoding
from pipeline.headers import AnswerHeaders
from pipeline.http_errors import GaveUp, HttpError, NoFirstAnswer, Refused, Unreachable, WrongKey
from pipeline.rate_limit import Budget, Clock, SystemClock, read_rate_limit
from pipeline.redaction import keep_out_of_logs, redact
from pipeline.settings import HttpSettings
from pipeline.texts import loads, loads_only
from pipeline.waits import SILENT_S, Patience

__all__ = ["GaveUp", "HttpClient", "HttpError", "Refused", "Response", "Unreachable", "WrongKey", "mapped"]

# Dossier, section 1.9; 499 is what the Getty endpoint's gateway answers under load (AAT dossier, section 2).
RETRIED_STATUS = frozenset({499, 500, 502, 503, 504})
RETRIED_CODES = frozenset({"503-SA", "504-SA"})  # Europeana's search engine is down, told as HTTP 400
KEY_CODES = frozenset(
    {"401_key_invalid", "401_key_disabled", "invalid_apikey", "empty_apikey", "400-AM", "401-AX", "410-AD"}
)
SECRET_HEADERS = ("x-api-key", "authorization")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
ACCEPT_ENCODING = "gzip, deflate"  # what pipeline/encodings.py undoes
LONGEST_QUOTE = 300  # characters of an error body that are quoted
# What readers of an answer raise where it has another form than was expected.
OTHER_FORM = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Response:
    """A response with its whole body."""

    url: str  # as asked for, not where the host map led to
    status: int
    headers: AnswerHeaders = field(repr=False)
    content: bytes = field(repr=False)
    max_values: int | None = None  # of JSON, as HttpSettings says
    # Before Python 3.12 a cached_property would have all threads wait for each other.
    _parsed: dict[SchemaValidator | None, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.content.decode("utf-8", errors="replace")

    def json(self, form: SchemaValidator | None = None) -> Any:
        """The body as JSON, parsed once; with a form as `loads_only` gives it. Raises ValueError."""
        if form not in self._parsed:
            most = self.max_values
            self._parsed[form] = loads(self.content, most) if form is None else loads_only(self.content, form, most)
        return self._parsed[form]

    @property
    def is_parsed(self) -> bool:
        """Whether the body was read as JSON."""
        return bool(self._parsed)


@dataclass(frozen=True)
class _Request:
    """What is asked; `body` as pipeline/connections takes it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    check: Callable[[Response], None] | None

    @property
    def keys(self) -> list[str]:
        """The secrets among the headers."""
        return sorted(value for name, value in self.headers.items() if name.lower() in SECRET_HEADERS)


class _TryAgain(Exception):
    """A failure that may go away: the request is repeated."""

    def __init__(self, reason: str, *, answered: bool) -> None:
        super().__init__(reason)
        self.answered = answered


def mapped(url: str, hosts: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The address to connect to for a URL, and the headers that name the original host.

    `hosts` maps an origin (`https://api.europeana.eu`), or `*` for any other, to the address that answers for it.
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    address = (hosts.get(origin) or hosts.get("*") or "").rstrip("/")
    if not address or origin == address:
        return url, {}
    return address + url[len(origin) :], {"X-Original-Host": origin}


class HttpClient:
    """A synchronous client that may be shared by threads.

    A request is retried, with exponential backoff and jitter, after: no connection, a lost connection, a timeout, HTTP
    499, 500, 502, 503 and 504, a 400 with 503-SA or 504-SA, a body that is not JSON where JSON was asked for (by the
    `Accept` header), and a body that `check` finds broken. After HTTP 429 it waits as the `RateLimit` header says
    (there is no Retry-After), without using up an attempt. Everything else is raised at once.

    Requests of one server and key share one budget: `settings.requests_per_second`, and what `RateLimit` headers say is
    left. It is shared between processes through files when `budgets` names a folder.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        secrets: Sequence[str] = (),
        budgets: Path | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.settings = settings
        self._patience = patience or Patience()
        self.clock = clock or SystemClock()
        self._budgets_folder = budgets
        self._budgets: dict[str, Budget] = {}
        self._secrets: list[str] = []
        self._jitter = randomness.SystemRandom()  # for waits alone; no data depends on it
        self._learn(secrets)
        self._deadline = Deadline(self.clock.now)
        headers = {"User-Agent": settings.user_agent, "Accept-Encoding": ACCEPT_ENCODING}
        self._client = Client(settings, self._deadline, headers, transport)

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def redact(self, text: str) -> str:
        """The text without any key this client has been given."""
        return redact(text, self._secrets)

    def get(
        self,
        url: str,
        params: list[tuple[str, str]] | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        check: Callable[[Response], None] | None = None,
        redirects: bool = False,
    ) -> Response:
        """GET; with `redirects` up to five redirects are followed, but never to another origin with a key.

        `check` reads the body; where it raises one of OTHER_FORM, the body is broken and the request is retried.
        Raises Unreachable, GaveUp, WrongKey or Refused.
        """
        full = with_query(url, params) if params else url
        return self._followed(_Request("GET", full, dict(headers or {}), {}, check), redirects)

    def post(
        self,
        url: str,
        data: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        check: Callable[[Response], None] | None = None,
        redirects: bool = False,
    ) -> Response:
        """POST a form (`data`) or JSON; a redirect keeps method and body. Otherwise as `get`."""
        body = {"json": json} if data is None else {"data": dict(data)}
        return self._followed(_Request("POST", url, dict(headers or {}), body, check), redirects)

    def _followed(self, request: _Request, redirects: bool) -> Response:
        self._learn([*request.keys, urlsplit(request.url).password])
        for _ in range(MOST_REDIRECTS + 1):
            response = self._retried(request)
            if response.status not in REDIRECTS:
                return response
            request = replace(request, url=self._redirected(request, response, redirects))
        raise Refused(response.status, None, self._sentence(request.url, f"redirects more than {MOST_REDIRECTS} times"))

    def _redirected(self, request: _Request, response: Response, redirects: bool) -> str:
        try:
            target = urljoin(response.url, response.headers.location or "")
            leaves = _origin(target) != _origin(response.url)
            check_address(target)
        except ValueError as error:
            sentence = self._sentence(response.url, f"redirects to an address that cannot be read ({error})")
            raise Refused(response.status, None, sentence) from None
        if not redirects or (request.keys and leaves):
            sentence = self._sentence(response.url, f"redirects to {target} (HTTP {response.status}), not followed")
            raise Refused(response.status, None, sentence, location=self.redact(target))
        return target

    def _retried(self, request: _Request) -> Response:
        server, began = self._server(request.url), self.clock.now()

        def stop(state: tenacity.RetryCallState) -> bool:
            late = state.upcoming_sleep >= self._patience.left_s(server, self.clock.now())
            return late or state.attempt_number >= self.settings.attempts

        def say(state: tenacity.RetryCallState) -> None:
            until = self.clock.now() + state.upcoming_sleep
            if until - began > SILENT_S and state.outcome:
                what = f"gives no usable answer ({state.outcome.exception()})"
                self._patience.say(server, what, until, f"try {state.attempt_number + 1} of {self.settings.attempts}")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=stop,
            wait=self._backoff,
            sleep=self.clock.sleep,
            before_sleep=say,
            reraise=True,
        )
        try:
            return retrying(self._attempt, request)
        except _TryAgain as failure:
            if self._patience.left_s(server, self.clock.now()) < float("inf"):
                seconds = self.clock.now() - began
                raise NoFirstAnswer(self._no_first_answer(request.url, failure, seconds)) from None
            kind, happened = (GaveUp, "gives no usable answer") if failure.answered else (Unreachable, "is not reached")
            times = f"after {self.settings.attempts} attempts: {failure}"
            advice = "try again later" if failure.answered else "look at the network, then try again"
            raise kind(self._sentence(request.url, f"{happened} {times}; {advice}")) from None

    def _no_first_answer(self, url: str, failure: _TryAgain, seconds: float) -> str:
        said = self._sentence(url, f"has not answered once in {seconds:.0f} s: {failure}")
        todo = "Check the network, a proxy (HTTPS_PROXY), and http.hosts in the settings; `eufcc doctor` looks at them."
        return f"{said} {todo} `eufcc run --wait` keeps trying."

    def _backoff(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next attempt: doubling up to the cap, the upper half of it random."""
        longest = min(self.settings.backoff_cap_s, self.settings.backoff_first_s * 2.0 ** (state.attempt_number - 1))
        return longest * self._jitter.uniform(0.5, 1.0)

    def _attempt(self, request: _Request) -> Response:
        budget = self._budget(request)
        for _ in range(self.settings.rate_limit_waits + 1):
            budget.take(lambda seconds: self._say_limit(request.url, seconds))
            response = self._send(request)
            limit = read_rate_limit(response.headers.rate_limit)
            if response.status != 429:
                if limit:
                    budget.told(limit)
                return self._judged(response, request)
            budget.refused(limit)
        raise _TryAgain(f"HTTP 429 again after {self.settings.rate_limit_waits} waits", answered=True)

    def _say_limit(self, url: str, seconds: float) -> None:
        until = self.clock.now() + seconds
        self._patience.say(self._server(url), "takes no more requests for now (its limit, or ours)", until, "goes on")

    def _server(self, url: str) -> str:
        return _origin(mapped(url, self.settings.hosts)[0])

    def _send(self, request: _Request) -> Response:
        url, most = request.url, self.settings.max_body_bytes
        address, original = mapped(url, self.settings.hosts)
        server, now = self._server(url), self.clock.now()
        self._patience.begin(server, now)
        longest = min(self.settings.total_timeout_s, max(0.0, self._patience.left_s(server, now)))
        self._deadline.start(longest)
        try:
            headers = {**request.headers, **original}
            with self._patience.answering(server, now + longest):
                answer = self._client.send(request.method, address, headers, request.body)
            self._patience.answered(server)
            self._deadline.start(now + self.settings.total_timeout_s - self.clock.now())
            try:
                content = self._body(answer)
            finally:
                answer.close()
        except ConnectionFailure as error:
            raise _TryAgain(self.redact(f"{type(error).__name__} {error}".strip()), answered=False) from None
        except EncodingError as error:
            raise _TryAgain(f"a body that is not encoded as it says ({error})", answered=True) from None
        except UnknownEncoding as error:
            text = f"answers in a coding that is not read ({str(error)[:LONGEST_QUOTE]})"
            raise Refused(answer.status, None, self._sentence(url, text)) from None
        except TooLong:
            text = f"answers with more than {most} bytes"
            raise Refused(answer.status, None, self._sentence(url, text)) from None
        except AddressError as error:
            raise Refused(0, None, self._sentence(url, f"cannot be asked: {error}")) from None
        return Response(url, answer.status, answer.headers, content, self.settings.max_json_values)

    def _body(self, answer: Answer) -> bytes:
        """The decompressed body. Raises EncodingError, UnknownEncoding, TooLong, and _TryAgain after the deadline."""
        most = self.settings.max_body_bytes
        decoder, content = BodyDecoder(answer.headers.content_encoding, most), bytearray()
        received = False  # a redirect, for example, may name a coding and have no body
        for chunk in answer.chunks():
            received = received or bool(chunk)
            for piece in decoder.pieces(chunk):
                content += piece
                if len(content) > most:
                    raise TooLong(f"more than {most} bytes")
            if self._deadline.left_s < 0:
                raise _TryAgain(f"no whole answer within {self.settings.total_timeout_s:g} s", answered=True)
        if received and not decoder.complete:
            raise EncodingError("it ends too early")
        return bytes(content)

    def _judged(self, response: Response, request: _Request) -> Response:
        """The response if it is of use. Raises _TryAgain, WrongKey or Refused."""
        if response.status in RETRIED_STATUS:
            raise _TryAgain(f"HTTP {response.status}", answered=True)
        if response.status in REDIRECTS:
            return response
        if response.status >= 400:
            self._raise_refusal(response)
        asked_for_json = any(name.lower() == "accept" and "json" in value for name, value in request.headers.items())
        try:
            if request.check:
                request.check(response)
            if asked_for_json and not response.is_parsed:
                response.json()
        except OTHER_FORM as error:
            kind = response.headers.media_type or "no content type"
            broken = f"HTTP {response.status} with a broken body ({kind}): {str(error)[:LONGEST_QUOTE]}"
            raise _TryAgain(self.redact(broken), answered=True) from None
        return response

    def _raise_refusal(self, response: Response) -> None:
        code, said = _error_body(response)
        if response.status == 400 and code in RETRIED_CODES:
            raise _TryAgain(f"HTTP 400 with {code}", answered=True)
        what = " ".join(part for part in (f"HTTP {response.status}", code, said and f"“{said}”") if part)
        if response.status == 401 or code in KEY_CODES:
            raise WrongKey(self._sentence(response.url, f"does not accept the API key: {what}"))
        raise Refused(response.status, code, self._sentence(response.url, f"refuses the request: {what}"))

    def _sentence(self, url: str, what: str) -> str:
        address, _ = mapped(url, self.settings.hosts)
        where = url if _origin(address) == _origin(url) else f"{url} (at {_origin(address)})"
        return self.redact(f"{where} {what}.")

    def _learn(self, secrets: Any) -> None:
        new = [secret for secret in secrets if secret and secret not in self._secrets]
        if new:
            self._secrets = [*self._secrets, *new]
            keep_out_of_logs(new)

    def _budget(self, request: _Request) -> Budget:
        """The budget of the server that is really called and of the key that is sent."""
        origin = self._server(request.url)
        name = "\n".join((origin, _origin(request.url), *request.keys))
        if name not in self._budgets:
            new = Budget(name, self.settings.requests_per_second, self.clock, self._budgets_folder)
            return self._budgets.setdefault(name, new)  # one step, so that threads agree on one
        return self._budgets[name]


def _origin(url: str) -> str:
    """Scheme, host and port: a name and a password in an address are no part of its origin, and are not shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _error_body(response: Response) -> tuple[str | None, str | None]:
    """Europeana's `code` and its text, when the body is its error envelope."""
    try:
        body = response.json()
    except ValueError:
        return None, None
    if not isinstance(body, dict):
        return None, None
    said = [str(body[name])[:LONGEST_QUOTE] for name in ("error", "message") if body.get(name)]
    code = body.get("code")
    return code[:LONGEST_QUOTE] if isinstance(code, str) else None, ": ".join(said) or None
