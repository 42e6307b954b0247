"""One request budget per server and key, shared by the threads of a process and, through a file, by processes."""

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from pipeline.waits import SILENT_S

HOUR_S = 3600.0  # Europeana counts requests in a fixed window of an hour (dossier, section 6)
MARGIN_S = 1.0  # waited beyond the end of a window, which servers give in whole seconds
LONGEST_WINDOW_S = 2 * HOUR_S  # a header that says more is not believed beyond this: nobody shall wait for years
SAME_WINDOW_S = 5.0  # ends that differ by less are one: answers take a while, and give whole seconds


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class RateLimit:
    """What a server says is left: `remaining` requests until the window ends in `reset_s` seconds."""

    remaining: int
    reset_s: float


_ITEM = re.compile(r'"?(?P<name>[\w-]*)"?\s*;(?P<parameters>[^,]*)')


def read_rate_limit(header: str | None) -> RateLimit | None:
    """The `RateLimit` header (`"personal";r=0;t=1234`, IETF draft 10), or None when absent or of another form.

    Of several policies in one header the one with the fewest requests left counts. Numbers of ten digits and more are
    not read.
    """
    limits = []
    for item in _ITEM.finditer(header or ""):
        values = dict(re.findall(r"\b([rt])=([0-9]{1,9})\b", item["parameters"]))
        if {"r", "t"} <= values.keys():
            limits.append(RateLimit(int(values["r"]), min(float(values["t"]), LONGEST_WINDOW_S)))
    return min(limits, key=lambda limit: (limit.remaining, -limit.reset_s), default=None)


@dataclass(frozen=True)
class RatePolicy:
    """What a server says a key may do: so many requests in a window; `name` is `personal` or `project` at Europeana."""

    name: str
    requests: int
    window_s: float
    remaining: int | None = None  # of this window, and until when, where it says so too
    reset_s: float | None = None

    @property
    def per_hour(self) -> float:
        """Requests an hour."""
        return self.requests * HOUR_S / self.window_s


def read_rate_policy(policy: str | None, limit: str | None = None) -> RatePolicy | None:
    """The `RateLimit-Policy` header (`"personal";q=1000;w=3600`, IETF draft 10), with what `RateLimit` says is left.

    None when it is absent or of another form. Of several policies the one with the fewest requests an hour counts.
    """
    found = []
    for item in _ITEM.finditer(policy or ""):
        values = dict(re.findall(r"\b([qw])=([0-9]{1,9})\b", item["parameters"]))
        if int(values.get("q", 0)) > 0 and int(values.get("w", 0)) > 0:
            found.append(RatePolicy(item["name"], int(values["q"]), float(values["w"])))
    narrowest = min(found, key=lambda one: one.per_hour, default=None)
    left = read_rate_limit(limit)
    if narrowest is None or left is None:
        return narrowest
    return replace(narrowest, remaining=left.remaining, reset_s=left.reset_s)


@dataclass
class _State:
    next_slot: float = 0.0  # not before this moment may the next request start
    remaining: int | None = None  # requests left in the server's window, when it told
    window_ends: float = 0.0
    blocked_until: float = 0.0


class Budget:
    """At most `per_second` requests a second, and never more than the server says are left.

    With a `folder` the state is a small file under a lock, so that all processes of this machine share it; the file is
    named by a hash of server and key, and holds times and counts alone.
    """

    def __init__(self, name: str, per_second: float, clock: Clock, folder: Path | None = None) -> None:
        self._per_second = per_second
        self._clock = clock
        self._thread_lock = threading.Lock()
        self._state = _State()
        self._file = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"

    def take(self, say: Callable[[float], None] | None = None) -> None:
        """Wait until a request may start, and count it; `say` is called with the seconds of a wait above five."""
        while (wait := self._try_to_take()) > 0:
            if say is not None and wait > SILENT_S:
                say(wait)
            self._clock.sleep(wait)

    def told(self, limit: RateLimit) -> None:
        """Note what an answer said is left."""
        with self._locked() as state:
            ends = self._clock.now() + limit.reset_s
            same_window = abs(ends - state.window_ends) < SAME_WINDOW_S
            if same_window and state.remaining is not None:
                # Answers overtake each other, and other requests are on their way: the lowest figure is right.
                state.remaining = min(state.remaining, limit.remaining)
            else:
                state.remaining = limit.remaining
            state.window_ends = ends

    def refused(self, limit: RateLimit | None) -> float:
        """Note a 429; returns the seconds until requests are answered again.

        Without a `RateLimit` header the window is taken to end at the next full hour.
        """
        now = self._clock.now()
        wait = (limit.reset_s if limit else HOUR_S - now % HOUR_S) + MARGIN_S
        with self._locked() as state:
            state.blocked_until = max(state.blocked_until, now + wait)
            state.remaining = None
        return wait

    def _try_to_take(self) -> float:
        """Take a slot and return 0, or return the seconds after which to try again."""
        with self._locked() as state:
            now = self._clock.now()
            # `refused` never blocks for longer than the window and one margin; the other allows for small corrections.
            if state.blocked_until > now + LONGEST_WINDOW_S + 2 * MARGIN_S or state.next_slot > now + HOUR_S:
                state.blocked_until = state.next_slot = 0.0  # the machine's clock was set back
            if state.blocked_until > now:
                return state.blocked_until - now
            if state.remaining is not None and state.window_ends <= now:
                state.remaining = None
            if state.remaining is not None and state.remaining <= 0:
                return state.window_ends - now + MARGIN_S
            if state.next_slot > now:
                return state.next_slot - now
            state.next_slot = now + 1.0 / self._per_second
            if state.remaining is not None:
                state.remaining -= 1
            return 0.0

    @contextmanager
    def _locked(self) -> Iterator[_State]:
        with self._thread_lock:
            if self._file is None:
                yield self._state
                return
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                state = _read_state(os.read(descriptor, 4096))
                yield state
                written = json.dumps(asdict(state)).encode()
                os.pwrite(descriptor, written, 0)
                os.ftruncate(descriptor, len(written))
            finally:
                os.close(descriptor)  # frees the lock


def _read_state(content: bytes) -> _State:
    """The stored state; a file half written by a killed process counts as none."""
    try:
        return _State(**json.loads(content))
    except (ValueError, TypeError):
        return _State()
