"""Looks up Europeana's records by the addresses of their pictures: in batches, stored answer by answer, resumable."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.harvest.europeana import EuropeanaClient, Page, values_of
from pipeline.harvest.items import row_of_item
from pipeline.http import Refused
from pipeline.images.wanted import source_of_thumbnail
from pipeline.published.addresses import spellings
from pipeline.settings import HarvestSettings
from pipeline.vocabulary.cache import DatedCache
from pipeline.waits import Progress

SHOWN_BY, HAS_VIEW, OBJECT = (f"provider_aggregation_edm_{name}" for name in ("isShownBy", "hasView", "object"))
EXACT, OTHER, RECORD = "exact", "other", "record"  # the three kinds of stored answers
NOT_TAKEN = (400, 413, 414)  # what the search says to a query that it cannot read, or that is too long
KEPT = 20  # records of one address that are stored; beyond it is a picture that says nothing of a record


@dataclass(frozen=True)
class Hit:
    """A record that names an address.

    `by` is the property that does: isShownBy, hasView, object (the preview is made from it); `as_written`: in the
    spelling of the published row.
    """

    record_id: str
    data_provider: str | None
    rights_uri: str | None
    attribution: str
    landing_page: str | None
    concept_uris: list[str]
    by: str
    as_written: bool


@dataclass(frozen=True)
class Answer:
    """What is known of one address: the records that name it, how many there are, whether the search took it."""

    hits: Sequence[Hit]
    n: int
    refused: bool = False


class Lookup:
    """Asks Europeana's search for the records of addresses; what is stored is not asked for again.

    First all addresses as they are written, as edm:isShownBy. Those without a record then in other spellings, and as
    edm:hasView and edm:object. The search does not return these two: where one of them matched, the Record API tells
    which address it was. Each answer is on disk before the next request. The stored answers hold no key.
    """

    def __init__(self, client: EuropeanaClient, file: Path, settings: HarvestSettings) -> None:
        self.requests = 0  # of this run
        self._client = client
        self._settings = settings
        self._stored = DatedCache(file, settings.address_days)

    def run(self, addresses: Iterable[str], progress: Progress | None = None) -> None:
        """Ask for all that is not stored; `progress` is in addresses. Raises the errors of `pipeline.http`."""
        wanted, say = sorted(set(addresses)), progress or (lambda done, of: None)
        again = len(self._without_record(wanted))  # to be asked once more, in other spellings
        for done, batch in self._batches(EXACT, wanted):
            self._ask(EXACT, batch)
            again += len(self._without_record(batch))
            say(done, len(wanted) + again)
        rest = self._without_record(wanted)
        for done, batch in self._batches(OTHER, rest):
            self._ask(OTHER, batch)
            say(len(wanted) + done, len(wanted) + len(rest))
        self._ask_records(rest)
        say(len(wanted) + len(rest), len(wanted) + len(rest))

    def answers(self, addresses: Iterable[str]) -> dict[str, Answer | None]:
        """What is stored of each address; None for those that were not asked for, or not to the end."""
        wanted = sorted(set(addresses))
        linked = self._linked(wanted)
        all_told = all(_key(RECORD, record_id) in self._stored for record_id in self._unclear(wanted))
        return {address: self._answer(address, linked.get(address, []), all_told) for address in wanted}

    def _batches(self, kind: str, addresses: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """The addresses that are not stored, as many at a time as one request takes, and how many are done then."""
        missing = [address for address in addresses if _key(kind, address) not in self._stored]
        done = len(addresses) - len(missing)
        for start in range(0, len(missing), self._settings.addresses_per_search):
            batch = missing[start : start + self._settings.addresses_per_search]
            done += len(batch)
            yield done, batch

    def _ask(self, kind: str, batch: Sequence[str]) -> None:
        """One search; a batch that the search does not take, or that finds more than a page, is asked in halves."""
        sought = _sought(kind, batch)
        try:
            self.requests += 1
            page = self._client.with_values(_question(kind, sought))
        except Refused as refusal:
            if refusal.status not in NOT_TAKEN:
                raise
            page = None
        if len(batch) > 1 and (page is None or page.total > len(page.items)):
            middle = len(batch) // 2
            self._ask(kind, batch[:middle])
            self._ask(kind, batch[middle:])
        elif page is None:
            self._stored.add({_key(kind, batch[0]): None})
        else:
            stored = _to_store(kind, batch, sought, page)
            self._stored.add(stored)
            if rest := [address for address in batch if _key(kind, address) not in stored]:
                self._ask(kind, rest)

    def _without_record(self, addresses: Iterable[str]) -> list[str]:
        """Those that no record has as it is written; not those that the search did not take."""
        answers = ((address, self._stored.get(_key(EXACT, address))) for address in addresses)
        return [address for address, answer in answers if answer is not None and not answer["hits"]]

    def _ask_records(self, addresses: Sequence[str]) -> None:
        """The Record API's answer for each record of which the search did not tell what matched."""
        for record_id in self._unclear(addresses):
            if _key(RECORD, record_id) not in self._stored:
                self.requests += 1
                record = self._client.record(record_id)
                links = _links(record.data) if record is not None else []
                self._stored.add({_key(RECORD, record_id): links})

    def _unclear(self, addresses: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The records of which the search did not tell what matched, by id."""
        answers = (self._stored[key] for each in addresses if (key := _key(OTHER, each)) in self._stored)
        return {one["record_id"]: one for answer in answers if answer for one in answer["unclear"]}

    def _linked(self, addresses: Sequence[str]) -> dict[str, list[Hit]]:
        """The records found by what the Record API tells of them, by address."""
        by_spelling: dict[str, list[str]] = {}
        unclear = self._unclear(addresses)
        for address in addresses if unclear else ():
            for spelling in (address, *spellings(address)):
                by_spelling.setdefault(spelling, []).append(address)
        found: dict[str, dict[str, Hit]] = {}
        for record_id, hit in unclear.items():
            for by, link in self._stored.get(_key(RECORD, record_id), []):
                for address in by_spelling.get(link, ()):
                    one = Hit(**hit, by=by, as_written=link == address)
                    found.setdefault(address, {}).setdefault(record_id, one)
        return {address: list(hits.values()) for address, hits in found.items()}

    def _answer(self, address: str, linked: Sequence[Hit], all_told: bool) -> Answer | None:
        keys = [key for kind in (EXACT, OTHER) if (key := _key(kind, address)) in self._stored]
        answers = [self._stored[key] for key in keys]
        if None in answers:
            return Answer([], 0, refused=True)
        hits = [Hit(**hit) for answer in answers for hit in answer["hits"]]
        if not hits and (len(answers) < 2 or not all_told):
            return None
        known = {hit.record_id for hit in hits}  # a record may tell its picture to the search, and its views not
        further = [hit for hit in linked if hit.record_id not in known]
        n = max(sum(answer["n"] for answer in answers), len(hits)) + len(further)
        return Answer([*hits, *further], n)


def _key(kind: str, name: str) -> str:
    return f"{kind} {name}"


def _sought(kind: str, batch: Iterable[str]) -> dict[str, list[str]]:
    """The addresses behind each spelling that is asked for."""
    sought: dict[str, list[str]] = {}
    for address in batch:
        for spelling in (address, *(spellings(address) if kind == OTHER else ())):
            sought.setdefault(spelling, []).append(address)
    return sought


def _question(kind: str, sought: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {field: [*sought] for field in ((SHOWN_BY,) if kind == EXACT else (SHOWN_BY, HAS_VIEW, OBJECT))}


def _to_store(
    kind: str, batch: Sequence[str], sought: Mapping[str, Sequence[str]], page: Page
) -> dict[str, dict[str, Any]]:
    """The answer of each address of a batch: hits, n, and the records that the search does not tell the address of.

    A record that the search tells one address of may have another of them as its view. So the addresses without a hit
    have no answer where others have hits: they are to be asked for again, without those.
    """
    hits: dict[str, dict[str, dict[str, Any]]] = {address: {} for address in batch}
    unclear: list[dict[str, Any]] = []
    for item in page.items:
        if not isinstance(item.get("id"), str):
            continue
        record, told = _record(item), False
        for by, value in _told(item):
            for address in sought.get(value, ()):
                told = True
                hits[address].setdefault(record["record_id"], {**record, "by": by, "as_written": value == address})
        if not told and kind == OTHER:
            unclear.append(record)
    alone = page.total if len(batch) == 1 and not unclear else 0
    stored: dict[str, dict[str, Any]] = {}
    told_any = kind == OTHER and any(hits.values())
    for address, found in hits.items():
        if found or not told_any:
            answer = {"hits": [*found.values()][:KEPT], "n": max(len(found), alone), "unclear": unclear}
            stored[_key(kind, address)], unclear = answer, []  # the first has all that are unclear
    return stored


def _told(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The addresses that a search item tells, with the property that they stand in."""
    yield from (("isShownBy", value) for value in values_of(item.get("edmIsShownBy")))
    for preview in values_of(item.get("edmPreview")):
        if (source := source_of_thumbnail(preview)) is not None:
            yield "object", source


def _links(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The addresses that a record of the Record API tells, with the property that they stand in."""
    aggregations = record.get("aggregations") or []
    names = {"isShownBy": "edmIsShownBy", "hasView": "hasView", "object": "edmObject"}
    return [
        (by, value)
        for aggregation in aggregations
        for by, name in names.items()
        for value in values_of(aggregation.get(name))
    ]


def _record(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a record."""
    row = row_of_item(item)
    kept = ("record_id", "data_provider", "rights_uri", "attribution", "landing_page", "concept_uris")
    return {name: row[name] for name in kept}
