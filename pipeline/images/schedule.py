"""Which job starts next, within limits in total and per host, with delays for failed jobs and pauses for hosts."""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass
class _Host(Generic[Job]):
    jobs: deque[Job] = field(default_factory=deque)
    active: int = 0
    rests_until: float = 0.0
    listed: bool = False  # in the queue of hosts that may start a job


class Outages:
    """Since when hosts have been down, and how long to pause before the next try: as long as they have been down."""

    def __init__(self, first_s: float, cap_s: float, patience_s: float) -> None:
        self._first_s, self._cap_s, self._patience_s = first_s, cap_s, patience_s
        self._since: dict[str, float] = {}

    def over(self, host: str) -> None:
        """The host has answered."""
        self._since.pop(host, None)

    def away(self, host: str) -> bool:
        """Whether the last connection to the host failed."""
        return host in self._since

    def rest_s(self, host: str) -> float | None:
        """A connection failed: seconds until the next try, or None if the host has been down for too long."""
        now = time.monotonic()
        gone_s = now - self._since.setdefault(host, now)
        return None if gone_s >= self._patience_s else min(max(self._first_s, gone_s), self._cap_s)


class Schedule(Generic[Job]):
    """Runs jobs of many hosts concurrently, taking turns between hosts; `run` returns when no job is left.

    A job counts for its host's limit until it calls `leave_host` or ends.
    """

    def __init__(self, at_once: int, at_once_per_host: int) -> None:
        self._at_once = at_once
        self._per_host = at_once_per_host
        self._hosts: dict[str, _Host[Job]] = {}
        self._round: deque[str] = deque()
        self._later: list[tuple[float, int, str, Job | None]] = []
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._left_host: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []
        self._wake = asyncio.Event()

    def add(self, host: str, job: Job) -> None:
        """Queues a job behind the other jobs of its host."""
        self._hosts.setdefault(host, _Host()).jobs.append(job)
        self._list(host)

    def add_later(self, host: str, job: Job, wait_s: float) -> None:
        """Queues a job after `wait_s` seconds."""
        heapq.heappush(self._later, (time.monotonic() + wait_s, next(self._numbers), host, job))
        self._wake.set()

    def rest(self, host: str, wait_s: float) -> None:
        """Starts no job of the host for `wait_s` seconds."""
        state = self._hosts.setdefault(host, _Host())
        state.rests_until = max(state.rests_until, time.monotonic() + wait_s)
        heapq.heappush(self._later, (state.rests_until, next(self._numbers), host, None))

    def take_all(self, host: str) -> list[Job]:
        """Removes and returns the jobs of a host that have not started, delayed ones included."""
        state = self._hosts.setdefault(host, _Host())
        taken = [*state.jobs, *(job for _, _, at, job in self._later if at == host and job is not None)]
        state.jobs.clear()
        self._later = [entry for entry in self._later if entry[2] != host or entry[3] is None]
        heapq.heapify(self._later)
        return taken

    def leave_host(self, host: str) -> None:
        """The calling job needs no connection any more: another job of its host may start."""
        task = asyncio.current_task()
        if task is not None and task not in self._left_host:
            self._left_host.add(task)
            self._release(host)

    async def run(self, work: Callable[[str, Job], Awaitable[None]]) -> None:
        """Runs `work(host, job)` for every job; the first error cancels the others and is raised."""
        try:
            while True:
                self._wake.clear()
                if self._failed:
                    raise self._failed[0]
                self._bring_due()
                while len(self._tasks) < self._at_once and (started := self._next()) is not None:
                    self._start(work, *started)
                if not self._tasks and not self._later and not self._failed:
                    return
                await self._pause()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pause(self) -> None:
        """Waits until a job ends or the next delayed job is due."""
        wait_s = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    def _bring_due(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, host, job = heapq.heappop(self._later)
            if job is not None:
                self._hosts.setdefault(host, _Host()).jobs.append(job)
            self._list(host)

    def _next(self) -> tuple[str, Job] | None:
        while self._round:
            host = self._round.popleft()
            state = self._hosts[host]
            state.listed = False
            if self._may_start(state):
                state.active += 1
                job = state.jobs.popleft()
                self._list(host)
                return host, job
        return None

    def _may_start(self, state: _Host[Job]) -> bool:
        return bool(state.jobs) and state.active < self._per_host and state.rests_until <= time.monotonic()

    def _list(self, host: str) -> None:
        state = self._hosts[host]
        if not state.listed and self._may_start(state):
            state.listed = True
            self._round.append(host)
            self._wake.set()

    def _start(self, work: Callable[[str, Job], Awaitable[None]], host: str, job: Job) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work(host, job))  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(done, host))

    def _end(self, task: asyncio.Task[None], host: str) -> None:
        self._tasks.discard(task)
        if task not in self._left_host:
            self._release(host)
        self._left_host.discard(task)
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed.append(error)

    def _release(self, host: str) -> None:
        self._hosts[host].active -= 1
        self._list(host)
