"""Europeana's Search API: `/record/v2/search.json` with cursor paging, profiles, refinements and facets."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from pipeline.sandbox.answers import Refusal, dumps, json_answer
from pipeline.sandbox.data import read_toml
from pipeline.sandbox.index import SORTABLE, moment
from pipeline.sandbox.museum import Museum
from pipeline.sandbox.query import QueryError, Search
from pipeline.sandbox.rights import KINDS
from pipeline.texts import loads

DEFAULT_ROWS, MAX_ROWS, MAX_START = 12, 100, 1000
DEFAULT_FACET_LIMIT, MAX_FACET_LIMIT = 50, 750
DEFAULT_FACETS = ("TYPE", "LANGUAGE", "YEAR", "PROVIDER", "DATA_PROVIDER", "COUNTRY", "RIGHTS", "REUSABILITY")
FACET_LIMIT = re.compile(r"f\.([\w.]+)\.facet\.limit")
MILLISECOND = 1000
ITEMS_KEPT = 20_000
CURSOR_BEGIN = b"\x02\x84\xbf\xfe"  # so that cursors have + / = in them, as Solr's have
NOT_RETURNED = ("hasView", "edmObject")  # searched, and in the Record API only (dossier, section 1.6)
# Stands for the caller's key inside items that are serialised once for all callers.
KEY = "\x00KEY\x00"
KEY_IN_JSON = b"\\u0000KEY\\u0000"

_FIELDS = read_toml(Path(__file__).with_name("profiles.toml"))
PROFILES = {
    "minimal": frozenset(_FIELDS["minimal"]),
    "standard": frozenset(_FIELDS["minimal"] + _FIELDS["standard"]),
    "rich": None,
}


@dataclass(frozen=True)
class Page:
    """One checked search request."""

    search: Search
    rows: int
    start: int
    cursor: str | None
    profiles: tuple[str, ...]
    facets: Mapping[str, int]  # field → how many values at most

    @property
    def items(self) -> str:
        """The profile of the items; minimal wins over rich (api2)."""
        return next((name for name in ("minimal", "rich") if name in self.profiles), "standard")


class SearchApi:
    """Answers searches over a museum; `items_kept` items stay serialised in memory, all of them with None."""

    def __init__(self, museum: Museum, items_kept: int | None = ITEMS_KEPT) -> None:
        self.museum = museum
        self._item = lru_cache(maxsize=items_kept)(self._serialise)

    async def search(self, request: Request, key: str) -> Response:
        """A page of records by GET, or by POST with the parameters as a JSON object."""
        params = _params_of_body(await request.body()) if request.method == "POST" else request.query_params
        return json_answer(self._body(page_asked(params), key), media_type="application/json;charset=UTF-8")

    def _body(self, page: Page, key: str) -> bytes:
        try:
            matches = self.museum.find(page.search)
        except QueryError as error:
            raise _unsearchable(str(error)) from error
        begin = page.start - 1 if page.cursor is None else self._after(page.cursor, matches, page.search)
        positions = matches[begin : begin + page.rows]
        head: dict[str, Any] = {"apikey": key, "success": True, "requestNumber": 999}
        if positions:
            head["itemsCount"] = len(positions)
        head["totalResults"] = len(matches)
        end = begin + len(positions)
        if page.cursor is not None and positions and end < len(matches):
            head["nextCursor"] = make_cursor(self.museum.record_id(positions[-1]), end, page.search)
        items = b",".join(self._item(position, page.items) for position in positions)
        tail = b"," + dumps({"facets": self._facets(page, matches)})[1:] if "facets" in page.profiles else b"}"
        body = dumps(head)[:-1] + b',"items":[' + items + b"]" + tail
        return body.replace(KEY_IN_JSON, dumps(key)[1:-1])

    def _serialise(self, position: int, profile: str) -> bytes:
        item, names = with_envelope(self.museum.item(position)), PROFILES[profile]
        return dumps(item if names is None else {name: item[name] for name in item if name in names})

    def _after(self, cursor: str, matches: Sequence[int], search: Search) -> int:
        """Where the page after a cursor begins."""
        if cursor == "*":
            return 0
        record_id, rank = read_cursor(cursor, search)
        if 0 < rank <= len(matches) and self.museum.record_id(matches[rank - 1]) == record_id:
            return rank
        for at, position in enumerate(matches):
            if self.museum.record_id(position) == record_id:
                return at + 1
        raise bad_cursor()

    def _facets(self, page: Page, matches: Sequence[int]) -> list[dict[str, Any]]:
        counts = {name: self.museum.facet(name, matches)[:limit] for name, limit in page.facets.items()}
        return [
            {"name": name, "fields": [{"label": value, "count": n} for value, n in values]}
            for name, values in counts.items()
            if values
        ]


def with_envelope(item: dict[str, Any]) -> dict[str, Any]:
    """The item with what the API adds to each: links that carry the caller's key, epochs, rank and score."""
    record_id = item["id"]
    added = {
        "link": f"https://api.europeana.eu/record{record_id}.json?wskey={KEY}",
        "guid": f"https://www.europeana.eu/item{record_id}?utm_source=api&utm_medium=api&utm_campaign={KEY}",
        "index": 0,
        "score": 1,
        "previewNoDistribute": False,
        "ugc": [False],
    }
    for name in ("timestamp_created", "timestamp_update"):
        if name in item:
            added[f"{name}_epoch"] = int(moment(item[name]).timestamp() * MILLISECOND)
    if "edmDatasetName" in item:
        added["europeanaCollectionName"] = item["edmDatasetName"]
    return dict(sorted((added | {name: item[name] for name in item if name not in NOT_RETURNED}).items()))


