"""Waits for servers: those above five seconds are told, and a server that never answered is not waited for for long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

SILENT_S = 5.0  # a person may wait for so long without being told what for
# For the first answer of a server in a person's command, which thereby ends within a minute, with its own start. Later
# a server may be away for longer, because what was asked so far shows that network and address are right.
FIRST_ANSWER_S = 50.0

Progress = Callable[[int, int], None]  # what is done, of how many


class Patience:
    """Who is told of the waits of a client, and how long a server may take to answer for the first time.

    Without `tell` nobody is told. Without `first_answer_s` only the limits of the settings count. A Patience belongs to
    one HttpClient, and may be shared by threads.
    """

    def __init__(self, tell: Callable[[str], None] | None = None, first_answer_s: float | None = None) -> None:
        self._tell = tell
        self.first_answer_s = first_answer_s
        self._began: dict[str, float] = {}
        self._answered: set[str] = set()
        self._told: dict[tuple[str, str], float] = {}  # until when, by server and kind of wait

    def begin(self, server: str, now: float) -> None:
        """Note the first request to a server."""
        self._began.setdefault(server, now)

    def answered(self, server: str) -> None:
        """Note that a server has answered, whatever it said: from now on the settings' limits count."""
        self._answered.add(server)

    def left_s(self, server: str, now: float) -> float:
        """The seconds until a server must have answered for the first time; infinitely many once it has."""
        if self.first_answer_s is None or server in self._answered:
            return float("inf")
        return self._began[server] + self.first_answer_s - now

    def say(self, server: str, what: str, until: float, then: str) -> None:
        """Tell of a wait and until when it lasts; all threads wait for a server together, and tell it once."""
        if self._tell is None or until <= self._told.get((server, what), float("-inf")) + SILENT_S:
            return
        self._told[server, what] = until
        self._tell(f"{server} {what}; {then} at {clock_time(until)}")

    @contextmanager
    def answering(self, server: str, until: float) -> Iterator[None]:
        """While a request is on its way: tell when that takes more than five seconds."""
        if self._tell is None:
            yield
            return
        timer = threading.Timer(SILENT_S, self.say, (server, "has not answered yet", until, "given up"))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def clock_time(moment: float) -> str:
    """A moment for people, in local time; with its day when that is another than today's."""
    at = datetime.fromtimestamp(moment).astimezone()
    same_day = at.date() == datetime.now().astimezone().date()
    return f"{at:%H:%M:%S}" if same_day else f"{at:%Y-%m-%d %H:%M}"
