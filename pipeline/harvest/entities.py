"""Europeana's concepts, as the Entity API and the Record API write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CONCEPT = re.compile(r"https?://data\.europeana\.eu/concept/(?:base/)?(\d+)/?", re.I)


def europeana_concept(uri: str) -> str | None:
    """The newer spelling `concept/N` when the URI names a concept of Europeana (older: `concept/base/N`), else None."""
    match = _CONCEPT.fullmatch(uri.strip())
    return f"http://data.europeana.eu/concept/{match.group(1)}" if match else None


@dataclass(frozen=True)
class EntityConcept:
    """A concept with its labels and its matches in other vocabularies."""

    uri: str
    labels: Mapping[str, str]  # language to preferred label, the first where there are several
    exact_match: tuple[str, ...]
    close_match: tuple[str, ...]
    broader: tuple[str, ...] = ()


def read_concepts(answer: object) -> list[EntityConcept]:
    """The concepts of a response: a list, a result page with `items`, or one concept."""
    if isinstance(answer, Mapping) and "items" in answer:
        answer = answer["items"]
    entities = answer if isinstance(answer, list) else [answer]
    return [
        read_concept(entity)
        for entity in entities
        if isinstance(entity, Mapping) and entity.get("type", "Concept") == "Concept" and _uri(entity)
    ]


def read_concept(entity: Mapping[str, Any], uri: str | None = None) -> EntityConcept:
    """One concept; the Entity API calls its URI `id` and gives one label a language, the Record API `about` and lists.

    `uri` overrides the concept's own URI. Raises ValueError when there is none.
    """
    own_uri = uri or _uri(entity)
    if not own_uri:
        raise ValueError("a concept without `id` or `about`.")
    labels = {language: _first(texts) for language, texts in sorted((entity.get("prefLabel") or {}).items())}
    return EntityConcept(
        uri=own_uri,
        labels={language: text for language, text in labels.items() if text},
        exact_match=_links(entity.get("exactMatch")),
        close_match=_links(entity.get("closeMatch")),
        broader=_links(entity.get("broader")),
    )


def _uri(entity: Mapping[str, Any]) -> str | None:
    return entity.get("id") or entity.get("about")


def _first(texts: object) -> str:
    if isinstance(texts, list):
        return str(texts[0]) if texts else ""
    return str(texts or "")


def _links(value: object) -> tuple[str, ...]:
    """URIs of a property: a text, a list, or a language map of lists; in order, each once."""
    if isinstance(value, str):
        return (value,)
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return tuple(dict.fromkeys(uri for part in parts for uri in _links(part)))
