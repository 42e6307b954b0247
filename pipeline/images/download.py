"""Requests one image URL once: redirects, size limits, opt-outs and conditional requests, with a typed outcome."""

import asyncio
import hashlib
import re
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, urljoin

import httpcore
import httpx

from pipeline.encodings import BodyDecoder, EncodingError, TooLong, UnknownEncoding
from pipeline.headers import PRINTABLE, AnswerHeaders, validator
from pipeline.http import mapped
from pipeline.images.decoders import Content
from pipeline.images.guard import CannotResolve, Forbidden, GuardedTransport, check_url
from pipeline.settings import HttpSettings, ImageSettings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Worth trying again; every other status of 400 and above is final. 425 is "too early".
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
NETWORK_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
SUCCESS = frozenset({200, 203})  # 203: a proxy has passed the picture on (RFC 9110, section 15.3.4)
CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
HOST = re.compile(r"[^/?#]*")
LONGEST_COOKIES = 8_000  # characters of the header
ALLOWED_IN_URLS = "%:/?#[]@!$&'()*+,;=-._~\"<>\\^`{|}"
SHORT_ANSWER = 16_384  # a shorter error page is read to its end, so that the connection can be reused
IMAGE_TYPES = "image/jpeg,image/png,image/webp,image/tiff,image/gif;q=0.9,image/*;q=0.8"
IN_MEMORY = 1 << 20  # a larger body goes to a file


class Refusal(Exception):
    """The URL has no image, now or later; `reason` is the typed reason of the ledger."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


class Trouble(Exception):
    """The URL gave no image this time; with `unreachable`, there was no connection either."""

    def __init__(
        self, reason: str, status: int | None = None, *, wait_s: float | None = None, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.status, self.wait_s, self.unreachable = reason, status, wait_s, unreachable


@dataclass(frozen=True)
class Downloaded:
    """A complete body, or status 304 without one. A large body is a file, which the caller removes."""

    status: int
    content: Content | None
    size: int
    sha256: str | None
    etag: str | None
    last_modified: str | None


class Downloader:
    """Downloads URLs through the guarded transport."""

    def __init__(
        self,
        transport: GuardedTransport,
        images: ImageSettings,
        http: HttpSettings,
        incoming: Path,
        *,
        accept: str = IMAGE_TYPES,
    ) -> None:
        self._transport = transport
        self._images = images
        self._hosts = http.hosts
        self._incoming = incoming
        self._headers = {"User-Agent": http.user_agent, "Accept": accept, "Accept-Encoding": "identity"}
        self._timeout = httpx.Timeout(http.read_timeout_s, connect=http.connect_timeout_s).as_dict()
        self.requests = 0

    async def download(self, url: str, *, etag: str | None = None, last_modified: str | None = None) -> Downloaded:
        """The bytes behind a URL, if they are newer than an earlier answer with these headers.

        Raises Refusal or Trouble.
        """
        conditions = {"If-None-Match": validator(etag), "If-Modified-Since": validator(last_modified)}
        headers = self._headers | {name: value for name, value in conditions.items() if value}
        try:
            async with asyncio.timeout(self._images.timeout_s):
                return await self._follow(url, headers)
        except (Forbidden, OSError, *NETWORK_ERRORS) as error:  # TimeoutError and CannotResolve are OSErrors
            raise _typed(error) from error
        except (ValueError, ArithmeticError, LookupError, httpx.InvalidURL) as error:
            # A header that none of the parsers foresaw: one answer never ends a run.
            raise Refusal("broken_answer") from error

    async def _follow(self, url: str, headers: dict[str, str]) -> Downloaded:
        cookies = httpx.Cookies()  # only for this image and its redirects
        for _ in range(self._images.redirects + 1):
            url = quoted(url)
            check_url(url)
            response = await self._ask(url, headers | cookie_header(cookies, url))
            said = AnswerHeaders(response.headers.raw)
            try:
                if response.status_code not in SUCCESS:
                    await _read_short(response, said)
                if response.status_code in REDIRECTS and said.location is not None:
                    keep_cookies(cookies, url, said)
                    url = redirected(url, said.location)
                    continue
                return await self._receive(response, said)
            finally:
                await response.aclose()
        raise Refusal("too_many_redirects")

    async def _ask(self, url: str, headers: dict[str, str]) -> httpx.Response:
        call, original = mapped(url, self._hosts)
        self.requests += 1
        request = httpx.Request("GET", call, headers=original | headers, extensions={"timeout": self._timeout})
        return await self._transport.handle_async_request(request)

    async def _receive(self, response: httpx.Response, said: AnswerHeaders) -> Downloaded:
        status, validators = response.status_code, (said.etag, said.last_modified)
        if said.opt_out is not None:
            raise Refusal(f"opt_out_{said.opt_out}")
        if status == 304:
            return Downloaded(304, None, 0, None, *validators)
        if status in TRANSIENT:
            raise Trouble(f"http_{status}", status, wait_s=said.retry_after_s)
        if status not in SUCCESS:
            raise Refusal(f"http_{status}", status)
        if said.content_length > self._images.max_bytes:
            raise Refusal("too_large", status)
        body = _Body(self._images.max_bytes, said.content_encoding, self._incoming)
        try:
            async for chunk in response.aiter_raw():
                body.add(chunk)
            return Downloaded(status, body.content(), body.size, body.sha256, *validators)
        except BaseException:
            body.discard()
            raise


async def _read_short(response: httpx.Response, said: AnswerHeaders) -> None:
    """Reads a short body that is not needed to its end."""
    if 0 < said.content_length <= SHORT_ANSWER:
        async for _ in response.aiter_raw():
            pass


class _Body:
    """A body while it is received: counted, hashed, decompressed within the limit, in a file if it gets large."""

    def __init__(self, max_bytes: int, encoding: str, incoming: Path) -> None:
        try:
            self._decoder = BodyDecoder(encoding, max_bytes)
        except UnknownEncoding as error:
            raise Refusal("unsupported_encoding", 200) from error
        self._max_bytes = max_bytes
        self._incoming = incoming
        self._digest = hashlib.sha256()
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of the decompressed bytes."""
        return self._digest.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Adds a chunk; raises Refusal if the body gets too large."""
        try:
            for piece in self._decoder.pieces(chunk):
                self._keep(piece)
        except EncodingError as error:
            raise Trouble("broken_encoding", 200) from error
        except TooLong as error:
            raise Refusal("too_large", 200) from error

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise Refusal("too_large", 200)
        self._digest.update(piece)
        if self._file is None and self.size <= IN_MEMORY:
            self._chunks.append(piece)
            return
        if self._file is None:
            self._file = cast(BinaryIO, tempfile.NamedTemporaryFile(dir=self._incoming, delete=False))  # noqa: SIM115
            self._file.write(b"".join(self._chunks))
            self._chunks.clear()
        self._file.write(piece)

    def content(self) -> Content:
        """The whole body."""
        if not self._decoder.complete:
            raise Trouble("truncated_body", 200)
        if self._file is None:
            return Content(b"".join(self._chunks), None)
        self._file.close()
        return Content(None, Path(self._file.name))

    def discard(self) -> None:
        """Deletes what was received."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)


