"""Requests, seconds and memory of looking up the records of 346,324 published rows, at a server that answers at once.

The addresses are made. Of a hundred, 86 are as written in a record, 4 with the other scheme, 3 are a further view of
their record, 1 is what its preview is made from, 1 is in two records, and 5 are in none. What Europeana's own share of
each is, nobody has measured; the first figure is for addresses that are all as written.
"""

import argparse
import json
import re
import resource
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import httpx

from pipeline.harvest.europeana import EuropeanaClient
from pipeline.http import HttpClient
from pipeline.published.lookup import Lookup
from pipeline.settings import HarvestSettings, HttpSettings

ROWS = 346_324
AS_WRITTEN, OTHER_SCHEME, VIEW, OBJECT, TWICE = 86, 90, 93, 94, 95  # of a hundred, up to here
PHRASE = re.compile(r'"https?://museum(\d+)\.example/picture/(\d+)\.jpg"')


def main() -> None:
    """Print the one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    asked = parser.parse_args()
    all_written = _measure(asked.rows, 100)
    mixed = _measure(asked.rows, AS_WRITTEN)
    again = mixed["resumed_s"]
    print(
        json.dumps(
            {
                "name": "relinks",
                "n": asked.rows,
                "requests": mixed["requests"],
                "requests_all_as_written": all_written["requests"],
                "hours_at_1000": round(mixed["requests"] / 1_000, 1),
                "ours_s": round(mixed["seconds"], 1),
                "resumed_s": round(again, 1),
                "stored_mb": round(mixed["stored_mb"]),
                "ours_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )


def _measure(rows: int, as_written: int) -> dict[str, float]:
    addresses = [_address(number) for number in range(rows)]
    settings = HarvestSettings()
    transport = httpx.MockTransport(lambda request: _answer(request, as_written))
    http = HttpClient(HttpSettings(requests_per_second=1e6), transport=transport)
    with tempfile.TemporaryDirectory() as folder, EuropeanaClient(http, settings, "key") as client:
        file = Path(folder) / "answers.jsonl"
        started = time.perf_counter()
        lookup = Lookup(client, file, settings)
        lookup.run(addresses)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        resumed = Lookup(client, file, settings)
        resumed.run(addresses)
        found = sum(answer is not None and answer.n > 0 for answer in resumed.answers(addresses).values())
        again = time.perf_counter() - started
        stored = file.stat().st_size / 1e6
    expected = sum(_share(number) < TWICE or as_written == 100 for number in range(rows))
    assert (found, resumed.requests) == (expected, 0), (found, expected, resumed.requests)
    return {"requests": lookup.requests, "seconds": seconds, "resumed_s": again, "stored_mb": stored}


def _address(number: int) -> str:
    return f"https://museum{number % 358}.example/picture/{number:08d}.jpg"


def _share(number: int) -> int:
    """A number below 100, spread over neighbours."""
    return number * 61 % 100


def _answer(request: httpx.Request, as_written: int) -> httpx.Response:
    if request.method == "GET":
        number = int(request.url.path.rpartition("/r")[2].removesuffix(".json"))
        shown = {"edmIsShownBy": _address(number) + "#front", "hasView": [_address(number)]}
        return httpx.Response(200, json={"object": {"about": f"/1/r{number}", "proxies": [], "aggregations": [shown]}})
    query, items = json.loads(request.content)["query"], []
    fields = {
        name.rpartition("_")[2]: text for name, _, text in (part.partition(":(") for part in query.split(") OR "))
    }
    for field, text in fields.items():
        for match in PHRASE.finditer(text):
            items += _items(int(match[2]), field, match[0].startswith('"https'), as_written)
    body = {"apikey": "key", "success": True, "requestNumber": 999, "itemsCount": len(items)}
    return httpx.Response(200, json={**body, "totalResults": len(items), "items": items})


def _items(number: int, field: str, https: bool, as_written: int) -> list[dict[str, object]]:
    """The records that a spelling of an address finds in a field."""
    share, address = _share(number), _address(number)
    shown, preview = address, address
    if share < as_written or OBJECT <= share < TWICE:
        wanted = field == "isShownBy" and https
    elif share < OTHER_SCHEME:
        wanted, shown = field == "isShownBy" and not https, address.replace("https", "http")
    elif share < VIEW:
        wanted, shown = field == "hasView" and https, address + "#front"
        preview = shown
    else:
        wanted, shown = share < OBJECT and field == "object" and https, address + "#new"
    found = {
        "id": f"/1/r{number}",
        "title": [f"Thing {number}"],
        "dataProvider": [f"Museu d'art, núm. {number % 358}"],
        "rights": ["http://creativecommons.org/licenses/by/4.0/"],
        "edmIsShownBy": [shown],
        "edmPreview": [f"https://api.europeana.eu/thumbnail/v2/url.json?uri={quote(preview, safe='')}&type=IMAGE"],
        "edmConcept": ["http://vocab.getty.edu/aat/300037772", f"http://data.europeana.eu/concept/{number % 900}"],
    }
    twice = OBJECT <= share < TWICE and as_written < 100
    return [found, {**found, "id": f"/2/r{number}"}][: 1 + twice] if wanted else []


if __name__ == "__main__":
    main()
