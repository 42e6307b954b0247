"""A museum without a folder for large tests: any number of records, made when they are asked for, in flat memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyoxigraph

from pipeline.harvest.keywords import words
from pipeline.sandbox.index import moment
from pipeline.sandbox.query import (
    All,
    Everything,
    Node,
    QueryError,
    Range,
    Search,
    Some,
    Term,
    parse,
    parse_refinements,
)

KEYWORDS = ("furniture", "costume", "tool", "ceramic")
CONCEPTS = tuple(f"http://vocab.getty.edu/aat/3000{number}" for number in range(37000, 37040))
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
# Every record's update lies one step after the one before it.
STEP = timedelta(minutes=1)


@dataclass(frozen=True, eq=False)
class SyntheticMuseum:
    """`records` open records with a thumbnail; record i belongs to keyword i modulo 4, every tenth to the next one too.

    Search understands `*`, a keyword, `europeana_id:(…)`, `timestamp_update` and `timestamp_created` ranges; every
    refinement by TYPE holds. Whatever else is asked for is refused rather than answered wrongly.
    """

    records: int
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    media: dict[str, Path] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    thesaurus: pyoxigraph.Store = field(default_factory=pyoxigraph.Store)

    def __len__(self) -> int:
        return self.records

    def find(self, search: Search) -> Sequence[int]:
        """Positions of the records found, ordered by id or by update (both grow with the position)."""
        if "open" not in (search.reusability or ("open",)) or search.thumbnail is False:
            return ()
        found = self._matches(parse(search.query))
        if search.refinements:
            found = _both(found, self._matches(parse_refinements(search.refinements)))
        descending = search.sort[0][1] if search.sort else True
        return found[::-1] if descending else found

    def record_id(self, position: int) -> str:
        """Ids grow with the position, as text too."""
        return f"/9999/synthetic_{position:08d}"

    def position(self, record_id: str) -> int | None:
        """The number inside the id."""
        number = record_id.rpartition("_")[2]
        if not number.isdigit() or int(number) >= self.records or self.record_id(int(number)) != record_id:
            return None
        return int(number)

    def item(self, position: int) -> dict[str, Any]:
        """A search item of about the size of a real one."""
        record_id = self.record_id(position)
        image = f"https://media.synthetic.example/{position:08d}.jpg"
        updated = (EPOCH + position * STEP).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        concepts = sorted({CONCEPTS[position % 40], CONCEPTS[position * 7 % 40]})
        title = f"{self._keywords(position)[0]} number {position}"
        return {
            "id": record_id,
            "type": "IMAGE",
            "title": [title],
            "dcTitleLangAware": {"en": [title]},
            "dcDescription": ["A synthetic record for measurements; it stands for no object. " * 3],
            "dataProvider": [f"Synthetic Museum {position % 97}"],
            "provider": ["Synthetic aggregator"],
            "country": ["Europe"],
            "language": ["en"],
            "rights": ["http://creativecommons.org/publicdomain/mark/1.0/"],
            "edmConcept": concepts,
            "edmDatasetName": ["9999_Synthetic"],
            "edmIsShownAt": [f"https://synthetic.example/{position:08d}"],
            "edmIsShownBy": [image],
            "edmPreview": [f"https://api.europeana.eu/thumbnail/v2/url.json?uri={quote(image, safe='')}&type=IMAGE"],
            "dcTypeLangAware": {"def": [concepts[0]], "en": list(self._keywords(position))},
            "europeanaCompleteness": 5,
            "timestamp_created": updated,
            "timestamp_update": updated,
        }

    def facet(self, name: str, positions: Sequence[int]) -> list[tuple[str, int]]:
        """Only the type has a known distribution here."""
        return [("IMAGE", len(positions))] if name == "TYPE" and positions else []

    def entity(self, uri: str) -> None:
        """There are no entities here."""
        return None

    def _keywords(self, position: int) -> tuple[str, ...]:
        first = position % len(KEYWORDS)
        more = (KEYWORDS[(first + 1) % len(KEYWORDS)],) if position // len(KEYWORDS) % 10 == 0 else ()
        return (KEYWORDS[first], *more)

    def _matches(self, node: Node) -> Sequence[int]:
        everything = range(self.records)
        match node:
            case Everything():
                return everything
            case All(parts):
                found: Sequence[int] = everything
                for part in parts:
                    found = _both(found, self._matches(part))
                return found
            case Some(parts):
                if len(parts) == 1:
                    return self._matches(parts[0])
                return sorted({position for part in parts for position in self._matches(part)})
            case Term("TYPE", text):
                return everything if text.upper() == "IMAGE" else ()
            case Term("europeana_id", text):
                position = self.position(text)
                return () if position is None else (position,)
            case Term(None, text):
                return self._keyword(words(text))
            case Range("timestamp_update") | Range("timestamp_created"):
                return self._dated(node)
        raise QueryError(f"the synthetic museum cannot search for {node}")

    def _keyword(self, wanted: Sequence[str]) -> Sequence[int]:
        if len(wanted) != 1 or wanted[0] not in KEYWORDS:
            return ()
        return _positions_of(wanted[0], self.records)

    def _dated(self, node: Range) -> Sequence[int]:
        low, high = 0, self.records
        if node.low != "*":
            low = -((EPOCH - moment(node.low)) // STEP)
            low += (not node.low_included) and EPOCH + low * STEP == moment(node.low)
        if node.high != "*":
            high = (moment(node.high) - EPOCH) // STEP + 1
            high -= (not node.high_included) and EPOCH + (high - 1) * STEP == moment(node.high)
        return range(max(0, low), max(0, min(self.records, high)))


@lru_cache(maxsize=2 * len(KEYWORDS))
def _positions_of(keyword: str, records: int) -> tuple[int, ...]:
    """The records of a keyword: its own fourth, and each tenth of the keyword before it."""
    first, n = KEYWORDS.index(keyword), len(KEYWORDS)
    return tuple(sorted([*range(first, records, n), *range((first - 1) % n, records, 10 * n)]))


def _both(left: Sequence[int], right: Sequence[int]) -> Sequence[int]:
    """What is in both, in order; ranges of everything stay ranges."""
    if isinstance(left, range) and isinstance(right, range) and left.step == right.step == 1:
        return range(max(left.start, right.start), max(max(left.start, right.start), min(left.stop, right.stop)))
    smaller, larger = sorted((left, right), key=len)
    inside = larger if isinstance(larger, range) else set(larger)
    return [position for position in smaller if position in inside]
