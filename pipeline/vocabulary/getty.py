"""The AAT from Getty's SPARQL endpoint: batches of checked ids, answers cached by id with their day."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from string import Template

import polars as pl

from pipeline.http import GaveUp, HttpClient, Unreachable
from pipeline.settings import VocabularySettings
from pipeline.vocabulary import subjects
from pipeline.vocabulary.cache import DatedCache, current_day
from pipeline.vocabulary.identifiers import AAT, checked_ids
from pipeline.vocabulary.sparql import LITERALS, Value, select
from pipeline.vocabulary.subjects import Subject, concept_rows, with_ancestors

QUERY = Template(Path(__file__).with_name("subjects.rq").read_text(encoding="utf-8"))
COLUMNS = ("subject", "property", "value")  # that each row of its answer has


class GettySource:
    """Subjects from the SPARQL endpoint of the settings, one request at a time.

    Raises pipeline.http's Unreachable, GaveUp or Refused when the endpoint does not answer, NotAnAatId for a malformed
    id. Answers from before a failure stay in the cache.
    """

    def __init__(
        self, http: HttpClient, settings: VocabularySettings, cache: Path, *, today: Callable[[], date] = current_day
    ) -> None:
        self._http = http
        self._settings = settings
        self._cache = DatedCache(cache / "aat.jsonl", settings.cache_days, today=today)

    def concepts(self, ids: Sequence[str]) -> pl.DataFrame:
        """Rows of `concepts` for these ids, everything above them and what replaces them; unknown ids have no row."""
        return concept_rows(with_ancestors(checked_ids(ids), self._fetch))

    def _fetch(self, ids: list[str]) -> dict[str, Subject]:
        missing = [each for each in ids if each not in self._cache]
        for start in range(0, len(missing), self._settings.batch_size):
            batch = missing[start : start + self._settings.batch_size]
            answered = self._ask(batch)
            self._cache.add({each: answered[each].to_json() if each in answered else None for each in batch})
        stored = {each: self._cache[each] for each in ids}
        return {each: Subject.from_json(answer) for each, answer in stored.items() if isinstance(answer, dict)}

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
            raise type(error)(f"{error} Or name a local dump of the AAT in `vocabulary.dumps`.") from None


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
