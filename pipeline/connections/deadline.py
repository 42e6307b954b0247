"""A deadline for whole exchanges: the timeouts of httpx and httpcore are for one read.

A server that sends a byte now and then, in the headers too, would hold a thread for as long as it likes.
"""

import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore


class Deadline:
    """The moment until which the requests of the present thread may go on; `now` is the clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._of_thread = threading.local()

    def start(self, seconds: float) -> None:
        """Let the requests of this thread go on for so long."""
        self._of_thread.until = self._now() + seconds

    @property
    def left_s(self) -> float:
        """The seconds that are left; infinitely many where none was started."""
        return getattr(self._of_thread, "until", float("inf")) - self._now()

    def within(self, timeout: float | None) -> float | None:
        """A timeout that does not go beyond the deadline. Raises httpcore.TimeoutException after it."""
        left = self.left_s
        if left <= 0:
            raise httpcore.TimeoutException("the whole answer took too long")
        return timeout if left == float("inf") else min(left, timeout or left)


class DeadlineBackend(httpcore.NetworkBackend):
    """Connections that end at the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._inner, self._deadline = httpcore.SyncBackend(), deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects as httpcore does, within what is left."""
        within = self._deadline.within(timeout)
        return _Stream(self._inner.connect_tcp(host, port, within, local_address, socket_options), self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._inner.start_tls(ssl_context, server_hostname, self._deadline.within(timeout)), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
