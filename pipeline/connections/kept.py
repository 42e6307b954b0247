"""Tells when a server has closed a connection that it kept open, just as the next request was sent on it.

A client may then send an idempotent request again (RFC 9112, section 9.3.1). httpcore looks whether a connection is
still open before it sends, which leaves the moment between that and the answer.
"""

import ssl
from typing import Any

import httpcore


class ClosedMeanwhile(httpcore.ReadError):
    """The server has closed the connection after earlier answers, and sent no byte of an answer to this request."""


class KeptConnection(httpcore.AsyncNetworkStream):
    """A connection that raises ClosedMeanwhile where httpcore would not tell it from a lost answer."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._has_answered = False  # any request before
        self._awaits_answer = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Reads from the connection; raises ClosedMeanwhile besides the errors of httpcore."""
        try:
            data = await self._stream.read(max_bytes, timeout)
        except httpcore.ReadError as error:
            if self._was_closed():
                raise ClosedMeanwhile(str(error)) from error
            raise
        if data:
            self._has_answered, self._awaits_answer = True, False
        elif self._was_closed():
            raise ClosedMeanwhile("the connection has ended")
        return data

    def _was_closed(self) -> bool:
        return self._has_answered and self._awaits_answer

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Writes to the connection. After a WriteError httpcore reads, as there may be an answer already."""
        self._awaits_answer = True
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """The connection inside TLS."""
        return KeptConnection(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about the connection, such as whether it can be read from."""
        return self._stream.get_extra_info(info)