def page_asked(params: QueryParams) -> Page:
    """The request's parameters, checked as api2 checks them. Raises Refusal with Europeana's codes."""
    query, cursor = params.get("query"), params.get("cursor")
    if query is None:
        raise Refusal(400, "Required parameter 'query' missing")
    if not query.strip():
        raise Refusal(400, "Empty search query parameter", code="400-SE")
    rows, start = min(_number(params, "rows", DEFAULT_ROWS, 0), MAX_ROWS), _number(params, "start", 1, 1)
    if cursor is not None and start > 1:
        raise Refusal(400, "Parameters 'start' and 'cursorMark' cannot be used together", code="400-SD")
    if cursor is None and start - 1 + rows > MAX_START:
        beyond = f"It is not possible to paginate beyond the first {MAX_START} search results. "
        raise Refusal(400, beyond + "Please use cursor-based pagination instead", code="400-SL")
    thumbnail = params.get("thumbnail")
    reusability = {name.lower() for name in _names(params.getlist("reusability"))}
    search = Search(
        query=query.strip(),
        refinements=tuple(params.getlist("qf")),
        reusability=tuple(name for name in KINDS if name in reusability),
        thumbnail=None if thumbnail is None else thumbnail.lower() == "true",
        sort=_sort(params.getlist("sort"), with_cursor=cursor is not None),
    )
    profiles = _names(params.getlist("profile")) or ("standard",)
    return Page(search, rows, start, cursor, profiles, _facets_asked(params))


def make_cursor(record_id: str, rank: int, search: Search) -> str:
    """An opaque mark after a record, in base64 as Solr's are."""
    return base64.b64encode(CURSOR_BEGIN + json.dumps([record_id, rank, _sort_mark(search)]).encode()).decode()


def read_cursor(cursor: str, search: Search) -> tuple[str, int]:
    """Record id and rank of a mark. Raises Refusal 400-SC for what this search did not give out."""
    try:
        raw = base64.b64decode(cursor, validate=True)
        record_id, rank, sort = json.loads(raw[len(CURSOR_BEGIN) :])
    except (binascii.Error, ValueError) as error:
        raise bad_cursor() from error
    if sort != _sort_mark(search) or not isinstance(record_id, str) or not isinstance(rank, int):
        raise bad_cursor()
    return record_id, rank


def bad_cursor() -> Refusal:
    """What the API says to a cursor it cannot read."""
    error = "Invalid cursor value. Please make sure you encode the cursor value before sending it to the API."
    return Refusal(400, error, code="400-SC")


def _sort_mark(search: Search) -> str:
    return ",".join(f"{field}{' desc' if descending else ''}" for field, descending in search.sort)


def _params_of_body(body: bytes) -> QueryParams:
    """The parameters of a search by POST: a JSON object whose lists are repeated parameters."""
    try:
        pairs = [
            (name, str(value).lower() if isinstance(value, bool) else str(value))
            for name, values in loads(body).items()
            for value in (values if isinstance(values, list) else [values])
        ]
    except (ValueError, AttributeError) as error:
        raise Refusal(400, "The body must be a JSON object") from error
    return QueryParams(pairs)


def _number(params: QueryParams, name: str, default: int, least: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
        raise Refusal(400, f"Invalid value for parameter '{name}'", message=f"{text!r} is not a number from {least}")
    return int(text)


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for value in values for name in re.split(r"[,+\s]+", value) if name)


def _sort(values: Sequence[str], *, with_cursor: bool) -> tuple[tuple[str, bool], ...]:
    """`field dir, field dir`; a cursor needs the unique key among them (Solr), and `score` leaves the default."""
    sort = []
    for part in re.split(r"\s*,\s*", ",".join(values).replace("+", " ").strip()) if values else []:
        field, _, direction = part.strip().partition(" ")
        if field not in SORTABLE:
            raise _unsearchable(f"cannot sort by {field!r}")
        sort.append((field, direction.strip().lower() == "desc"))
    if with_cursor and sort and not any(field == "europeana_id" for field, _ in sort):
        raise _unsearchable("a cursor needs europeana_id in the sort")
    return tuple(sort)


def _facets_asked(params: QueryParams) -> dict[str, int]:
    """How many values of each facet are asked for, at most."""
    names = _names(params.getlist("facet")) or ("DEFAULT",)
    facets = {
        facet: DEFAULT_FACET_LIMIT for name in names for facet in (DEFAULT_FACETS if name == "DEFAULT" else (name,))
    }
    for name in params:
        if match := FACET_LIMIT.fullmatch(name):
            if match[1] not in facets:
                raise _unsearchable(f"{match[1]} is not a requested facet")
            facets[match[1]] = min(_number(params, name, 0, 0), MAX_FACET_LIMIT)
    return facets


def _unsearchable(message: str) -> Refusal:
    return Refusal(400, "Invalid search query", code="400-SA", message=message)
