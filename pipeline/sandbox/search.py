"""Europeana's Search API: `/record/v2/search.json` with cursor paging, profiles, refinements and facets."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from starlette.datastructures import QueryParams

from pipeline.sandbox.answers import Refusal, dumps
from pipeline.sandbox.index import SORTABLE, moment
from pipeline.sandbox.query import QueryError, Search
from pipeline.sandbox.rights import KINDS

DEFAULT_ROWS = 12
MAX_ROWS = 100
MAX_START = 1000
DEFAULT_FACET_LIMIT = 50
MAX_FACET_LIMIT = 750
DEFAULT_FACETS = ("TYPE", "LANGUAGE", "YEAR", "PROVIDER", "DATA_PROVIDER", "COUNTRY", "RIGHTS", "REUSABILITY")
MILLISECOND = 1000
ITEMS_KEPT = 20_000
# Stands for the caller's key inside items serialised beforehand.
KEY = b"\x00KEY\x00"
KEY_IN_JSON = b"\\u0000KEY\\u0000"

# Which fields each profile gives (dossier, section 1.6); `rich` gives all.
MINIMAL_FIELDS = """
    id link guid type score index title dcTitleLangAware dcDescription dcDescriptionLangAware dcCreator
    dcCreatorLangAware edmPreview edmIsShownBy edmIsShownAt dataProvider provider rights language year
    europeanaCompleteness edmPlaceLatitude edmPlaceLongitude
"""
STANDARD_FIELDS = """
    edmConcept edmConceptLabel edmConceptPrefLabelLangAware edmTimespanLabel edmTimespanLabelLangAware
    edmPlaceLabel edmPlaceLabelLangAware edmPlaceAltLabel edmPlaceAltLabelLangAware country completeness
    edmDatasetName europeanaCollectionName dcLanguage dcLanguageLangAware ugc previewNoDistribute timestamp
    timestamp_created timestamp_created_epoch timestamp_update timestamp_update_epoch