def quoted(url: str) -> str:
    """The URL with spaces and letters beyond ASCII escaped in its path and query, as browsers send it.

    What is escaped already stays as it is. Raises Forbidden for control characters and half surrogate pairs.
    """
    url = url.strip()
    if CONTROL.search(url):
        raise Forbidden("bad_url", "with control characters")
    scheme, separator, rest = url.partition("://")
    host = HOST.match(rest)[0]  # type: ignore[index]  # an empty one matches too
    return scheme + separator + host + quote(rest[len(host) :], safe=ALLOWED_IN_URLS)


def redirected(url: str, location: str) -> str:
    """The URL that a Location header leads to. Raises Forbidden for one that cannot be read."""
    try:
        return urljoin(url, location.strip())
    except ValueError as error:
        raise Forbidden("bad_url", str(error)) from error


def keep_cookies(cookies: httpx.Cookies, url: str, said: AnswerHeaders) -> None:
    """Adds the cookies that a redirect sets; those of a wrong domain or form are left out (RFC 6265, section 5.3)."""
    given = [("set-cookie", line) for line in said.cookies]
    if given:
        cookies.extract_cookies(httpx.Response(302, headers=given, request=httpx.Request("GET", url)))


def cookie_header(cookies: httpx.Cookies, url: str) -> dict[str, str]:
    """The Cookie header for a URL, if there are cookies for it."""
    if not cookies.jar:
        return {}
    request = httpx.Request("GET", url)
    cookies.set_cookie_header(request)
    value = request.headers.get("cookie", "")
    return {"Cookie": value} if PRINTABLE.fullmatch(value) and len(value) <= LONGEST_COOKIES else {}


def _typed(error: Exception) -> Refusal | Trouble:
    """What a network error means for the URL."""
    if isinstance(error, Forbidden):
        return Refusal(error.reason)
    if isinstance(error, CannotResolve):
        return Trouble("dns_failed", unreachable=True)
    if isinstance(error, httpcore.ConnectTimeout):
        return Trouble("connect_timeout", unreachable=True)
    if isinstance(error, TimeoutError | httpcore.TimeoutException):
        return Trouble("timeout")
    if isinstance(error, httpcore.ConnectError):
        tls = "ssl" in str(error).lower() or isinstance(error.__cause__, ssl.SSLError)
        return Trouble("tls_failed" if tls else "connect_failed", unreachable=True)
    if isinstance(error, httpcore.ProtocolError):
        short = "without sending complete" in str(error) or "incomplete" in str(error).lower()
        return Trouble("truncated_body" if short else "broken_answer")
    return Trouble("connection_lost")
