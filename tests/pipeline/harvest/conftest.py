"""A small Europeana in memory whose answers a test can bend, and clients for it and for the local museum."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from pipeline.harvest.europeana import EuropeanaClient
from pipeline.http import HttpClient
from pipeline.settings import HarvestSettings, HttpSettings

KEY = "cAnary/key+42="


class FakeClock:
    """A clock that moves when something sleeps."""

    def __init__(self) -> None:
        self.time = 1_767_225_600.0  # 2026-01-01

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class SmallEuropeana:
    """Records with ids /1/a0000 …, searched by cursor; `bend` may change or replace any answer to a search."""

    def __init__(self, n: int) -> None:
        self.items = [item(number) for number in range(n)]
        self.searches: list[dict[str, Any]] = []
        self.bend: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | httpx.Response] = lambda _, body: body

    def __call__(self, request: httpx.Request) -> httpx.Response:
        pairs = parse_qsl(request.url.query.decode())
        asked = {**dict(pairs), "qf": [value for name, value in pairs if name == "qf"]}
        self.searches.append(asked)
        found = [] if asked["query"] == "nothing" else self.items
        rows, cursor = int(asked["rows"]), asked.get("cursor")
        begin = 0 if cursor in (None, "*") else int(base64.b64decode(cursor)[3:])
        page = found[begin : begin + rows]
        body: dict[str, Any] = {"apikey": request.headers.get("x-api-key", "none"), "success": True}
        body |= {"requestNumber": 999, "totalResults": len(found), "items": page}
        if page:
            body["itemsCount"] = len(page)
        if cursor is not None and begin + rows < len(found):
            body["nextCursor"] = cursor_at(begin + rows)
        answer = self.bend(asked, body)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def cursors(self) -> list[str]:
        """The cursors that were asked for, without the counts."""
        return [asked["cursor"] for asked in self.searches if "cursor" in asked]


def cursor_at(position: int) -> str:
    """A cursor as Solr's are: base64 with + / =."""
    return base64.b64encode(b"\xfb\xff\xfe" + str(position).encode()).decode()


def item(number: int) -> dict[str, Any]:
    """A record in the search's words."""
    return {
        "id": f"/1/a{number:04d}",
        "type": "IMAGE",
        "title": [f"Chair {number}"],
        "dataProvider": ["Museum A" if number % 3 else "Museum B"],
        "rights": ["http://creativecommons.org/publicdomain/mark/1.0/"],
        "edmConcept": ["http://vocab.getty.edu/aat/300037772"],
        "link": f"https://api.europeana.eu/record/1/a{number:04d}.json?wskey={KEY}",
        "timestamp_created": "2020-01-01T00:00:00.000Z",
        "timestamp_update": f"2024-01-{number % 28 + 1:02d}T00:00:00.000Z",
    }


def client_of(
    answer: Callable[[httpx.Request], httpx.Response],
    key: str | None = KEY,
    max_body_bytes: int = HttpSettings().max_body_bytes,
    **settings,
) -> EuropeanaClient:
    """The real client, talking to a function."""
    http = HttpClient(
        HttpSettings(requests_per_second=1e15, attempts=3, max_body_bytes=max_body_bytes),
        transport=httpx.MockTransport(answer),
        clock=FakeClock(),
    )
    return EuropeanaClient(http, HarvestSettings(**{"rows": 10, **settings}), key)


def client_at(url: str, settings: HarvestSettings, key: str | None = None, **http) -> EuropeanaClient:
    """The real client, talking to a local museum."""
    given = {"requests_per_second": 1e6, "backoff_first_s": 0.01, "backoff_cap_s": 0.05, **http}
    return EuropeanaClient(HttpClient(HttpSettings(hosts={"*": url}, **given)), settings, key)


@pytest.fixture
def europeana() -> SmallEuropeana:
    """Thirty-five records: four pages of ten, the last of five."""
    return SmallEuropeana(35)


@pytest.fixture
def payloads(shared: Path) -> Path:
    """The recorded answers of the real APIs."""
    return shared / "europeana" / "payloads"


def every_file(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order."""
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def as_json(response: httpx.Response) -> Any:
    """The body."""
    return json.loads(response.content)
