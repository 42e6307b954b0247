"""The AAT from Getty's SPARQL endpoint: batches of checked ids, answers cached by id with their day.

Getty's endpoint was away for days in 2026. What was answered before is then used although it is old, and told.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from string import Template
from typing import Any

import polars as pl

from pipeline.http import GaveUp, HttpClient, HttpError, Refused, Unreachable
from pipeline.settings import VocabularySettings
from pipeline.vocabulary import subjects
from pipeline.vocabulary.cache import DatedCache, current_day
from pipeline.vocabulary.changes import read_changes
from pipeline.vocabulary.identifiers import AAT, checked_ids
from pipeline.vocabulary.sparql import LITERALS, Value, select
from pipeline.vocabulary.subjects import Subject, concept_rows, with_ancestors

QUERY = Template(Path(__file__).with_name("subjects.rq").read_text(encoding="utf-8"))
COLUMNS = ("subject", "property", "value")  # that each row of its answer has


@dataclass
class Lookup:
    """What the endpoint did not say: for whom old answers were used, who stayed unknown, and why."""

    stale: dict[str, str] = field(default_factory=dict)  # id: the day of the answer that was used
    unknown: set[str] = field(default_factory=set)
    trouble: str = ""  # the first failure; nothing is asked after it

    def metadata(self) -> dict[str, Any]:
        """For the note on the table: empty when the endpoint answered everything."""
        if not self.trouble:
            return {}
        said = {"endpoint_trouble": self.trouble, "stale_answers": len(self.stale), "not_asked": len(self.unknown)}
        return said | ({"oldest_answer": min(self.stale.values())} if self.stale else {})


class GettySource:
    """Subjects from the SPARQL endpoint of the settings, one request at a time.

    When the endpoint fails, stored answers are used however old they are, and `lookup` says so. Where there is none,
    raises pipeline.http's Unreachable, GaveUp or Refused; with `need_not_answer` these ids have no row. Raises
    NotAnAatId for a malformed id. Answers from before a failure stay in the cache.
    """

    def __init__(
        self,
        http: HttpClient,
        settings: VocabularySettings,
        cache: Path,
        *,
        today: Callable[[], date] = current_day,
        need_not_answer: bool = False,
    ) -> None:
        self._http = http
        self._settings = settings
        self._cache = DatedCache(cache / "aat.jsonl", settings.cache_days, today=today)
        self._today, self._changes_file = today, cache / "changes.json"
        self._need_not_answer = need_not_answer
        self._changes_are_read = not settings.changes
        self.lookup = Lookup()

    def concepts(self, ids: Sequence[str]) -> pl.DataFrame:
        """Rows of `concepts` for these ids, everything above them and what replaces them; unknown ids have no row."""
        return concept_rows(with_ancestors(checked_ids(ids), self.fetch))

    def fetch(self, ids: list[str]) -> dict[str, Subject]:
        """These subjects alone; those that do not exist are left out."""
        self._read_changes()
        missing = [each for each in ids if each not in self._cache]
        for start in range(0, len(missing), self._settings.batch_size):
            batch = missing[start : start + self._settings.batch_size]
            try:
                if not self.lookup.trouble:
                    answered = self._ask(batch)
                    self._cache.add({each: answered[each].to_json() if each in answered else None for each in batch})
            except (Unreachable, GaveUp, Refused) as error:
                self._do_without(missing[start:], error)
        if self.lookup.trouble:
            self._note_what_is_old(ids)
        stored = {each: self._cache.get(each, self._cache.stale.get(each)) for each in ids}
        return {each: Subject.from_json(answer) for each, answer in stored.items() if isinstance(answer, dict)}

    def _do_without(self, ids: list[str], error: HttpError) -> None:
        """Note that the endpoint is away; raises the error where an id has no stored answer and must have one."""
        if not self._need_not_answer and any(each not in self._cache.stale for each in ids):
            raise error
        self.lookup.trouble = str(error)

    def _note_what_is_old(self, ids: list[str]) -> None:
        for each in ids:
            if each in self._cache.stale:
                self.lookup.stale[each] = self._cache.days[each].isoformat()
            elif each not in self._cache:
                if not self._need_not_answer:
                    raise GaveUp(f"{self.lookup.trouble} The subject {each} is not stored either.")
                self.lookup.unknown.add(each)

    def _read_changes(self) -> None:
        """Let the activity stream say which stored answers count; where it does not answer, their age says it."""
        if self._changes_are_read or not self._cache.days:
            return
        self._changes_are_read = True
        oldest = min(self._cache.days.values())
        with suppress(HttpError):
            changes = read_changes(self._http, self._settings.changes, self._changes_file, oldest, self._today())
            self._cache.judge(lambda key, day: changes.current(key, day.isoformat()))

    def _ask(self, ids: list[str]) -> dict[str, Subject]:
        asked = dict.fromkeys(ids)
        collected: dict[str, Subject] = {}
        for row in self._rows(subjects_query(ids)):
            concept_id = row["subject"].value.removeprefix(AAT)
            if concept_id in asked:
                _add(collected.setdefault(concept_id, Subject()), row)
        return {each: subject for each, subject in collected.items() if subject.exists}

    def _rows(self, query: str) -> Sequence[Mapping[str, Value]]:
        try:
            return select(self._http, self._settings.sparql_endpoint, query, COLUMNS)
        except (Unreachable, GaveUp) as error:
            raise type(error)(f"{error} Or get the AAT as a dump: `eufcc fetch-aat`.") from None


def subjects_query(ids: Sequence[str]) -> str:
    """The query of subjects.rq for these ids; nothing but nine-digit ids is put into it. Raises NotAnAatId."""
    return QUERY.substitute(subjects=" ".join(f"aat:{each}" for each in checked_ids(ids)))


def _add(subject: Subject, row: Mapping[str, Value]) -> None:
    predicate, value = row["property"].value, row["value"]
    if predicate in subjects.URIS:
        subject.add_uri(predicate, value.value)
    elif predicate in subjects.PROPERTIES:
        for text in (row.get("label"), row.get("note"), value if value.type in LITERALS else None):
            if text is not None:
                subject.add_text(predicate, text.lang, text.value)
