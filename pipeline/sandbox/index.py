"""The search engine of the local museum: postings by field and word, evaluated as sets of positions."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pipeline.harvest.keywords import fold, words
from pipeline.images.wanted import source_of_thumbnail
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
from pipeline.sandbox.rights import KINDS, reusability

RESULTS_KEPT = 64

OBJECT = "provider_aggregation_edm_object"
# Fields that match exactly, and where an item holds their values; three more are derived in `_exact_values`.
FIELDS = {
    "europeana_id": ("id",),
    "skos_concept": ("edmConcept",),
    "DATA_PROVIDER": ("dataProvider",),
    "PROVIDER": ("provider",),
    "foaf_organization": ("dataProvider", "provider"),
    "edm_datasetName": ("edmDatasetName",),
    "RIGHTS": ("rights",),
    "TYPE": ("type",),
    "COUNTRY": ("country",),
    "LANGUAGE": ("language",),
    "YEAR": ("year",),
    "COMPLETENESS": ("europeanaCompleteness",),
    "provider_aggregation_edm_isShownBy": ("edmIsShownBy",),
    "provider_aggregation_edm_hasView": ("hasView",),
    OBJECT: ("edmObject",),  # where it is not given, what the preview is made from
    "timestamp_created": ("timestamp_created",),
    "timestamp_update": ("timestamp_update",),
}
DERIVED = ("MEDIA", "THUMBNAIL", "REUSABILITY")
TEXT_FIELDS = ("title", "what", "who", "where")
DATES = ("timestamp_created", "timestamp_update")
SORTED_BY_VALUE = (*DATES, "COMPLETENESS")
SORTABLE = ("europeana_id", *SORTED_BY_VALUE, "score")


class Index:
    """Postings over the items of a museum; knows ids and fields, keeps no item."""

    def __init__(self, open_rights: tuple[str, ...]) -> None:
        self.ids: list[str] = []
        self.position: dict[str, int] = {}
        self._open_rights = open_rights
        names = (*FIELDS, *DERIVED, *TEXT_FIELDS, "text")
        self._postings: dict[str, dict[str, set[int]]] = {name: {} for name in names}
        self._sort_keys: dict[str, list[list[str]]] = {name: [] for name in SORTED_BY_VALUE}
        self._phrases: dict[str, list[str]] = {name: [] for name in (*TEXT_FIELDS, "text")}
        self.find = lru_cache(maxsize=RESULTS_KEPT)(self._find)

    def add(self, item: Mapping[str, Any], labels: Mapping[str, Sequence[str]]) -> None:
        """Make one item findable, also by the labels of its concepts (`labels`, by URI).

        Raises ValueError when its id repeats or a date cannot be read.
        """
        record_id, position = item["id"], len(self.ids)
        if record_id in self.position:
            raise ValueError(f"a second record {record_id}")
        exact = _exact_values(item, self._open_rights)
        for date in (*exact["timestamp_created"], *exact["timestamp_update"]):
            moment(date)
        self.ids.append(record_id)
        self.position[record_id] = position
        for name, values in exact.items():
            for value in values:
                self._postings[name].setdefault(value, set()).add(position)
        for name, keys in self._sort_keys.items():
            keys.append(exact[name])
        for name, texts in _texts(item, labels).items():
            folded = [" ".join(words(text)) for text in dict.fromkeys(texts)]
            for word in {word for text in folded for word in text.split()}:
                self._postings[name].setdefault(word, set()).add(position)
            self._phrases[name].append(" | ".join(f" {text} " for text in folded))

    def facet(self, name: str, positions: Sequence[int]) -> list[tuple[str, int]]:
        """Values of a field among these records with their counts, most frequent first, then by value."""
        if name not in FIELDS and name not in DERIVED:
            return []
        matches = set(positions)
        counts = ((value, len(matches & hits)) for value, hits in self._postings[name].items())
        return sorted(((value, n) for value, n in counts if n), key=lambda pair: (-pair[1], pair[0]))

    def _find(self, search: Search) -> Sequence[int]:
        """Positions of the records found, in the order asked for. Raises QueryError."""
        matches = self._matches(parse(search.query))
        if search.refinements:
            matches &= self._matches(parse_refinements(search.refinements))
        if search.reusability and set(search.reusability) != set(KINDS):
            matches &= self._with_any("REUSABILITY", lambda value: value in search.reusability)
        if search.thumbnail is not None:
            matches &= self._postings["THUMBNAIL"].get("true" if search.thumbnail else "false", set())
        return self._ordered(matches, search.sort)

    def _with_any(self, field: str, wanted: Callable[[str], object]) -> set[int]:
        """The records of which a value of this field is wanted."""
        return set().union(*(hits for value, hits in self._postings[field].items() if wanted(value)))

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
            case Term(field):
                return self._words(node) if field is None or field in TEXT_FIELDS else self._term(field, node)

    def _term(self, field: str, term: Term) -> set[int]:
        text = term.text.upper() if field == "TYPE" else term.text
        if "*" in text and (not term.phrase or field == "RIGHTS"):
            return self._with_any(_known(field), _pattern(text, re.IGNORECASE).fullmatch)
        if field == "COUNTRY":
            return self._with_any(field, lambda value: value.lower() == text.lower())
        return set(self._postings[_known(field)].get(text, ()))

    def _words(self, term: Term) -> set[int]:
        """The records with all words of the term, for a phrase in this order."""
        name = term.field or "text"
        if "*" in term.text and not term.phrase:
            return self._with_any(name, _pattern(fold(term.text)).fullmatch)
        wanted = words(term.text)
        matches = set.intersection(*(self._postings[name].get(word, set()) for word in wanted)) if wanted else set()
        if term.phrase and len(wanted) > 1:
            phrase = f" {' '.join(wanted)} "
            return {position for position in matches if phrase in self._phrases[name][position]}
        return matches

    def _in_range(self, node: Range) -> set[int]:
        key: Callable[[str], Any] = moment if node.field in DATES else str
        try:
            low = None if node.low == "*" else key(node.low)
            high = None if node.high == "*" else key(node.high)
        except ValueError as error:
            raise QueryError(str(error)) from error

        def inside(value: str) -> bool:
            at = key(value)
            above = low is None or at > low or (node.low_included and at == low)
            return above and (high is None or at < high or (node.high_included and at == high))

        return self._with_any(_known(node.field), inside)

    def _ordered(self, matches: set[int], sort: tuple[tuple[str, bool], ...]) -> Sequence[int]:
        """By the given fields, last by id; the default is the newest update first, as all scores are equal here."""
        positions = sorted(matches, key=self.ids.__getitem__)
        for field, descending in reversed(sort or (("timestamp_update", True),)):
            if field == "europeana_id":
                positions.sort(key=self.ids.__getitem__, reverse=descending)
            elif field != "score":
                positions.sort(key=self._sort_keys[field].__getitem__, reverse=descending)
        return tuple(positions)


def _known(field: str) -> str:
    if field not in FIELDS and field not in DERIVED:
        raise QueryError(f"undefined field {field}")
    return field


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """What matches a text in which `*` stands for anything."""
    return re.compile(".*".join(map(re.escape, text.split("*"))), flags)


@lru_cache(maxsize=100_000)
def moment(text: str) -> datetime:
    """A Solr date, with or without a time of day, as a point in time. Raises ValueError."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date like 2026-07-20T06:00:00.000Z") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _exact_values(item: Mapping[str, Any], open_rights: tuple[str, ...]) -> dict[str, list[str]]:
    """What the fields that match exactly hold for an item."""
    values = {}
    for name, keys in FIELDS.items():
        held = [item[key] if isinstance(item[key], list) else [item[key]] for key in keys if key in item]
        values[name] = [str(value) for several in held for value in several]
    previews = (source_of_thumbnail(url) for url in item.get("edmPreview") or [])
    values[OBJECT] = values[OBJECT] or [source for source in previews if source is not None]
    values["TYPE"] = values["TYPE"] or ["IMAGE"]
    values["MEDIA"] = [str(bool(item.get("edmIsShownBy"))).lower()]
    values["THUMBNAIL"] = [str(bool(item.get("edmPreview"))).lower()]
    values["REUSABILITY"] = [reusability(right, open_rights) for right in item.get("rights") or [""]]
    return values


def _texts(item: Mapping[str, Any], labels: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What is searched as text: the record's words and the labels of its concepts in all languages."""
    what = [text for name in ("dcTypeLangAware", "dcSubjectLangAware") for text in _strings(item.get(name))]
    what = [text for text in what if not text.startswith(("http://", "https://"))]
    what += [label for uri in item.get("edmConcept", []) for label in labels.get(uri, ())]
    what += _strings(item.get("edmConceptPrefLabelLangAware"))
    title = [*item.get("title", []), *_strings(item.get("dcTitleLangAware"))]
    who = [*item.get("dcCreator", []), *item.get("dcContributor", [])]
    places = item.get("edmPlaceLabel")
    places = [text for text in (places if isinstance(places, list) else [places]) if isinstance(text, str)]
    where = [*item.get("country", []), *places]
    others = [*item.get("dcDescription", []), *item.get("dataProvider", []), *item.get("provider", [])]
    return {"title": title, "what": what, "who": who, "where": where, "text": title + what + who + where + others}


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
