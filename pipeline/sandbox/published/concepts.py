"""The concepts behind the published paths in the local museum: the AAT's own where it has the word, invented others."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.facets import FACET_OF
from pipeline.published.format import OUTSIDE
from pipeline.sandbox.entities import AAT, BASE
from pipeline.sandbox.excerpt import subject, triples
from pipeline.sandbox.museum import ENTITY_CONTEXT
from pipeline.sandbox.published.look import known_concepts

FIRST_INVENTED = 399_000_001  # the AAT has given no such ids
FIRST_ENTITY = 990_001
BY_ENTITY, WITH_CATALAN = 4, 3  # every so many of the concepts are linked by Europeana's own, have a Catalan label

Path = tuple[str, ...]


@dataclass(frozen=True)
class Concepts:
    """`ids`: the AAT id of each facet and path; `entities`: the number of Europeana's concept for some of the ids."""

    ids: dict[tuple[str, Path], str]
    entities: dict[str, int]

    def uri(self, facet: str, path: Path) -> str:
        """How records link to the concept of a path."""
        concept = self.ids[facet, path]
        return f"{BASE}{self.entities[concept]}" if concept in self.entities else AAT + concept

    def triples(self) -> Iterator[str]:
        """The excerpt of the AAT with the invented concepts under it, at the places of their paths."""
        lines = set(triples())
        for (facet, path), concept in self.ids.items():
            if int(concept) >= FIRST_INVENTED:
                above = self.ids[facet, path[:-1]] if len(path) > 1 else FACET_OF[facet].root
                lines.update(subject(_row(concept, above, path[-1])))
        yield from sorted(lines)

    def as_entities(self) -> Iterator[dict[str, Any]]:
        """Europeana's concepts as its Entity API gives them."""
        labels = {self.ids[key]: key[1][-1] for key in self.ids}
        for concept, number in sorted(self.entities.items(), key=lambda each: each[1]):
            name = {"en": _english(labels[concept])}
            yield {
                "@context": ENTITY_CONTEXT, "id": f"{BASE}{number}", "type": "Concept", "prefLabel": name,
                "exactMatch": [AAT + concept],
            }  # fmt: skip


def concepts_of(tags: pl.DataFrame) -> Concepts:
    """A concept for each facet and path of `published_tags`; of paths with the same word the first has the AAT's id."""
    ids: dict[tuple[str, Path], str] = {}
    entities: dict[str, int] = {}
    taken: set[str] = set()
    for facet, levels in tags.select("facet", "path").unique().sort("facet", "path").iter_rows():
        known = known_concepts()[facet].get(levels[-1])
        concept = known if known is not None and known not in taken else str(FIRST_INVENTED + len(ids))
        taken.add(concept)
        ids[facet, tuple(levels)] = concept
        if zlib.crc32(concept.encode()) % BY_ENTITY == 0:
            entities[concept] = FIRST_ENTITY + len(entities)
    return Concepts(ids, entities)


def _row(concept: str, above: str, label: str) -> dict[str, str]:
    """A row as the excerpt's table has it."""
    row = {"id": concept, "kind": "concept", "preferred_parent": above, "other_parents": "", "replaced_by": ""}
    row |= {"en": _english(label), "alt_en": ""}
    if not label.startswith(OUTSIDE) and zlib.crc32(concept.encode()) % WITH_CATALAN == 0:
        row["ca"] = label.replace("|", "/")
    return row


def _english(label: str) -> str:
    """An English label: the own one of what has no Catalan, else one that nobody takes for a translation."""
    text = label.replace("|", "/")
    return text.removeprefix(OUTSIDE) if text.startswith(OUTSIDE) else f"{text} in English"
