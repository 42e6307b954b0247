"""Requests one image URL once: redirects, size limits, opt-outs and conditional requests, with a typed outcome."""

import asyncio
import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, urljoin

from pipeline.connections import AsyncAnswer, AsyncClient, ConnectionFailure, Cookies, kind_of
from pipeline.encodings import BodyDecoder, EncodingError, TooLong, UnknownEncoding
from pipeline.headers import validator
from pipeline.http import mapped
from pipeline.images.decoders import Content
from pipeline.images.guard import CannotResolve, Forbidden, check_url
from pipeline.settings import HttpSettings, ImageSettings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Worth trying again; every other status of 400 and above is final. 425 is "too early".
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
NOT_CONNECTED = frozenset({"connect_timeout", "connect_failed", "tls_failed"})
SUCCESS = frozenset({200, 203})  # 203: a proxy has passed the picture on (RFC 9110, section 15.3.4)
CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
HOST = re.compile(r"[^/?#]*")
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
    """Downloads URLs through a guarded client."""

    def __init__(
        self,
        client: AsyncClient,
        images: ImageSettings,
        http: HttpSettings,
        incoming: Path,
        *,
        accept: str = IMAGE_TYPES,
    ) -> None:
        self._client = client
        self._images = images
        self._hosts = http.hosts
        self._incoming = incoming
        self._headers = {"User-Agent": http.user_agent, "Accept": accept, "Accept-Encoding": "identity"}
        self._timeouts = {
            "connect": http.connect_timeout_s,
            **dict.fromkeys(("read", "write", "pool"), http.read_timeout_s),
        }
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
        except (Forbidden, OSError, *ConnectionFailure) as error:  # TimeoutError and CannotResolve are OSErrors
            raise _typed(error) from error
        except (ValueError, ArithmeticError, LookupError) as error:
            # A header that none of the parsers foresaw: one answer never ends a run.
            raise Refusal("broken_answer") from error

    async def _follow(self, url: str, headers: dict[str, str]) -> Downloaded:
        cookies = Cookies()  # only for this image and its redirects
        for _ in range(self._images.redirects + 1):
            url = quoted(url)
            check_url(url)
            answer = await self._ask(url, headers | cookies.header(url))
            try:
                if answer.status not in SUCCESS:
                    await _read_short(answer)
                if answer.status in REDIRECTS and answer.headers.location is not None:
                    cookies.keep(url, answer.headers)
                    url = redirected(url, answer.headers.location)
                    continue
                return await self._receive(answer)
            finally:
                await answer.aclose()
        raise Refusal("too_many_redirects")

    async def _ask(self, url: str, headers: dict[str, str]) -> AsyncAnswer:
        call, original = mapped(url, self._hosts)
        self.requests += 1
        return await self._client.get(call, original | headers, self._timeouts)

    async def _receive(self, answer: AsyncAnswer) -> Downloaded:
        status, said = answer.status, answer.headers
        validators = (said.etag, said.last_modified)
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
            async for chunk in answer.chunks():
                body.add(chunk)
            return Downloaded(status, body.content(), body.size, body.sha256, *validators)
        except BaseException:
            body.discard()
            raise


async def _read_short(answer: AsyncAnswer) -> None:
    """Reads a short body that is not needed to its end."""
    if 0 < answer.headers.content_length <= SHORT_ANSWER:
        async for _ in answer.chunks():
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


def _typed(error: Exception) -> Refusal | Trouble:
    """What a network error means for the URL."""
    if isinstance(error, Forbidden):
        return Refusal(error.reason)
    if isinstance(error, CannotResolve):
        return Trouble("dns_failed", unreachable=True)
    kind = kind_of(error)
    return Trouble(kind, unreachable=kind in NOT_CONNECTED)
