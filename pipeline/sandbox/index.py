"""The search engine of the local museum: postings by field and word, evaluated as sets of positions."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from pipeline.sandbox.query import (
    All,
    Everything,
    Node,
    Not,
    QueryError,
    Range,
    Search,
    Some,
    Term,
    parse,
    parse_refinements,
)
from pipeline.sandbox.rights import reusability

WORD = re.compile(r"\w+")
RESULTS_KEPT = 64

# Exact-match fields of the index and where an item holds their values.
FIELDS: dict[str, Callable[[Mapping[str, Any]], Sequence[Any]]] = {
    "europeana_id": lambda item: [item["id"]],
    "skos_concept": lambda item: item.get("edmConcept", []),
    "DATA_PROVIDER": lambda item: item.get("dataProvider", []),
    "PROVIDER": lambda item: item.get("provider", []),
    "foaf_organization": lambda item: [*item.get("dataProvider", []), *item.get("provider", [])],
    "edm_datasetName": lambda item: item.get("edmDatasetName", []),
    "RIGHTS": lambda item: item.get("rights", []),
    "TYPE": lambda item: [item.get("type", "IMAGE")],
    "COUNTRY": lambda item: item.get("country", []),
    "LANGUAGE": lambda item: item.get("language", []),
    "YEAR": lambda item: item.get("year", []),
    "COMPLETENESS": lambda item: [str(item[name]) for name in ("europeanaCompleteness",) if name in item],
    "provider_aggregation_edm_isShownBy": lambda item: item.get("edmIsShownBy", []),
    "timestamp_created": lambda item: [item[name] for name in ("timestamp_created",) if name in item],
    "timestamp_update": lambda item: [item[name] for name in ("timestamp_update",) if name in item],
    "MEDIA": lambda item: ["true" if item.get("edmIsShownBy") else "false"],
    "THUMBNAIL": lambda item: ["true" if item.get("edmPreview") else "false"],
}
DATES = ("timestamp_created", "timestamp_update")
TEXT_FIELDS = ("title", "what", "who", "where")
SORTABLE = ("europeana_id", "timestamp_created", "timestamp_update", "COMPLETENESS", "score")
FACETS = ("TYPE", "DATA_PROVIDER", "PROVIDER", "RIGHTS", "COUNTRY", "LANGUAGE", "YEAR", "edm_datasetName")


class Index:
    """Postings over the items of a museum; knows ids and fields, keeps no item."""

    def __init__(self, labels: Mapping[str, Sequence[str]], open_rights: tuple[str, ...]) -> None:
        self.ids: list[str] = []
        self.position: dict[str, int] = {}
        self._labels = labels
        self._open_rights = open_rights
        self._postings: dict[str, dict[str, set[int]]] = {name: {} for name in (*FIELDS, *TEXT_FIELDS, "text")}
        self._values: dict[str, list[tuple[str, ...]]] = {name: [] for name in (*FACETS, *DATES, "COMPLETENESS")}
        self._phrases: dict[str, list[str]] = {name: [] for name in (*TEXT_FIELDS, "text")}
        self._reusability: dict[str, set[int]] = {}
        self.find = lru_cache(maxsize=RESULTS_KEPT)(self._find)

    def add(self, item: Mapping[str, Any]) -> None:
        """Make one item findable. Raises ValueError when its id repeats or a date cannot be read."""
        record_id, position = item["id"], len(self.ids)
        if record_id in self.position:
            raise ValueError(f"a second record {record_id}")
        for name in DATES:
            for value in FIELDS[name](item):
                moment(value)
        self.ids.append(record_id)
        self.position[record_id] = position
        for name, values_of in FIELDS.items():
            values = tuple(str(value) for value in values_of(item))
            for value in values:
                self._postings[name].setdefault(value, set()).add(position)
            if name in self._values:
                self._values[name].append(values)
        for right in item.get("rights", []) or [""]:
            self._reusability.setdefault(reusability(right, self._open_rights), set()).add(position)
        for name, texts in self._texts(item).items():
            self._add_text(name, texts, position)

    def finish(self) -> None:
        """Forget what only adding needs."""
        self._labels = {}

    def _texts(self, item: Mapping[str, Any]) -> dict[str, list[str]]:
        """What is searched as text: the record's words and the labels of its concepts in all languages."""
        concepts = [label for uri in item.get("edmConcept", []) for label in self._labels.get(uri, ())]
        concepts += _all_strings(item.get("edmConceptPrefLabelLangAware", {}))
        what = [*_literals(item.get("dcTypeLangAware", {})), *_literals(item.get("dcSubjectLangAware", {})), *concepts]
        title = [*item.get("title", []), *_all_strings(item.get("dcTitleLangAware", {}))]
        who = [*item.get("dcCreator", []), *item.get("dcContributor", [])]
        where = [*item.get("country", []), *item.get("edmPlaceLabel", [])]
        where = [text for text in where if isinstance(text, str)]
        others = [*item.get("dcDescription", []), *item.get("dataProvider", []), *item.get("provider", [])]
        return {"title": title, "what": what, "who": who, "where": where, "text": title + what + who + where + others}

    def _add_text(self, name: str, texts: Sequence[str], position: int) -> None:
        folded = [" ".join(words(text)) for text in dict.fromkeys(texts)]
        for word in {word for text in folded for word in text.split()}:
            self._postings[name].setdefault(word, set()).add(position)
        self._phrases[name].append(" | ".join(f" {text} " for text in folded))

    def _find(self, search: Search) -> Sequence[int]:
        """Positions of the records found, in the order asked for. Raises QueryError."""
        found = self._matches(parse(search.query))
        if search.refinements:
            found = found & self._matches(parse_refinements(search.refinements))
        if search.reusability and len(set(search.reusability)) < 4:
            found = found & {p for name in search.reusability for p in self._reusability.get(name, ())}
        for field, wanted in (("THUMBNAIL", search.thumbnail), ("MEDIA", search.media)):
            if wanted is not None:
                found = found & self._postings[field].get("true" if wanted else "false", set())
        return self._ordered(found, search.sort)

    def _matches(self, node: Node) -> set[int]:
        match node:
            case Everything():
                return set(range(len(self.ids)))
            case All(parts):
                return set.intersection(*(self._matches(part) for part in parts)) if parts else set()
            case Some(parts):
                return set().union(*(self._matches(part) for part in parts))
            case Not(part):
                return set(range(len(self.ids))) - self._matches(part)
            case Range():
                return self._in_range(node)
            case Term():
                return self._term(node)

    def _term(self, term: Term) -> set[int]:
        if term.field is None or term.field in TEXT_FIELDS:
            return self._words(term.field or "text", term)
        if term.field not in FIELDS:
            raise QueryError(f"undefined field {term.field}")
        postings = self._postings[term.field]
        text = term.text.upper() if term.field == "TYPE" else term.text
        if "*" in text and (not term.phrase or term.field == "RIGHTS"):
            pattern = re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE)
            return set().union(*(found for value, found in postings.items() if pattern.fullmatch(value)))
        if term.field == "COUNTRY":
            return set().union(*(found for value, found in postings.items() if value.lower() == text.lower()))
        return set(postings.get(text, ()))

    def _words(self, name: str, term: Term) -> set[int]:
        postings, found = self._postings[name], None
        if "*" in term.text and not term.phrase:
            pattern = re.compile(".*".join(re.escape(fold(part)) for part in term.text.split("*")))
            return set().union(*(hits for word, hits in postings.items() if pattern.fullmatch(word)))
        wanted = words(term.text)
        for word in wanted:
            hits = postings.get(word, set())
            found = hits if found is None else found & hits
        if found and term.phrase and len(wanted) > 1:
            phrase = f" {' '.join(wanted)} "
            return {position for position in found if phrase in self._phrases[name][position]}
        return set(found or ())

    def _in_range(self, node: Range) -> set[int]:
        if node.field not in FIELDS:
            raise QueryError(f"undefined field {node.field}")
        key: Callable[[str], Any] = moment if node.field in DATES else str
        try:
            low = None if node.low == "*" else key(node.low)
            high = None if node.high == "*" else key(node.high)
        except ValueError as error:
            raise QueryError(str(error)) from error
        found: set[int] = set()
        for value, hits in self._postings[node.field].items():
            at = key(value)
            above = low is None or at > low or (node.low_included and at == low)
            below = high is None or at < high or (node.high_included and at == high)
            if above and below:
                found |= hits
        return found

    def _ordered(self, found: set[int], sort: tuple[tuple[str, bool], ...]) -> Sequence[int]:
        """By the given fields, last by id; the default is the newest update first, as all scores are equal here."""
        positions = sorted(found, key=lambda position: self.ids[position])
        for field, descending in reversed(sort or (("timestamp_update", True),)):
            if field.startswith("random"):
                positions.sort(key=partial(self._shuffled, field))
            elif field == "europeana_id":
                positions.sort(key=lambda position: self.ids[position], reverse=descending)
            elif field != "score":
                positions.sort(key=self._values[field].__getitem__, reverse=descending)
        return tuple(positions)

    def _shuffled(self, seed: str, position: int) -> bytes:
        return hashlib.sha256(f"{seed} {self.ids[position]}".encode()).digest()

    def facet(self, name: str, positions: Sequence[int]) -> list[tuple[str, int]]:
        """Values of a field among these records with their counts, most frequent first, then by value."""
        if name == "REUSABILITY":
            found = set(positions)
            counts = Counter({value: len(found & hits) for value, hits in self._reusability.items()})
        elif name in FACETS:
            counts = Counter(value for position in positions for value in self._values[name][position])
        elif name in FIELDS:
            found = set(positions)
            counts = Counter({value: len(found & hits) for value, hits in self._postings[name].items()})
        else:
            return []
        return sorted(((value, n) for value, n in counts.items() if n), key=lambda pair: (-pair[1], pair[0]))


@lru_cache(maxsize=100_000)
def moment(text: str) -> datetime:
    """A Solr date, with or without a time of day, as a point in time. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date like 2026-07-20T06:00:00.000Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def fold(text: str) -> str:
    """Lower case without accents, as the search engine compares words."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def words(text: str) -> list[str]:
    """The words of a text, folded."""
    return WORD.findall(fold(text))


def _all_strings(value: object) -> list[str]:
    return list(_strings(value))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _literals(value: object) -> list[str]:
    return [text for text in _strings(value) if not text.startswith(("http://", "https://"))]
