"""SPARQL, by SPARQLWrapper: it judges the query and reads the answer; pipeline/http.py carries both.

SPARQLWrapper sends nothing here: its timeout covers only the connection, and a 301 drops the body of its POST.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from SPARQLWrapper import JSON, QueryResult, SPARQLWrapper
from SPARQLWrapper.SmartWrapper import Bindings, Value

from pipeline.allow_list import shown
from pipeline.http import HttpClient, Response

__all__ = ["LITERALS", "Value", "select"]

LITERALS = (Value.Literal, Value.TypedLiteral)
# A plain type. Getty's endpoint refused longer lists, as SPARQLWrapper's own.
ACCEPT = {"Accept": "application/sparql-results+json"}


def select(http: HttpClient, endpoint: str, query: str, columns: Sequence[str]) -> Sequence[Mapping[str, Value]]:
    """The rows of a SELECT query, each with these columns at least.

    Sent as the form of a POST, because a batch of ids is too long for a URL. An answer that is no result in SPARQL's
    JSON, or that lacks a column, is requested again. Raises ValueError for an endpoint that is no web address and for a
    query that would change something, and what HttpClient.post raises.
    """
    form = checked_form(endpoint, query)

    def check(response: Response) -> None:
        _refuse_other_answers(response, columns)

    return _rows(http.post(endpoint, data=form, headers=ACCEPT, check=check, redirects=True))


def checked_form(endpoint: str, query: str) -> dict[str, str]:
    """The form that carries the query. Raises ValueError as `select` does."""
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f"The SPARQL endpoint {shown(endpoint)!r} is no web address; it must begin with https://.")
    wrapper = SPARQLWrapper(endpoint)
    wrapper.setQuery(query)
    if not wrapper.isSparqlQueryRequest():
        raise ValueError(f"Only queries are sent to {shown(endpoint)}; this would change something: {query!r}")
    return {"query": query}


def _refuse_other_answers(response: Response, columns: Sequence[str]) -> None:
    """Raises ValueError for JSON that is no SPARQL result; HTML and half an answer are no JSON to begin with."""
    answer = response.json()
    if not (isinstance(answer, dict) and isinstance(answer.get("head"), dict)):
        raise ValueError("JSON that is no SPARQL result")
    bindings = answer.get("results", {}).get("bindings")
    if not isinstance(bindings, list):
        raise ValueError("a SPARQL result without bindings")
    # SPARQLWrapper's parser stops without a word at a binding that it cannot read.
    for binding in bindings:
        if not all({"type", "value"} <= binding.get(name, {}).keys() for name in columns):
            raise ValueError("a SPARQL result with an incomplete binding")


def _rows(response: Response) -> Sequence[Mapping[str, Value]]:
    # All that the parser needs of urllib's response; the answer as it was read, without half surrogate pairs.
    body: Any = io.BytesIO(json.dumps(response.json()).encode())
    return Bindings(QueryResult((body, JSON))).bindings