"""
MINIMAL = frozenset(MINIMAL_FIELDS.split())
STANDARD = MINIMAL | frozenset(STANDARD_FIELDS.split())
PROFILES = {"minimal": MINIMAL, "standard": STANDARD, "rich": None}


class Collection(Protocol):
    """What can be searched: a museum folder, or the synthetic museum of the large tests."""

    def find(self, search: Search) -> Sequence[int]: ...
    def record_id(self, position: int) -> str: ...
    def position(self, record_id: str) -> int | None: ...
    def item(self, position: int) -> dict[str, Any]: ...
    def facet(self, name: str, positions: Sequence[int]) -> list[tuple[str, int]]: ...


@dataclass(frozen=True)
class Page:
    """One checked search request."""

    search: Search
    rows: int
    start: int
    cursor: str | None
    profiles: tuple[str, ...]
    facets: tuple[str, ...]
    facet_limits: Mapping[str, tuple[int, int]]  # field -> (limit, offset)


class SearchApi:
    """Answers searches over a collection; items are serialised once and kept."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._item = lru_cache(maxsize=ITEMS_KEPT)(self._serialise)

    def answer(self, params: QueryParams, key: str, *, past_the_end: bool = False) -> bytes:
        """The body of a search answer. Raises Refusal.

        `past_the_end`: the last page gives a cursor too, with an empty page behind it, as the real API may.
        """
        page = page_asked(params)
        try:
            found = self.collection.find(page.search)
        except QueryError as error:
            raise Refusal(400, "Invalid search query", code="400-SA", message=str(error)) from error
        begin = page.start - 1 if page.cursor is None else self._after(page.cursor, found, page.search)
        positions = found[begin : begin + page.rows]
        end = begin + len(positions)
        more = end < len(found) or past_the_end
        head: dict[str, Any] = {"apikey": key, "success": True, "requestNumber": 999}
        if positions:
            head["itemsCount"] = len(positions)
        head["totalResults"] = len(found)
        if page.cursor is not None and positions and more:
            head["nextCursor"] = make_cursor(self.collection.record_id(positions[-1]), end, page.search)
        profile = _item_profile(page.profiles)
        items = b",".join(self._item(position, profile) for position in positions)
        tail = self._tail(page, found, params)
        body = dumps(head)[:-1] + b',"items":[' + items + b"]" + (b"," + dumps(tail)[1:] if tail else b"}")
        return body.replace(KEY_IN_JSON, dumps(key)[1:-1])

    def warm(self, profile: str = "rich") -> None:
        """Serialise every item beforehand, so that a benchmark measures its client and not this server."""
        found = self.collection.find(Search())
        self._item = lru_cache(maxsize=max(ITEMS_KEPT, len(found)))(self._serialise)
        for position in found:
            self._item(position, profile)

    def _serialise(self, position: int, profile: str) -> bytes:
        item = with_envelope(self.collection.item(position))
        names = PROFILES[profile]
        return dumps(item if names is None else {name: item[name] for name in item if name in names})

    def _after(self, cursor: str, found: Sequence[int], search: Search) -> int:
        """Where the page after a cursor begins."""
        if cursor == "*":
            return 0
        record_id, rank = read_cursor(cursor, search)
        if rank <= len(found) and rank > 0 and self.collection.record_id(found[rank - 1]) == record_id:
            return rank
        for at, position in enumerate(found):
            if self.collection.record_id(position) == record_id:
                return at + 1
        raise bad_cursor()

    def _tail(self, page: Page, found: Sequence[int], params: QueryParams) -> dict[str, Any]:
        tail: dict[str, Any] = {}
        if "facets" in page.profiles:
            tail["facets"] = [
                {"name": name, "fields": [{"label": value, "count": n} for value, n in values]}
                for name in page.facets
                if (values := self._facet(name, found, page.facet_limits))
            ]
        if "params" in page.profiles:
            tail["params"] = {name: params.getlist(name) for name in params if name != "wskey"}
        return tail

    def _facet(self, name: str, found: Sequence[int], limits: Mapping[str, tuple[int, int]]) -> list[tuple[str, int]]:
        limit, offset = limits.get(name, (DEFAULT_FACET_LIMIT, 0))
        return self.collection.facet(name, found)[offset : offset + limit]


