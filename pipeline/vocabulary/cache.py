"""A cache of a server's answers by id, with their day: a file of JSON lines that a kill cannot corrupt."""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any


class CacheError(ValueError):
    """A cache file with a damaged line; the message says which."""


def current_day() -> date:
    """The day by UTC."""
    return datetime.now(UTC).date()


class DatedCache:
    """A server's answers by id, None included; answers older than `days` count as missing, and are kept as `stale`.

    The file is only ever appended to; a torn last line, which a kill leaves, is cut off when it is opened.
    Raises CacheError.
    """

    def __init__(self, file: Path, days: int, *, today: Callable[[], date] = current_day) -> None:
        self.file = file
        self._today = today
        self._answers: dict[str, Any] = {}
        self.stale: dict[str, Any] = {}  # answers that are too old, for when the server is away
        self.days: dict[str, date] = {}  # of all answers, stale ones too
        self._read(days)

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def __getitem__(self, key: str) -> Any:
        return self._answers[key]

    def get(self, key: str, default: object = None) -> Any:
        """The answer, which may be None too; `default` where there is none."""
        return self._answers.get(key, default)

    def add(self, answers: Mapping[str, object]) -> None:
        """Store the answers; they are on disk when this returns."""
        if not answers:
            return
        day = self._today().isoformat()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            for key, answer in answers.items():
                stream.write(json.dumps({"id": key, "date": day, "answer": answer}, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._answers.update(answers)
        self.days.update(dict.fromkeys(answers, self._today()))
        for key in answers:
            self.stale.pop(key, None)

    def judge(self, current: Callable[[str, date], bool]) -> None:
        """Let something else than the age decide which stored answers count: by key and day."""
        stored = {**self._answers, **self.stale}
        self._answers = {key: answer for key, answer in stored.items() if current(key, self.days[key])}
        self.stale = {key: answer for key, answer in stored.items() if key not in self._answers}

    def _read(self, days: int) -> None:
        if not self.file.exists():
            return
        whole = self._cut_torn_line(self.file.read_bytes())
        oldest = self._today().toordinal() - days
        for number, line in enumerate(whole.decode("utf-8").split("\n")[:-1], 1):
            try:
                entry = json.loads(line)
                day, key, answer = date.fromisoformat(entry["date"]), entry["id"], entry["answer"]
            except (ValueError, KeyError, TypeError) as error:
                raise CacheError(f"{self.file}: line {number} is damaged ({error}); delete the file.") from error
            self._answers.pop(key, None)
            self.stale.pop(key, None)
            self.days[key] = day
            (self._answers if day.toordinal() >= oldest else self.stale)[key] = answer

    def _cut_torn_line(self, content: bytes) -> bytes:
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.file.open("rb+") as stream:
                stream.truncate(len(whole))
        return whole
