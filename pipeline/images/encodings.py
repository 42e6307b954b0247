"""Content-Encoding as servers write it: undone while the body arrives, and never beyond a limit.

RFC 9110, section 8.4; RFC 1952, section 2.2, for gzip files of several members.
"""

import zlib

GZIP, DEFLATE = frozenset({"gzip", "x-gzip"}), "deflate"
# Codings that change the bytes and are not undone here, because nobody asked for them.
NOT_READ = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
GZIP_MAGIC = b"\x1f\x8b"
MOST_MEMBERS = 10_000  # BGZF has one per 64 KB
WINDOW = 1 << 16  # bytes decoded at a time, because what follows a member is copied
MOST_CODINGS = 4  # an application, a cache and a proxy may each compress; more is an attack


class EncodingError(ValueError):
    """The body is not encoded as its header says."""


class UnknownEncoding(ValueError):
    """The body is in a coding that is not read."""


class TooLong(ValueError):
    """The decoded body is longer than the limit."""


class BodyDecoder:
    """Undoes the codings of a Content-Encoding header, chunk by chunk.

    Names that are no codings (`none`, `binary`, `UTF-8`, a media type) change nothing, as in browsers. Raises
    UnknownEncoding for a coding that is not read.
    """

    def __init__(self, header: str, limit: int) -> None:
        names = [name.partition(";")[0].strip(" \t\"'").lower() for name in header.split(",")]
        if unread := [name for name in names if name in NOT_READ]:
            raise UnknownEncoding(unread[0])
        # The last coding was applied last, and is undone first.
        stages = [name for name in reversed(names) if name in GZIP or name == DEFLATE]
        if len(stages) > MOST_CODINGS:
            raise UnknownEncoding(header)
        self._stages = [_Inflated(name in GZIP, limit) for name in stages]

    def decode(self, chunk: bytes) -> bytes:
        """What the chunk adds to the decoded body. Raises EncodingError and TooLong."""
        for stage in self._stages:
            chunk = stage.decode(chunk)
        return chunk

    @property
    def complete(self) -> bool:
        """Whether the codings ended where the body did."""
        return all(stage.complete for stage in self._stages)


class _Inflated:
    """One coding: gzip of any number of members, or deflate with and without zlib's frame.

    Which of them it is the first two bytes say, because servers take one name for the other.
    """

    def __init__(self, gzip: bool, limit: int) -> None:
        self._gzip, self._left, self._members = gzip, limit, 0
        self._stream: zlib._Decompress | None = None
        self._head, self._ended = b"", False

    @property
    def complete(self) -> bool:
        return self._ended or (self._stream is not None and self._stream.eof)

    def decode(self, chunk: bytes) -> bytes:
        parts = []
        for start in range(0, len(chunk), WINDOW):
            window = chunk[start : start + WINDOW]
            while window and not self._ended:
                plain, window = self._step(window)
                parts.append(plain)
        return b"".join(parts)

    def _step(self, window: bytes) -> tuple[bytes, bytes]:
        """The decoded bytes up to the end of a member, and what follows it."""
        if self._stream is None:
            window, self._head = self._head + window, b""
            if len(window) < 2:
                self._head = window
                return b"", b""
            self._stream = self._begun(window)
        elif self._stream.eof:
            window = self._next_member(window)
            return b"", window
        plain = self._inflate(self._stream, window)
        return plain, self._stream.unused_data if self._stream.eof else b""

    def _begun(self, start: bytes) -> "zlib._Decompress":
        if start.startswith(GZIP_MAGIC):
            self._gzip = True
            return zlib.decompressobj(wbits=31)
        if start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0:  # RFC 1950, section 2.2
            self._gzip = False
            return zlib.decompressobj(wbits=15)
        return zlib.decompressobj(wbits=31 if self._gzip else -15)

    def _next_member(self, window: bytes) -> bytes:
        """Begins another member. Zeros between members are padding; anything else behind the last one is ignored."""
        window = window.lstrip(b"\0") if self._gzip else window
        if window:
            self._ended = not self._gzip or not window.startswith(GZIP_MAGIC[: len(window)])
        if window and not self._ended:
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise EncodingError(f"more than {MOST_MEMBERS} members")
            self._stream, self._head = None, b""
        return window

    def _inflate(self, stream: "zlib._Decompress", chunk: bytes) -> bytes:
        try:
            plain = stream.decompress(chunk, self._left + 1)
        except zlib.error as error:
            raise EncodingError(str(error)) from error
        self._left -= len(plain)
        if self._left < 0 or stream.unconsumed_tail:
            raise TooLong
        return plain