def with_envelope(item: dict[str, Any]) -> dict[str, Any]:
    """The item with what the API adds to each: links that carry the caller's key, epochs, rank and score."""
    key = KEY.decode()
    record_id = item["id"]
    added = {
        "link": f"https://api.europeana.eu/record{record_id}.json?wskey={key}",
        "guid": f"https://www.europeana.eu/item{record_id}?utm_source=api&utm_medium=api&utm_campaign={key}",
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
    return dict(sorted((added | item).items()))


def page_asked(params: QueryParams) -> Page:
    """The request's parameters, checked as api2 checks them. Raises Refusal with Europeana's codes."""
    query = params.get("query")
    if query is None:
        raise Refusal(400, "Required parameter 'query' missing")
    if not query.strip():
        raise Refusal(400, "Empty search query parameter", code="400-SE")
    rows, start = _number(params, "rows", DEFAULT_ROWS, 0), _number(params, "start", 1, 1)
    rows = min(rows, MAX_ROWS)
    cursor = params.get("cursor")
    if cursor is not None and start > 1:
        raise Refusal(400, "Parameters 'start' and 'cursorMark' cannot be used together", code="400-SD")
    if cursor is None and start - 1 + rows > MAX_START:
        raise Refusal(
            400,
            f"It is not possible to paginate beyond the first {MAX_START} search results. "
            "Please use cursor-based pagination instead",
            code="400-SL",
        )
    profiles = _names(params.getlist("profile")) or ("standard",)
    facets = _names(params.getlist("facet")) or ("DEFAULT",)
    facets = tuple(dict.fromkeys(f for name in facets for f in (DEFAULT_FACETS if name == "DEFAULT" else (name,))))
    return Page(
        search=Search(
            query=query.strip(),
            refinements=tuple(params.getlist("qf")),
            reusability=_reusability(params.getlist("reusability")),
            thumbnail=_flag(params, "thumbnail"),
            media=_flag(params, "media"),
            sort=_sort(params.getlist("sort"), with_cursor=cursor is not None),
        ),
        rows=rows,
        start=start,
        cursor=cursor,
        profiles=profiles,
        facets=facets,
        facet_limits=_facet_limits(params, facets),
    )


def make_cursor(record_id: str, rank: int, search: Search) -> str:
    """An opaque mark after a record, in base64 as Solr's are (with + / = in it)."""
    mark = json.dumps([record_id, rank, _sort_mark(search)]).encode()
    return base64.b64encode(b"\x02\x84\xbf\xfe" + mark).decode()


def read_cursor(cursor: str, search: Search) -> tuple[str, int]:
    """Record id and rank of a mark. Raises Refusal 400-SC for what this search did not give out."""
    try:
        raw = base64.b64decode(cursor, validate=True)
        record_id, rank, sort = json.loads(raw[4:])
    except (binascii.Error, ValueError) as error:
        raise bad_cursor() from error
    if sort != _sort_mark(search) or not isinstance(record_id, str) or not isinstance(rank, int):
        raise bad_cursor()
    return record_id, rank


def bad_cursor() -> Refusal:
    """What the API says to a cursor it cannot read."""
    return Refusal(
        400,
        "Invalid cursor value. Please make sure you encode the cursor value before sending it to the API.",
        code="400-SC",
    )


def _sort_mark(search: Search) -> str:
    return ",".join(f"{field}{' desc' if descending else ''}" for field, descending in search.sort)


def _item_profile(profiles: Sequence[str]) -> str:
    """Minimal wins over rich (api2)."""
    return next((name for name in ("minimal", "rich") if name in profiles), "standard")


def _number(params: QueryParams, name: str, default: int, least: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
        raise Refusal(400, f"Invalid value for parameter '{name}'", message=f"{text!r} is not a number from {least}")
    return int(text)


def _flag(params: QueryParams, name: str) -> bool | None:
    text = params.get(name)
    return None if text is None else text.lower() == "true"


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for value in values for name in re.split(r"[,+\s]+", value) if name)


def _reusability(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in KINDS if name in {part.lower() for part in _names(values)})


def _sort(values: Sequence[str], *, with_cursor: bool) -> tuple[tuple[str, bool], ...]:
    """`field dir, field dir`; a cursor needs the unique key among them (Solr), and `score` leaves the default."""
    sort = []
    for part in re.split(r"\s*,\s*", ",".join(values).replace("+", " ").strip()) if values else []:
        field, _, direction = part.strip().partition(" ")
        if field not in SORTABLE and not field.startswith("random"):
            raise Refusal(400, "Invalid search query", code="400-SA", message=f"cannot sort by {field!r}")
        sort.append((field, direction.strip().lower() == "desc"))
    if with_cursor and sort and not any(field == "europeana_id" for field, _ in sort):
        raise Refusal(400, "Invalid search query", code="400-SA", message="a cursor needs europeana_id in the sort")
    return tuple(sort)


def _facet_limits(params: QueryParams, facets: Sequence[str]) -> dict[str, tuple[int, int]]:
    limits: dict[str, tuple[int, int]] = {}
    for name in params:
        match = re.fullmatch(r"f\.([\w.]+)\.facet\.(limit|offset)", name)
        if match is None:
            continue
        if match[1] not in facets:
            raise Refusal(400, "Invalid search query", code="400-SA", message=f"{match[1]} is not a requested facet")
        limit, offset = limits.get(match[1], (DEFAULT_FACET_LIMIT, 0))
        number = _number(params, name, 0, 0)
        limits[match[1]] = (min(number, MAX_FACET_LIMIT), offset) if match[2] == "limit" else (limit, number)
    return limits
