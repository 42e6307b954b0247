"""All that is decompressed goes through here: piece by piece, and never beyond a limit.

Content-Encoding as servers write it (RFC 9110, section 8.4), and files that are gzipped (RFC 1952, section 2.2, for
those of several members).
"""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO

GZIP, DEFLATE = frozenset({"gzip", "x-gzip"}), "deflate"
# Codings that change the bytes and are not undone here, because nobody asked for them.
NOT_READ = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
GZIP_MAGIC = b"\x1f\x8b"
MOST_MEMBERS = 10_000  # BGZF has one per 64 KB; where more bytes are allowed, more members are too
LEAST_OF_A_MEMBER = 16_384  # decoded bytes, on average, of more members than that
WINDOW = 1 << 16  # bytes decoded at a time, because what follows a member is copied
PIECE = 1 << 16  # decoded bytes that are held at a time, so that a bomb inside a bomb is never held as a whole
# What zipfile raises for damage, in names too, and as RuntimeError for what it cannot read, such as encrypted members.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, UnicodeDecodeError)
PACKED_AS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile undoes others too, but without a limit
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

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk adds to the decoded body, in small pieces; all of them must be taken.

        Raises EncodingError and TooLong.
        """
        pieces: Iterator[bytes] = iter([chunk])
        for stage in self._stages:
            pieces = chain.from_iterable(map(stage.pieces, pieces))
        return pieces

    @property
    def complete(self) -> bool:
        """Whether the codings ended where the body did."""
        return all(stage.complete for stage in self._stages)


class _Inflated:
    """One coding: gzip of any number of members, or deflate with and without zlib's frame.

    Which of them it is the first two bytes say, because servers take one name for the other.
    """

    def __init__(self, gzip: bool, limit: int) -> None:
        self._gzip, self._limit, self._left, self._members = gzip, limit, limit, 0
        self._stream: zlib._Decompress | None = None
        self._head, self._ended = b"", False

    @property
    def complete(self) -> bool:
        return self._ended or (self._stream is not None and self._stream.eof)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), WINDOW):
            window = chunk[start : start + WINDOW]
            while window and not self._ended:
                if self._stream is None:
                    window = self._begin(window)
                elif self._stream.eof:
                    window = self._next_member(window)
                else:
                    yield from self._inflate(self._stream, window)
                    window = self._stream.unused_data if self._stream.eof else b""

    def _begin(self, window: bytes) -> bytes:
        """Begins a stream as soon as the bytes say which; the bytes to go on with."""
        window, self._head = self._head + window, b""
        if len(window) < 2:
            self._head = window
            return b""
        self._stream = self._begun(window)
        return window

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
            most = max(MOST_MEMBERS, self._limit // LEAST_OF_A_MEMBER)
            if self._members > most:
                raise EncodingError(f"more than {most} members")
            self._stream, self._head = None, b""
        return window

    def _inflate(self, stream: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
        more = True
        while more:
            try:
                plain = stream.decompress(chunk, PIECE)
            except zlib.error as error:
                raise EncodingError(str(error)) from error
            self._left -= len(plain)
            if self._left < 0:
                raise TooLong(f"more than {self._limit} bytes after decompression")
            yield plain
            chunk = stream.unconsumed_tail
            more = not stream.eof and (bool(chunk) or len(plain) == PIECE)


class CappedReader(io.RawIOBase):
    """The bytes of a stream, decompressed by `coding`, at most `limit` of them.

    Reading raises EncodingError where the stream is damaged or ends too early, TooLong beyond the limit.
    """

    def __init__(self, source: IO[bytes], limit: int, coding: str = "identity") -> None:
        self._source, self._limit, self._given = source, limit, 0
        self._decoder = BodyDecoder(coding, limit)
        self._pieces: Iterator[bytes] = iter(())
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fills the buffer as far as one piece goes; 0 at the end."""
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                chunk = self._source.read(WINDOW)
                if not chunk:
                    if not self._decoder.complete:
                        raise EncodingError("it ends too early")
                    return 0
                self._pieces = self._decoder.pieces(chunk)
            else:
                self._given += len(piece)
                if self._given > self._limit:
                    raise TooLong(f"more than {self._limit} bytes")
                self._ready = memoryview(piece)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def close(self) -> None:
        """Closes the source too."""
        self._source.close()
        super().close()


def gunzipped(file: Path, limit: int) -> io.BufferedReader:
    """A gzipped file, to be read; see CappedReader. Raises OSError."""
    return io.BufferedReader(CappedReader(file.open("rb"), limit, "gzip"))
