"""The four trees a cataloguer walks: terms with labels in every language, parents, children and paths."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import FACETS

LANGUAGES = ("ca", "es", "en", "de", "nl", "fr")
AAT = "http://vocab.getty.edu/aat/"  # an identifier: it stays http


class VocabularyError(ValueError):
    """The tag list or the thesaurus cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label as shown: `language` differs from the asked one when it is a fallback, and is None for a bare id."""

    text: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Term:
    """One AAT concept under a facet. `parents` are terms of the same facet, the preferred one first; () at the top."""

    tag_id: str
    facet: str
    parents: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    alt_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scope_notes: Mapping[str, str] = field(default_factory=dict)
    in_model: bool = False
    n_train: int = 0

    @property
    def uri(self) -> str:
        """The concept's URI, an identifier and not an address to fetch."""
        return AAT + self.tag_id

    def label(self, language: str) -> Label:
        """The label in the asked language, else English, else any (by language code), else `aat:ID`."""
        for candidate in (language, "en", *sorted(self.labels)):
            if self.labels.get(candidate):
                return Label(self.labels[candidate], candidate)
        return Label(f"aat:{self.tag_id}", None)


class Vocabulary:
    """Terms by id, and how they hang together; parents that are no term of the same facet are refused."""

    def __init__(self, terms: Iterable[Term]):
        self.terms = {term.tag_id: term for term in sorted(terms, key=lambda term: term.tag_id)}
        self._children: dict[str, list[str]] = {}
        self._roots: dict[str, list[str]] = {facet: [] for facet in FACETS}
        for term in self.terms.values():
            self._hang(term)

    def _hang(self, term: Term) -> None:
        if term.facet not in self._roots:
            raise VocabularyError(f"Tag {term.tag_id} has the facet {term.facet!r}, which is none of {FACETS}.")
        for parent in term.parents:
            above = self.terms.get(parent)
            if above is None or above.facet != term.facet or parent == term.tag_id:
                raise VocabularyError(f"Tag {term.tag_id} has the parent {parent}, which is no tag of {term.facet}.")
        if term.parents:
            self._children.setdefault(term.parents[0], []).append(term.tag_id)
        else:
            self._roots[term.facet].append(term.tag_id)

    def __contains__(self, tag_id: object) -> bool:
        return tag_id in self.terms

    def __len__(self) -> int:
        return len(self.terms)

    def roots(self, facet: str) -> list[str]:
        """The tags at the top of a facet, by id."""
        return self._roots[facet]

    def children(self, tag_id: str) -> list[str]:
        """The tags shown below a tag, by id: those whose preferred parent it is."""
        return self._children.get(tag_id, [])

    def siblings(self, tag_id: str) -> list[str]:
        """The tags of the same level, itself included, by id."""
        term = self.terms[tag_id]
        return self.children(term.parents[0]) if term.parents else self.roots(term.facet)

    def path(self, tag_id: str) -> list[str]:
        """From the top of the facet down to the tag itself, along preferred parents."""
        path, seen = [tag_id], {tag_id}
        while parents := self.terms[path[-1]].parents:
            if parents[0] in seen:
                raise VocabularyError(f"The preferred parents of {tag_id} run in a circle through {parents[0]}.")
            path.append(parents[0])
            seen.add(parents[0])
        return path[::-1]

    def ancestors(self, tag_id: str) -> list[str]:
        """Every tag above, through all parents, nearest first. Circles of the AAT end where they close."""
        found: dict[str, None] = {}
        front = [tag_id]
        while front:
            parents = [parent for tag in front for parent in self.terms[tag].parents]
            front = [tag for tag in dict.fromkeys(parents) if tag != tag_id and tag not in found]
            found.update(dict.fromkeys(front))
        return list(found)

    def coverage(self) -> dict[str, int]:
        """How many of the terms have a preferred label of their own in each language."""
        return {language: sum(1 for term in self.terms.values() if term.labels.get(language)) for language in LANGUAGES}


def read_tag_list(file: Path) -> tuple[dict[str, list[str]], list[Term]]:
    """The models' tag order per facet, and the terms, from a dataset's `tag_list.json`.

    A parent that is not in the list is replaced by the nearest ancestor on the path that is.
    """
    try:
        facets = json.loads(file.read_text(encoding="utf-8"))["facets"]
    except FileNotFoundError as error:
        raise VocabularyError(f"{file} is not there; run `make demo`, or give another --storage.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VocabularyError(f"{file} is no tag list ({error}); write it again with the asset `dataset`.") from error
    order = {facet: [row["tag_id"] for row in facets.get(facet, [])] for facet in FACETS}
    terms = [_term(row, facet, set(order[facet])) for facet in FACETS for row in facets.get(facet, [])]
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


def widened(tags: Iterable[Term], wider: Iterable[Term]) -> Vocabulary:
    """The models' tags inside a wider thesaurus: its structure, notes and synonyms, the tags' own counts and labels."""
    listed = {term.tag_id: term for term in tags}
    merged = {term.tag_id: term for term in wider}
    for tag_id, tag in listed.items():
        known = merged.get(tag_id)
        if known is None or known.facet != tag.facet:
            merged[tag_id] = tag
            continue
        merged[tag_id] = replace(known, labels={**known.labels, **tag.labels}, in_model=True, n_train=tag.n_train)
    return Vocabulary(_held(term, merged) for term in merged.values())


def _held(term: Term, terms: Mapping[str, Term]) -> Term:
    """The term with only those parents that are terms of its facet."""
    parents = tuple(p for p in term.parents if p in terms and terms[p].facet == term.facet)
    return term if parents == term.parents else replace(term, parents=parents)
