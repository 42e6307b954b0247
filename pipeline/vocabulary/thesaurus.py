"""The thesaurus as a graph by id: checks, the tree by preferred parent, ancestors, labels with fallback."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl


class CyclicThesaurus(ValueError):
    """The preferred parents run in a circle, so there is no tree; the message names the ids."""


@dataclass(frozen=True)
class Label:
    """A label for people; `fallback` says where it came from when the asked language has none."""

    text: str
    language: str | None
    fallback: str | None  # None, en, record, any or id


@dataclass(frozen=True)
class Report:
    """What the checks of a thesaurus found; every list is sorted."""

    n_subjects: int
    n_by_kind: dict[str, int]
    n_several_parents: int
    orphans: list[str]  # no preferred parent, though neither a facet nor obsolete
    missing_parents: list[tuple[str, str]]  # child, parent that has no row
    cycles: list[list[str]]  # ids that reach each other through all parents
    cut: list[tuple[str, str]]  # child, parent: the links left out to break these cycles
    unlabelled: list[str]


class Thesaurus:
    """The rows of `concepts` as a graph. Raises CyclicThesaurus."""

    def __init__(self, concepts: pl.DataFrame) -> None:
        rows = concepts.sort("concept_id").select(
            "concept_id", "kind", "preferred_parent", "parents", "labels", "replaced_by"
        )
        self.kinds: dict[str, str] = {}
        self.preferred: dict[str, str] = {}
        self.replaced_by: dict[str, str] = {}
        self._stated: dict[str, list[str]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        for concept_id, kind, preferred, parents, labels, replaced_by in rows.iter_rows():
            self.kinds[concept_id] = kind
            self._stated[concept_id] = parents or []
            self._labels[concept_id] = labels_by_language(labels)
            if preferred is not None:
                self.preferred[concept_id] = preferred
            if replaced_by is not None:
                self.replaced_by[concept_id] = replaced_by
        _refuse_circles(self.preferred)
        self.cycles, self.cut = _break_cycles(self._known_parents(), self.preferred)

    def _known_parents(self) -> dict[str, list[str]]:
        return {child: [each for each in parents if each in self.kinds] for child, parents in self._stated.items()}

    @cached_property
    def parents(self) -> dict[str, tuple[str, ...]]:
        """Every parent that has a row, without the links cut to break cycles."""
        cut = set(self.cut)
        return {
            child: tuple(parent for parent in parents if (child, parent) not in cut)
            for child, parents in self._known_parents().items()
        }

    def preferred_ancestors(self, concept_id: str) -> Iterator[str]:
        """What stands above by preferred parent, nearest first, up to the facet; every kind of subject."""
        above = self.preferred.get(concept_id)
        while above is not None and above in self.kinds:
            yield above
            above = self.preferred.get(above)

    def ancestors(self, concept_id: str) -> set[str]:
        """What stands above through any parent."""
        higher: set[str] = set()
        waiting = list(self.parents.get(concept_id, ()))
        while waiting:
            above = waiting.pop()
            if above not in higher:
                higher.add(above)
                waiting.extend(self.parents[above])
        return higher

    def path(self, concept_id: str) -> list[str]:
        """The concepts from the top down to this one, by preferred parent.

        Guide terms, hierarchies and facets are left out.
        """
        upwards = [above for above in self.preferred_ancestors(concept_id) if self.kinds[above] == "concept"]
        return [*reversed(upwards), concept_id]

    def current(self, concept_id: str) -> str | None:
        """The id that stands for this one today: itself, or what replaces it; None when nothing does."""
        seen = {concept_id}
        while self.kinds.get(concept_id) == "obsolete" or concept_id in self.replaced_by:
            following = self.replaced_by.get(concept_id)
            if following is None or following in seen:
                return None
            seen.add(following)
            concept_id = following
        return concept_id if concept_id in self.kinds else None

    def label(self, concept_id: str, language: str, record_label: str | None = None) -> Label:
        """The label in the asked language, else en, the record's own, any language, `aat:ID` (protocol, section 2)."""
        return fallback_label(self._labels.get(concept_id, {}), concept_id, language, record_label)

    @cached_property
    def report(self) -> Report:
        """The checks, with counts."""
        kinds = sorted(self.kinds.values())
        return Report(
            n_subjects=len(self.kinds),
            n_by_kind={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            n_several_parents=sum(len(parents) > 1 for parents in self._stated.values()),
            orphans=[
                each
                for each, kind in self.kinds.items()
                if each not in self.preferred and kind not in ("facet", "obsolete")
            ],
            missing_parents=[
                (child, parent)
                for child, parents in self._stated.items()
                for parent in parents
                if parent not in self.kinds
            ],
            cycles=self.cycles,
            cut=self.cut,
            unlabelled=[each for each, labels in self._labels.items() if not labels],
        )


def graph_checks(concepts: pl.DataFrame) -> pl.DataFrame:
    """The checks of a thesaurus, one a row: check, n, examples."""
    report = Thesaurus(concepts).report
    listed = {
        "orphans: no preferred parent, though neither facet nor obsolete": report.orphans,
        "parents that have no row": [f"{child} < {parent}" for child, parent in report.missing_parents],
        "cycles through other parents": [" ↔ ".join(cycle) for cycle in report.cycles],
        "links cut to break them": [f"{child} < {parent}" for child, parent in report.cut],
        "without any label": report.unlabelled,
    }
    rows = [(f"kind {kind}", number, "") for kind, number in report.n_by_kind.items()]
    rows.append(("with several parents", report.n_several_parents, ""))
    rows += [(check, len(found_here), ", ".join(found_here[:5])) for check, found_here in listed.items()]
    return pl.DataFrame(rows, schema={"check": pl.String, "n": pl.Int64, "examples": pl.String}, orient="row")


def fallback_label(labels: Mapping[str, str], concept_id: str, language: str, record_label: str | None = None) -> Label:
    """One label out of {language: text}: asked language, en, the record's, any language, `aat:ID`, and which it was.

    A regional form (en-gb) stands in for its language (en).
    """
    for asked, fallback in ((language, None), ("en", "en")):
        if spelling := _in_language(labels, asked):
            return Label(labels[spelling], spelling, fallback)
    if record_label:
        return Label(record_label, None, "record")
    if labels:
        first = min(labels)
        return Label(labels[first], first, "any")
    return Label(f"aat:{concept_id}", None, "id")


def _in_language(labels: Mapping[str, str], language: str) -> str | None:
    if language in labels:
        return language
    return min((each for each in labels if each.startswith(f"{language}-")), default=None)


def labels_by_language(labels: Iterable[dict[str, str]] | None) -> dict[str, str]:
    """One label per language, the first in the table's order (language, then text)."""
    first: dict[str, str] = {}
    for label in labels or ():
        first.setdefault(label["language"], label["text"])
    return first


def _refuse_circles(preferred: Mapping[str, str]) -> None:
    """Walk up from every id; an id met twice on one walk closes a circle."""
    finished: set[str] = set()
    for start in preferred:
        walk: dict[str, None] = {}
        here: str | None = start
        while here is not None and here not in finished and here not in walk:
            walk[here] = None
            here = preferred.get(here)
        if here is not None and here in walk:
            ids = list(walk)
            circle = ids[ids.index(here) :]
            raise CyclicThesaurus(
                f"The preferred parents run in a circle: {' -> '.join([*circle, here])}; "
                "correct gvp:broaderPreferred of one of these subjects in the dump."
            )
        finished.update(walk)


def _break_cycles(
    parents: Mapping[str, list[str]], preferred: Mapping[str, str]
) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """The cycles through all parents, and the links whose removal breaks them.

    In each cycle the preferred links stay; the others are added in (child, parent) order unless they close a cycle, and
    are cut if they do. So the result depends only on the data.
    """
    cycles = sorted(sorted(group) for group in _strongly_connected(parents) if len(group) > 1)
    cycles += [[each] for each in parents if each in parents[each]]
    cut: list[tuple[str, str]] = []
    for group in sorted(cycles):
        inside = set(group)
        kept: dict[str, list[str]] = {each: [] for each in group}
        links = [(child, parent) for child in group for parent in sorted(parents[child]) if parent in inside]
        for child, parent in sorted(links, key=lambda link: (preferred.get(link[0]) != link[1], link)):
            if child == parent or _reaches(kept, parent, child):
                cut.append((child, parent))
            else:
                kept[child].append(parent)
    return sorted(cycles), sorted(set(cut))


def _reaches(parents: Mapping[str, list[str]], start: str, goal: str) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        new = [above for above in parents[here] if above not in seen]
        seen.update(new)
        waiting.extend(new)
    return False


def _strongly_connected(parents: Mapping[str, list[str]]) -> Iterable[list[str]]:
    """The ids in groups that reach each other."""
    # Imported here, because Dagster's definitions import this module and should load quickly.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = {concept_id: row for row, concept_id in enumerate(parents)}
    links = [(number[child], number[parent]) for child, above in parents.items() for parent in above]
    places = np.array(links, np.int32).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links), np.int8), tuple(places)), shape=(len(number), len(number)))
    groups: dict[int, list[str]] = {}
    for concept_id, component in zip(parents, connected_components(graph, connection="strong")[1], strict=True):
        groups.setdefault(component, []).append(concept_id)
    return groups.values()
