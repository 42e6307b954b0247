"""The AAT from Getty's SPARQL endpoint: batches of checked ids, answers cached by id with their day."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request

import polars as pl
from SPARQLWrapper import JSON, POST, QueryResult, SPARQLWrapper
from SPARQLWrapper.SmartWrapper import Bindings, Value

from pipeline.http import GaveUp, HttpClient, Response, Unreachable
from pipeline.settings import VocabularySettings
from pipeline.vocabulary import subjects
from pipeline.vocabulary.cache import DatedCache, current_day
from pipeline.vocabulary.identifiers import AAT, checked_ids
from pipeline.vocabulary.subjects import Subject, concept_rows, with_ancestors

QUERY = Template(Path(__file__).with_name("subjects.rq").read_text(encoding="utf-8"))


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
        response = self._send(subjects_query(ids))
        asked = dict.fromkeys(ids)
        collected: dict[str, Subject] = {}
        for row in _rows(response):
            concept_id = row["subject"].value.removeprefix(AAT)
            if concept_id in asked:
                _add(collected.setdefault(concept_id, Subject()), row)
        return {each: subject for each, subject in collected.items() if subject.exists}

    def _send(self, query: str) -> Response:
        request = sparql_request(self._settings.sparql_endpoint, query, self._http.settings.user_agent)
        form = dict(parse_qsl(request.data.decode("ascii") if isinstance(request.data, bytes) else ""))
        accept = {"Accept": "application/sparql-results+json"}  # a plain one; longer lists were refused (dossier)
        try:
            return self._http.post(
                request.full_url, data=form, headers=accept, check=_refuse_other_answers, redirects=True
            )
        except (Unreachable, GaveUp) as error:
            raise type(error)(f"{error} Or name a local dump of the AAT in `vocabulary.dumps`.") from None


def subjects_query(ids: Sequence[str]) -> str:
    """The query of subjects.rq for these ids; nothing but nine-digit ids is put into it. Raises NotAnAatId."""
    return QUERY.substitute(subjects=" ".join(f"aat:{each}" for each in checked_ids(ids)))


def sparql_request(endpoint: str, query: str, agent: str) -> Request:
    """The urllib request that SPARQLWrapper would send: always a POST, as a batch of ids is too long for a URL.

    Ours sends it: SPARQLWrapper's timeout covers only the connection, and a 301 drops its POST body.
    """
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f"The SPARQL endpoint {endpoint!r} is no web address; it must begin with https://.")
    wrapper = SPARQLWrapper(endpoint, agent=agent)
    wrapper.setQuery(query)
    wrapper.setReturnFormat(JSON)
    wrapper.setOnlyConneg(True)
    wrapper.setMethod(POST)
    request: Request = wrapper._createRequest()  # the one way to a request that is not sent at once
    return request


def _refuse_other_answers(response: Response) -> None:
    """Raises ValueError for JSON that is no SPARQL result; HTML and half an answer are no JSON to begin with."""
    answer = response.json()
    if not (isinstance(answer, dict) and isinstance(answer.get("head"), dict)):
        raise ValueError("JSON that is no SPARQL result")
    bindings = answer.get("results", {}).get("bindings")
    if not isinstance(bindings, list):
        raise ValueError("a SPARQL result without bindings")
    # SPARQLWrapper's parser stops without a word at a binding that it cannot read.
    for binding in bindings:
        if not all({"type", "value"} <= binding.get(name, {}).keys() for name in ("subject", "property", "value")):
            raise ValueError("a SPARQL result with an incomplete binding")


def _rows(response: Response) -> Sequence[Mapping[str, Value]]:
    # All that the parser needs of urllib's response; the answer as it was read, without half surrogate pairs.
    body: Any = io.BytesIO(json.dumps(response.json()).encode())
    return Bindings(QueryResult((body, JSON))).bindings


def _add(subject: Subject, row: Mapping[str, Value]) -> None:
    predicate, value = row["property"].value, row["value"]
    if predicate in subjects.URIS:
        subject.add_uri(predicate, value.value)
    elif predicate in subjects.PROPERTIES:
        for text in (row.get("label"), row.get("note"), value if value.type in _LITERALS else None):
            if text is not None:
                subject.add_text(predicate, text.lang, text.value)


_LITERALS = (Value.Literal, Value.TypedLiteral)
