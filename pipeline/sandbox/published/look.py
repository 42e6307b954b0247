"""What a published row's picture shows, by its tags: the same tags look the same."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

from pipeline.published.format import OUTSIDE
from pipeline.sandbox.catalogue import DISCIPLINES, KINDS, MATERIALS, SUBJECTS, Kind, words
from pipeline.sandbox.drawing.materials import LOOKS
from pipeline.sandbox.drawing.photograph import Thing
from pipeline.sandbox.drawing.styles import Style
from pipeline.sandbox.providers import PROVIDERS

Labels = Mapping[str, Sequence[str]]  # the labels of a row's stated tags by facet, the last level of each
One = TypeVar("One")


@cache
def known_concepts() -> dict[str, dict[str, str]]:
    """The AAT ids of the rendered museum's words: by facet, then by label, Catalan or English after a `*`."""
    facets = {
        "object_types": [kind.concept for kind in KINDS],
        "materials": [*MATERIALS.values()],
        "classifications": [*DISCIPLINES.values()],
        "subjects": [*SUBJECTS.values()],
    }
    known: dict[str, dict[str, str]] = {}
    for facet, concepts in facets.items():
        of_facet = known.setdefault(facet, {})
        for concept in concepts:
            of_facet.setdefault(words()[concept]["ca"], concept)
            of_facet.setdefault(OUTSIDE + words()[concept]["en"], concept)
    return known


def thing_of(labels: Labels, seed: int) -> Thing:
    """What is photographed; `seed` tells individuals with the same tags apart."""
    objects, materials = labels.get("object_types", ()), labels.get("materials", ())
    named = objects[0] if objects else " ".join(materials)
    kind = _kind(named)
    thing = Thing(kind.shape, _material(materials), None, seed, technique=kind.technique)
    if kind.second:
        thing = replace(thing, second=_material(materials[1:]) if materials[1:] else _one_of(kind.second, named))
    if kind.scenes:
        thing = replace(thing, scene=_named(labels.get("subjects", ()), "subjects", SUBJECTS, [*kind.scenes]))
    disciplines = labels.get("classifications", ())
    if kind.motif_at and disciplines:
        motif = _named(disciplines, "classifications", DISCIPLINES, [*DISCIPLINES])
        thing = replace(thing, motif=motif, motif_at=kind.motif_at)
    return thing


def style_of(keeper: str) -> Style:
    """How a keeper photographs."""
    return _one_of(PROVIDERS, keeper).style


def _kind(label: str) -> Kind:
    concept = known_concepts()["object_types"].get(label)
    return next((kind for kind in KINDS if kind.concept == concept), None) or _one_of(KINDS, label)


def _material(labels: Sequence[str]) -> str:
    """The look of the first material."""
    looks = {name: concept for name, concept in MATERIALS.items() if name in LOOKS}
    return _named(labels, "materials", looks, [*looks])


def _named(labels: Sequence[str], facet: str, names: Mapping[str, str], others: Sequence[str]) -> str:
    """The name of what the first label stands for; where it is no word of the museum's, one of the others."""
    concept = known_concepts()[facet].get(labels[0]) if labels else None
    known = next((name for name, each in names.items() if each == concept), None)
    return known or _one_of(others, labels[0] if labels else "")


def _one_of(several: Sequence[One], text: str) -> One:
    """One of them, the same for the same text."""
    return several[zlib.crc32(text.encode()) % len(several)]
