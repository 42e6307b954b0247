"""What is known about one subject of the AAT, however it was fetched, and its row in the table `concepts`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from pipeline.tables import CONCEPTS
from pipeline.vocabulary.identifiers import AAT

GVP = "http://vocab.getty.edu/ontology#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
SKOS_XL = "http://www.w3.org/2008/05/skos-xl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
REPLACED_BY = "http://purl.org/dc/terms/isReplacedBy"

TYPE = RDF + "type"
PREFERRED_PARENT = GVP + "broaderPreferred"
# Getty's endpoint infers gvp:broader; the archive explicit.zip states only the special kinds.
PARENT = frozenset(
    GVP + name
    for name in (
        "broader",
        "broaderPreferred",
        "broaderNonPreferred",
        "broaderGeneric",
        "broaderPartitive",
        "broaderInstantial",
    )
)
LINKS = PARENT | {REPLACED_BY}
# Each text is either a literal, or a node with the literal below it (skos-xl labels, scope notes).
LABEL = frozenset((SKOS + "prefLabel", SKOS_XL + "prefLabel", GVP + "prefLabelGVP"))
ALT_LABEL = frozenset((SKOS + "altLabel", SKOS_XL + "altLabel"))
SCOPE_NOTE = frozenset((SKOS + "scopeNote",))
TEXT_OF_NODE = frozenset((SKOS_XL + "literalForm", RDF + "value"))

URIS = LINKS | {TYPE}
PROPERTIES = URIS | LABEL | ALT_LABEL | SCOPE_NOTE

# The most special type decides; a subject of no more special type counts as a concept (protocol, section 2).
_KINDS = (
    ("facet", GVP + "Facet"),
    ("hierarchy", GVP + "Hierarchy"),
    ("guide_term", GVP + "GuideTerm"),
    ("obsolete", GVP + "ObsoleteSubject"),
)

Text = tuple[str, str]  # language tag in lower case (`def` for none), text


@dataclass
class Subject:
    """The statements about one subject; `add_uri` and `add_text` collect them in any order."""

    types: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    preferred_parents: set[str] = field(default_factory=set)
    replaced_by: set[str] = field(default_factory=set)
    labels: set[Text] = field(default_factory=set)
    alt_labels: set[Text] = field(default_factory=set)
    scope_notes: set[Text] = field(default_factory=set)

    def add_uri(self, predicate: str, uri: str) -> None:
        """One rdf:type of Getty's ontology, or one link to another subject of the AAT; other URIs are ignored."""
        if predicate == TYPE and uri.startswith(GVP):
            self.types.add(uri)
        elif predicate in LINKS and uri.startswith(AAT):
            concept_id = uri.removeprefix(AAT)
            (self.replaced_by if predicate == REPLACED_BY else self.parents).add(concept_id)
            if predicate == PREFERRED_PARENT:
                self.preferred_parents.add(concept_id)

    def add_text(self, predicate: str, language: str | None, text: str) -> None:
        """One label or scope note."""
        entry = ((language or "def").lower(), text)
        if predicate in LABEL:
            self.labels.add(entry)
        elif predicate in ALT_LABEL:
            self.alt_labels.add(entry)
        else:
            self.scope_notes.add(entry)

    @property
    def kind(self) -> str:
        """concept, guide_term, hierarchy, facet or obsolete."""
        return next((kind for kind, type_uri in _KINDS if type_uri in self.types), "concept")

    @property
    def exists(self) -> bool:
        """Whether it is a subject: the AAT's namespace also holds terms, notes and sources, without type or parent."""
        return bool(self.parents or self.types)

    @property
    def linked(self) -> list[str]:
        """The subjects that must be known too: every parent, and what replaces this one; sorted."""
        return sorted(self.parents | self.replaced_by)

    def to_json(self) -> dict[str, list[object]]:
        """The statements as sorted lists, for a cache."""
        return {name: sorted(values) for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, list[object]]) -> "Subject":
        """The inverse of `to_json`."""
        subject = cls()
        for name, values in stored.items():
            getattr(subject, name).update(tuple(value) if isinstance(value, list) else value for value in values)
        return subject


def with_ancestors(ids: Iterable[str], fetch: Callable[[list[str]], Mapping[str, Subject]]) -> dict[str, Subject]:
    """The subjects of these ids, of all that stand above them and of what replaces them, level by level.

    `fetch` answers the subjects it knows; an id that it does not know is left out. Ends on cyclic data too: every id
    is asked for once.
    """
    known: dict[str, Subject] = {}
    asked: set[str] = set()
    wanted = sorted(set(ids))
    while wanted:
        asked.update(wanted)
        fetched = fetch(wanted)
        known.update(fetched)
        wanted = sorted({above for subject in fetched.values() for above in subject.linked} - asked)
    return known


def concept_rows(subjects: Mapping[str, Subject]) -> pl.DataFrame:
    """The table `concepts` of these subjects, facet still null, sorted by id."""
    return CONCEPTS.frame(
        [
            {
                "concept_id": concept_id,
                "kind": subject.kind,
                "facet": None,
                # exactly one by the ontology; should there be two, the smaller id, and the other stays a parent
                "preferred_parent": min(subject.preferred_parents, default=None),
                "parents": sorted(subject.parents),
                "labels": _by_language(subject.labels),
                "label_sources": [],
                "alt_labels": _by_language(subject.alt_labels - subject.labels),
                "scope_note": _by_language(subject.scope_notes),
                "replaced_by": min(subject.replaced_by, default=None),
            }
            for concept_id, subject in sorted(subjects.items())
        ]
    )


def _by_language(texts: set[Text]) -> list[dict[str, str]]:
    return [{"language": language, "text": text} for language, text in sorted(texts)]
