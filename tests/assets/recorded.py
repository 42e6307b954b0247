"""The recorded answers of the real APIs, given again over HTTP: what was recorded comes from its file, byte for byte.

Search pages are the recorded ones, one after the other; entities are the recorded ones, else those whose AAT match is
on record; the SPARQL endpoint holds the real AAT's subjects behind them. No thumbnail was recorded but the placeholder:
every fifteenth record is given it, the others pictures of the real museum.
"""

import csv
import gzip
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyoxigraph

from pipeline.sandbox.sparql_worker import PREFIXES

AAT_SUBJECT = re.compile(r"<http://vocab\.getty\.edu/aat/(3\d{8})>")
JSON = "application/json"
Answer = tuple[int, str, bytes]


class Recorded:
    """What each URL of the real hosts answers."""

    def __init__(self, shared: Path) -> None:
        payloads = shared / "europeana" / "payloads"
        self.pages = [_page(file) for file in sorted((payloads / "search").glob("*.json"))]
        self.total = len({item["id"] for page in self.pages for item in page["items"]})
        self.entities = _entities(payloads)
        self.not_found = (payloads / "errors" / "REAL_404_entity_resolve_nomatch.json").read_bytes()
        self.placeholder = (payloads / "thumbnails" / "EU_thumbnails_image.png").read_bytes()
        previews = sorted({item["edmPreview"][0] for page in self.pages for item in page["items"]})
        pictures = sorted((shared / "museum" / "media").glob("*.jpg"))
        self.without = previews[::15]
        self.thumbnails = {
            _v3(preview): picture
            for preview, picture in zip(previews, pictures, strict=False)
            if preview not in self.without
        }
        stated = json.dumps([self.pages, list(self.entities.values())])
        self.ids = sorted(set(re.findall(r"vocab\.getty\.edu/(?:page/)?aat/(3\d{8})", stated)))
        self.store = pyoxigraph.Store()
        self.store.load(_closure(shared / "aat", self.ids), pyoxigraph.RdfFormat.N_TRIPLES)
        self.asked: list[str] = []

    def __call__(self, path: str, body: bytes) -> Answer:
        parts, query = urlsplit(path), parse_qs(urlsplit(path).query)
        self.asked.append(parts.path)
        if parts.path == "/record/v2/search.json":
            return 200, JSON, json.dumps(self._search(query)).encode()
        if parts.path == "/entity/retrieve":
            found = [self.entities[uri] for uri in json.loads(body) if uri in self.entities]
            return 200, JSON, json.dumps(found).encode()
        if parts.path == "/sparql":
            results = self.store.query(parse_qs(body.decode())["query"][0], prefixes=PREFIXES)
            assert isinstance(results, pyoxigraph.QuerySolutions)
            written = results.serialize(format=pyoxigraph.QueryResultsFormat.JSON)
            return 200, "application/sparql-results+json", written or b""
        if parts.path == "/thumbnail/v2/url.json":  # asked for what v3 has not
            return 200, "image/png", self.placeholder
        if parts.path in self.thumbnails:
            return 200, "image/jpeg", self.thumbnails[parts.path].read_bytes()
        return 404, JSON, self.not_found

    def _search(self, query: dict[str, list[str]]) -> dict[str, Any]:
        head = {"apikey": "test", "success": True, "requestNumber": 999, "totalResults": self.total}
        if query["rows"] == ["0"]:
            return head
        number = 0 if query["cursor"] == ["*"] else int(query["cursor"][0].removeprefix("AoE/+="))
        page = self.pages[number]
        more = {"nextCursor": f"AoE/+={number + 1}"} if number + 1 < len(self.pages) else {}
        return {**page, **head, "itemsCount": len(page["items"]), **more}


def _v3(preview: str) -> str:
    """Where Europeana's newer thumbnail service has the picture of a preview URL (dossier, section 4)."""
    original = parse_qs(urlsplit(preview).query)["uri"][0]
    return f"/thumbnail/v3/400/{hashlib.md5(original.encode(), usedforsecurity=False).hexdigest()}"


def _page(file: Path) -> dict[str, Any]:
    recorded = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(recorded, dict) and "items" in recorded:
        return {name: value for name, value in recorded.items() if name != "nextCursor"}
    return {"items": recorded if isinstance(recorded, list) else [recorded]}


def _entities(payloads: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with (payloads / "datasets" / "europeana_concept_to_aat_known_pairs.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            known = {"id": row["europeana_concept"], "type": "Concept", "prefLabel": {"en": row["label_en"]}}
            entity = found.setdefault(row["europeana_concept"], {**known, "exactMatch": []})
            entity["exactMatch"].append(row["aat"])
    for file in sorted((payloads / "entity").glob("*.json")):
        answer = json.loads(file.read_text(encoding="utf-8"))
        for entity in answer.get("items") or [answer]:
            uri = str(entity.get("id")).replace("/concept/base/", "/concept/")
            if entity.get("type") == "Concept" and "data.europeana.eu/concept/" in uri:
                found[uri] = entity
    return found


def _closure(folder: Path, ids: list[str]) -> bytes:
    """The statements of the real AAT about these subjects, all above them, and their labels."""
    of_subject: dict[str, list[str]] = defaultdict(list)
    of_node: dict[str, list[str]] = defaultdict(list)
    for file in sorted(folder.glob("aat_*.nt.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                subject = line.partition(" ")[0]
                known = AAT_SUBJECT.fullmatch(subject)
                (of_subject[known[1]] if known else of_node[subject]).append(line)
    statements: list[str] = []
    waiting, seen = list(ids), set(ids)
    while waiting:
        for line in of_subject[waiting.pop()]:
            statements.append(line)
            target = line.split(" ", 2)[2].removesuffix(" .\n")
            statements += of_node.get(target, [])
            if "broader" in line.split(" ", 2)[1] and (above := AAT_SUBJECT.fullmatch(target)) and above[1] not in seen:
                seen.add(above[1])
                waiting.append(above[1])
    return "".join(statements).encode()


@contextmanager
def answering(recorded: Recorded) -> Iterator[str]:
    """The answers on loopback, in the place of all hosts; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            status, kind, content = recorded(self.path, self.rfile.read(length))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
