"""The trees of the facets: terms with labels in every language, parents, children and paths."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import FACETS
from pipeline.vocabulary.identifiers import tag_uri

LANGUAGES = ("ca", "es", "en", "de", "nl", "fr")
AAT = "http://vocab.getty.edu/aat/"  # an identifier, therefore http


class VocabularyError(ValueError):
    """The tag list or the thesaurus cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label with its language, which differs from the requested one for a fallback; None for a bare id."""

    text: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Term:
    """An AAT concept in a facet. `parents` are terms of the same facet, the preferred one first; () at the top."""

    tag_id: str
    facet: str
    parents: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    alt_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scope_notes: Mapping[str, str] = field(default_factory=dict)
    in_model: bool = False
    n_train: int = 0
    aat_id: str | None = None  # of a tag of the published files, whose own id is its path

    @property
    def uri(self) -> str:
        """The concept's URI; of a published tag that is aligned with none, a name of its own."""
        return tag_uri(self.aat_id or self.tag_id)

    def label(self, language: str) -> Label:
        """The label in this language, otherwise in English, then in any language by its code, then `aat:ID`."""
        for candidate in (language, "en", *sorted(self.labels)):
            if self.labels.get(candidate):
                return Label(self.labels[candidate], candidate)
        return Label(f"aat:{self.tag_id}", None)


class Vocabulary:
    """The terms by id with their relations. Raises VocabularyError for a parent that is not a term of the facet.

    `facets`: the facets that have a tree, which may be fewer than the code knows: those of the tag list.
    """

    def __init__(self, terms: Iterable[Term], facets: Sequence[str] = FACETS):
        self.facets = tuple(facets)
        self.terms = {term.tag_id: term for term in sorted(terms, key=lambda term: term.tag_id)}
        self._children: dict[str, list[str]] = {}
        self._roots: dict[str, list[str]] = {facet: [] for facet in self.facets}
        for term in self.terms.values():
            self._add(term)

    def _add(self, term: Term) -> None:
        if term.facet not in self._roots:
            raise VocabularyError(f"Tag {term.tag_id} has the facet {term.facet!r}, which is none of {self.facets}.")
        for parent in term.parents:
            above = self.terms.get(parent)
            if above is None or above.facet != term.facet or parent == term.tag_id:
                raise VocabularyError(f"Tag {term.tag_id} has the parent {parent}, which is not a tag of {term.facet}.")
        if term.parents:
            self._children.setdefault(term.parents[0], []).append(term.tag_id)
        else:
            self._roots[term.facet].append(term.tag_id)

    def __contains__(self, tag_id: object) -> bool:
        return tag_id in self.terms

    def __len__(self) -> int:
        return len(self.terms)

    def roots(self, facet: str) -> list[str]:
        """The top tags of a facet, by id."""
        return self._roots[facet]

    def children(self, tag_id: str) -> list[str]:
        """The tags whose preferred parent this is, by id."""
        return self._children.get(tag_id, [])

    def path(self, tag_id: str) -> list[str]:
        """The tags from the top of the facet to the tag itself, along preferred parents."""
        path, seen = [tag_id], {tag_id}
        while parents := self.terms[path[-1]].parents:
            if parents[0] in seen:
                raise VocabularyError(f"The preferred parents of {tag_id} form a cycle through {parents[0]}.")
            path.append(parents[0])
            seen.add(parents[0])
        return path[::-1]

    def ancestors(self, tag_id: str) -> list[str]:
        """All tags above, through all parents, nearest first. A cycle of the AAT ends where it closes."""
        found: dict[str, None] = {}
        front = [tag_id]
        while front:
            parents = [parent for tag in front for parent in self.terms[tag].parents]
            front = [tag for tag in dict.fromkeys(parents) if tag != tag_id and tag not in found]
            found.update(dict.fromkeys(front))
        return list(found)

    def coverage(self) -> dict[str, int]:
        """The number of terms with a preferred label, per language."""
        return {language: sum(1 for term in self.terms.values() if term.labels.get(language)) for language in LANGUAGES}


def read_tag_list(file: Path) -> tuple[dict[str, list[str]], list[Term]]:
    """The tag order of every facet in a dataset's `tag_list.json`, and the terms. Raises VocabularyError.

    A parent that is not in the list is replaced by the nearest ancestor in it.
    """
    try:
        facets = json.loads(file.read_text(encoding="utf-8"))["facets"]
    except FileNotFoundError as error:
        raise VocabularyError(f"{file} does not exist: run `make demo`, or give another --storage.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VocabularyError(f"{file} is not a tag list ({error}): materialize the asset `dataset` again.") from error
    order = {facet: [row["tag_id"] for row in facets[facet]] for facet in FACETS if facet in facets}
    terms = [_term(row, facet, set(tags)) for facet, tags in order.items() for row in facets[facet]]
    return order, terms


def _term(row: dict, facet: str, listed: set[str]) -> Term:
    above = [tag for tag in row.get("path") or () if tag in listed and tag != row["tag_id"]]
    parent = row.get("parent") if row.get("parent") in listed else (above[-1] if above else None)
    labels = {language: text for language, text in sorted((row.get("labels") or {}).items()) if text}
    if not labels and row.get("label"):
        labels = {"en": row["label"]}
    return Term(
        tag_id=row["tag_id"],
        facet=facet,
        parents=(parent,) if parent else (),
        labels=labels,
        in_model=True,
        n_train=int(row.get("n_train") or 0),
    )


def with_alignment(
    tags: Iterable[Term], aligned: Mapping[str, str], thesaurus: Iterable[Term], facets: Sequence[str] = FACETS
) -> Vocabulary:
    """Tags of the published files at the places of their paths, with notes and synonyms of the concepts behind them.

    `aligned`: the AAT id of a tag, where it has one.
    """
    concepts = {term.tag_id: term for term in thesaurus}
    terms = []
    for each in tags:
        tag, known = each, concepts.get(aligned.get(each.tag_id, ""))
        if known is not None:
            tag = replace(tag, alt_labels=known.alt_labels, scope_notes=known.scope_notes)
        terms.append(replace(tag, aat_id=aligned.get(tag.tag_id)))
    return Vocabulary(terms, facets)


def with_full_thesaurus(tags: Iterable[Term], thesaurus: Iterable[Term], facets: Sequence[str] = FACETS) -> Vocabulary:
    """The models' tags inside a thesaurus: its structure, notes and synonyms, with the tags' own counts and labels."""
    merged = {term.tag_id: term for term in thesaurus if term.facet in facets}
    for tag in tags:
        known = merged.get(tag.tag_id)
        if known is None or known.facet != tag.facet:
            merged[tag.tag_id] = tag
        else:
            labels = {**known.labels, **tag.labels}
            merged[tag.tag_id] = replace(known, labels=labels, in_model=True, n_train=tag.n_train)
    for term in list(merged.values()):  # only parents of the same facet stay
        parents = (parent for parent in term.parents if parent in merged and merged[parent].facet == term.facet)
        merged[term.tag_id] = replace(term, parents=tuple(parents))
    return Vocabulary(merged.values(), facets)
