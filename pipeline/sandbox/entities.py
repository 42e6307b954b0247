"""Europeana's concepts in the rendered museum: which AAT concept each matches, and how closely."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.sandbox.catalogue import LANGUAGES, words
from pipeline.sandbox.data import read_toml
from pipeline.sandbox.museum import ENTITY_CONTEXT

BASE = "http://data.europeana.eu/concept/"
AAT = "http://vocab.getty.edu/aat/"


@dataclass(frozen=True)
class Entity:
    """One Europeana concept. Numbers from 900001 are invented for this museum, the others are Europeana's own."""

    number: int
    exact: tuple[str, ...] = ()  # AAT ids
    close: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)  # by language, where no AAT concept gives them
    more_labels: dict[str, str] = field(default_factory=dict)  # alternative labels by language

    @property
    def uri(self) -> str:
        """The newer spelling."""
        return f"{BASE}{self.number}"

    @property
    def words(self) -> dict[str, str]:
        """Its preferred labels by language: those of the first AAT concept that it matches."""
        return self.labels or words()[(*self.exact, *self.close)[0]]


_FILE = read_toml(Path(__file__).with_name("entities.toml"))
GROUPS = {name: Entity(**row) for name, row in _FILE["groups"].items()}
TWINS = {concept: Entity(number, (concept,)) for concept, number in _FILE["twins"].items()}
ALWAYS_BY_TWIN: tuple[str, ...] = _FILE["always_by_twin"]
MUSIC, MIDDLE_AGES, FOLK_TRADITION = (
    Entity(**_FILE["others"][name]) for name in ("music", "middle_ages", "folk_tradition")
)


def all_entities() -> list[dict[str, Any]]:
    """Every entity as the Entity API gives it, by number."""
    entities = (*GROUPS.values(), *TWINS.values(), MUSIC, MIDDLE_AGES, FOLK_TRADITION)
    return [_json(entity) for entity in sorted(entities, key=lambda entity: entity.number)]


def _json(entity: Entity) -> dict[str, Any]:
    labels = {language: entity.words[language] for language in LANGUAGES if language in entity.words}
    body: dict[str, Any] = {
        "@context": ENTITY_CONTEXT,
        "id": entity.uri,
        "type": "Concept",
        "prefLabel": {language: text[0].upper() + text[1:] for language, text in sorted(labels.items())},
        "altLabel": {language: [text] for language, text in entity.more_labels.items()},
        "exactMatch": [AAT + concept for concept in entity.exact],
        "closeMatch": [AAT + concept for concept in entity.close],
    }
    return {name: value for name, value in body.items() if value}
