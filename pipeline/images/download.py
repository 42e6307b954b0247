"""Requests one image URL once: redirects, size limits, opt-outs and conditional requests, with a typed outcome."""

import asyncio
import hashlib
import ssl
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from typing import BinaryIO, cast
from urllib.parse import urljoin

import httpcore
import httpx

from pipeline.http import mapped
from pipeline.images.decoders import Content
from pipeline.images.guard import CannotResolve, Forbidden, GuardedTransport, check_url
from pipeline.settings import HttpSettings, ImageSettings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Worth trying again; every other status of 400 and above is final. 425 is "too early".
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
NO_AI = frozenset({"noai", "noimageai"})
NETWORK_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
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
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        headers = self._headers | {name: value for name, value in conditions.items() if value}
        try:
            async with asyncio.timeout(self._images.timeout_s):
                return await self._follow(url, headers)
        except (Forbidden, OSError, *NETWORK_ERRORS) as error:  # TimeoutError and CannotResolve are OSErrors
            raise _typed(error) from error

    async def _follow(self, url: str, headers: dict[str, str]) -> Downloaded:
        for _ in range(self._images.redirects + 1):
            check_url(url)
            response = await self._ask(url, headers)
            try:
                if response.status_code != 200:
                    await _read_short(response)
                if response.status_code in REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"].strip())
                    continue
                return await self._receive(response)
            finally:
                await response.aclose()
        raise Refusal("too_many_redirects")

    async def _ask(self, url: str, headers: dict[str, str]) -> httpx.Response:
        call, original = mapped(url, self._hosts)
        self.requests += 1
        request = httpx.Request("GET", call, headers=original | headers, extensions={"timeout": self._timeout})
        return await self._transport.handle_async_request(request)

    async def _receive(self, response: httpx.Response) -> Downloaded:
        status, headers = response.status_code, response.headers
        validators = (headers.get("etag"), headers.get("last-modified"))
        refuse_opted_out(headers)
        if status == 304:
            return Downloaded(304, None, 0, None, *validators)
        if status in TRANSIENT:
            raise Trouble(f"http_{status}", status, wait_s=retry_after_s(headers.get("retry-after")))
        if status != 200:
            raise Refusal(f"http_{status}", status)
        if int(headers.get("content-length") or 0) > self._images.max_bytes:
            raise Refusal("too_large", status)
        body = _Body(self._images.max_bytes, headers.get("content-encoding", "identity"), self._incoming)
        try:
            async for chunk in response.aiter_raw():
                body.add(chunk)
            return Downloaded(status, body.content(), body.size, body.sha256, *validators)
        except BaseException:
            body.discard()
            raise


async def _read_short(response: httpx.Response) -> None:
    """Reads a short body that is not needed to its end."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= SHORT_ANSWER:
        async for _ in response.aiter_raw():
            pass


class _Body:
    """A body while it is received: counted, hashed, decompressed within the limit, in a file if it gets large."""

    def __init__(self, max_bytes: int, encoding: str, incoming: Path) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Refusal("unsupported_encoding", 200)
        self._inflate = None if encoding in ("", "identity") else zlib.decompressobj(wbits=47)
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
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, self._max_bytes - self.size + 1)
            except zlib.error as error:
                raise Trouble("broken_encoding", 200) from error
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise Refusal("too_large", 200)
        self._digest.update(chunk)
        if self._file is None and self.size <= IN_MEMORY:
            self._chunks.append(chunk)
            return
        if self._file is None:
            self._file = cast(BinaryIO, tempfile.NamedTemporaryFile(dir=self._incoming, delete=False))  # noqa: SIM115
            self._file.write(b"".join(self._chunks))
            self._chunks.clear()
        self._file.write(chunk)

    def content(self) -> Content:
        """The whole body."""
        if self._inflate is not None and not self._inflate.eof:
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


def refuse_opted_out(headers: Mapping[str, str]) -> None:
    """Raises Refusal if the publisher opts out: X-Robots-Tag `noai` or `noimageai`, or `tdm-reservation: 1`.

    W3C TDM Reservation Protocol, section 4. Robots rules that begin with the name of another crawler (`otherbot: noai`)
    do not apply.
    """
    for rule in headers.get("x-robots-tag", "").lower().split(","):
        if rule.strip() in NO_AI:
            raise Refusal("opt_out_robots")
    if headers.get("tdm-reservation", "").strip() == "1":
        raise Refusal("opt_out_tdm")


def retry_after_s(value: str | None) -> float | None:
    """The wait in seconds from a Retry-After header, a number or a date; None without one, or if it is unreadable."""
    if value is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    return None


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
