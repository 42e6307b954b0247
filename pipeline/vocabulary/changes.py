"""Which subjects of the AAT Getty has changed, by its activity stream (Activity Streams 2.0, newest page last).

A collection names its `last` page, each page its `prev`; an item has a type (Create, Update, Delete), an `endTime` and
the `object`, whose id ends with the subject's. This is the form of Getty's published schemas and of its museum's stream
(developer.getty.edu/documentation/schemas/activity-stream); no answer of the vocabularies' stream was recorded.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.files import write_json
from pipeline.http import GaveUp, HttpClient, Response
from pipeline.vocabulary.identifiers import aat_id

ACCEPT = {"Accept": "application/json"}
MOST_PAGES = 5_000  # of a walk; an older cache is then asked for anew, which takes fewer requests
TIMES = ("endTime", "created", "published")


@dataclass(frozen=True)
class Changes:
    """What the stream has said since a day, in ISO 8601: a subject and the day of its last change."""

    since: str
    until: str
    changed: Mapping[str, str]

    def current(self, concept_id: str, day: str) -> bool:
        """Whether an answer of that day is still what Getty would answer."""
        return self.since <= day and self.changed.get(concept_id, "") < day


def read_changes(http: HttpClient, address: str, file: Path, oldest: date, today: date) -> Changes:
    """What has changed since the oldest stored answer; what was read before is kept in the file.

    Raises pipeline.http's errors, GaveUp where the stream is too long.
    """
    before = _stored(file)
    known = before is not None and before.since <= oldest.isoformat()
    since = before.until if before is not None and known else oldest.isoformat()
    changed = dict(before.changed) if before is not None and known else {}
    url: str | None = _linked(_page(http, address).get("last")) or address
    for _ in range(MOST_PAGES):
        page = _page(http, str(url))
        days = [_note(item, changed) for item in page.get("orderedItems") or [] if isinstance(item, dict)]
        url = _linked(page.get("prev"))
        if url is None or any(day < since for day in days if day):
            break
    else:
        raise GaveUp(f"{address} goes on for more than {MOST_PAGES} pages since {since}.")
    start = before.since if before is not None and known else since
    now = Changes(start, today.isoformat(), dict(sorted(changed.items())))
    write_json(asdict(now), file)
    return now


def _stored(file: Path) -> Changes | None:
    return Changes(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def _page(http: HttpClient, url: str) -> dict[str, Any]:
    read: list[dict[str, Any]] = []

    def check(response: Response) -> None:
        answer = response.json()
        if not isinstance(answer, dict) or answer.get("type") not in ("OrderedCollection", "OrderedCollectionPage"):
            raise ValueError("no collection of Activity Streams")
        if not isinstance(answer.get("orderedItems") or [], list):
            raise ValueError("a page of Activity Streams whose items are no list")
        read.append(answer)

    http.get(url, headers=ACCEPT, check=check, redirects=True)
    return read[-1]


def _note(item: Mapping[str, Any], changed: dict[str, str]) -> str:
    """Note the subject of an activity; returns the activity's day, empty where it tells none."""
    day = next((str(item[name])[:10] for name in TIMES if item.get(name)), "")
    concept_id = aat_id(str(_linked(item.get("object"))).replace("data.getty.edu/vocab/", "vocab.getty.edu/"))
    if concept_id is not None and day > changed.get(concept_id, ""):
        changed[concept_id] = day
    return day


def _linked(value: object) -> str | None:
    """The URL of a link, which is a text or an object with an id."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
