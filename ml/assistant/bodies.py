"""Request bodies while they are received and used: each limited in size and time, all of them in memory."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive

from ml.assistant.limits import AssistantLimits
from ml.assistant.refusals import BUSY, SLOW_BODY, too_large
from pipeline.web_gate import Refusal


class BodyRefused(Exception):
    """A request body is refused while it is read."""


class Bodies:
    """The bodies of all requests in work.

    If they are too many bytes together, one of them gives way: the one with the most bytes times seconds of silence. So
    senders who hold half of an upload back do not stand in the way of those who send, nor large ones in that of small.
    """

    def __init__(self, limits: AssistantLimits):
        self.limits = limits
        self.bytes_in_flight = 0
        self._receiving: dict[Body, None] = {}  # in the order they came

    @contextmanager
    def opened(self, receive: Receive, max_bytes: int) -> Iterator["Body"]:
        """The body of a request, until the request is answered."""
        body = Body(self, receive, max_bytes)
        self._receiving[body] = None
        try:
            yield body
        finally:
            self.release(body)

    def add(self, body: "Body", size: int, *, more: bool) -> None:
        """Count a piece of a body."""
        now = time.monotonic()
        body.size, body.heard_at = body.size + size, now
        self.bytes_in_flight += size
        if not more:
            self._receiving.pop(body)
        while self.bytes_in_flight > self.limits.max_bytes_in_flight:
            in_the_way = max(self._receiving, key=lambda each: each.in_the_way(now), default=body)
            in_the_way.refuse(BUSY)
            self.release(in_the_way)

    def release(self, body: "Body") -> None:
        """Forget a body that is no longer used."""
        self.bytes_in_flight -= body.size
        body.size = 0
        self._receiving.pop(body, None)


class Body:
    """One request's body; `receive` is what the application reads it with."""

    def __init__(self, bodies: Bodies, receive: Receive, max_bytes: int):
        self._bodies, self._receive, self._max_bytes = bodies, receive, max_bytes
        self._received, self._complete = 0, False
        self._until = time.monotonic() + bodies.limits.body_timeout_s
        self._waiting: asyncio.Timeout | None = None
        self.size = 0  # bytes in flight
        self.heard_at = time.monotonic()
        self.refusal: Refusal | None = None

    def refuse(self, refusal: Refusal) -> None:
        """End the reading of this body."""
        self.refusal = self.refusal or refusal
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def in_the_way(self, now: float) -> tuple[float, int]:
        """Bytes times seconds of silence; of those that have all just sent something, the bytes decide."""
        return self.size * (now - self.heard_at), self.size

    async def receive(self) -> Message:
        """The next piece. Raises BodyRefused, after which `refusal` says why."""
        if self._complete:
            return await self._receive()  # what comes after the body: the end of the connection
        message = await self._next()
        size = len(message.get("body", b""))
        self._received += size
        self._complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            self.refuse(too_large(self._max_bytes))
        elif self.refusal is None:
            self._bodies.add(self, size, more=not self._complete)
        if self.refusal is not None:
            raise BodyRefused(self.refusal.code)
        return message

    async def _next(self) -> Message:
        left = min(self._bodies.limits.body_pause_s, self._until - time.monotonic())
        try:
            async with asyncio.timeout(left) as self._waiting:
                return await self._receive()
        except TimeoutError as error:
            self.refusal = self.refusal or SLOW_BODY
            raise BodyRefused(self.refusal.code) from error
        finally:
            self._waiting = None
