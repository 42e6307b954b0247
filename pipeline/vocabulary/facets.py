"""The facet of each concept: by its root in the AAT, then by the experts' rules file; each rule's effect is counted."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import polars as pl

from pipeline.facets import FACET_OF, FACETS, default_roots
from pipeline.tables import RULE_EFFECTS
from pipeline.text_files import read_text
from pipeline.vocabulary.identifiers import NotAnAatId, checked_ids
from pipeline.vocabulary.thesaurus import Thesaurus

# What a rule may do, with the keys it needs beside `reason`.
ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cut": ("id",),  # the concept alone is no tag; what stands below it stays
        "exclude": ("id",),  # the concept and what stands below it are no tags
        "include": ("id", "facet"),  # it and what stands below it, where the roots give no facet
        "reassign": ("id", "facet"),  # it and what stands below it, whatever the roots say
        "subject": ("id",),  # in a facet of listed concepts, exactly these are tags
        "heading": ("label_begins",),  # concepts with such an English label are no tags; what stands below stays
    }
)
_OPTIONAL = ("label",)


class RulesError(ValueError):
    """A rules file that cannot be used; the message names the file, the line and what to write instead."""


@dataclass(frozen=True)
class Rule:
    """One entry of the rules file."""

    action: str
    reason: str
    concept_id: str | None = None
    label: str | None = None  # for the reader of the file; checked against the thesaurus
    facet: str | None = None
    label_begins: str | None = None
    line: int = 0

    @property
    def name(self) -> str:
        """How reports call it, such as `cut 300010358 materials (substances)`."""
        return " ".join(part for part in (self.action, self.concept_id, self.label, self.label_begins) if part)


@dataclass(frozen=True)
class Rules:
    """A checked rules file: `roots` maps each facet to its root in the AAT, in the order in which they are tested."""

    roots: Mapping[str, str]
    rules: tuple[Rule, ...]

    def of(self, action: str) -> dict[str, Rule]:
        """The rules with this action, by concept id."""
        return {rule.concept_id: rule for rule in self.rules if rule.action == action and rule.concept_id}


def load_rules(file: Path) -> Rules:
    """Read and check a rules file; without `[roots]` the facets have their default roots. Raises RulesError."""
    text = read_text(file, RulesError)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{file.name} is not TOML: {error}.") from error
    roots = content.pop("roots", default_roots())
    lines = _Lines(file.name, text)
    rules = [
        _rule(action, entry, lines.of_entry(action, number), file.name)
        for action, entries in content.items()
        for number, entry in enumerate(lines.entries(action, entries))
    ]
    rules.sort(key=lambda rule: rule.line)
    _refuse_repetition(rules, file.name)
    return Rules(MappingProxyType(_roots(roots, lines)), tuple(rules))


def assign_facets(concepts: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The rows of `concepts` with their facet, by id.

    The facet of a concept is null when it is no tag: outside the roots, cut, excluded, or a subject that is not among
    the listed ones. Guide terms, hierarchies and facets keep the facet that they stand in, so that a record stating
    one can be given the tag above it. The roots are tested in the order of the file along the preferred path.
    Raises CyclicThesaurus.
    """
    placed = place(Thesaurus(concepts), rules)
    ids = concepts["concept_id"].to_list()
    facets = [placed[each].facet for each in ids]
    return concepts.with_columns(pl.Series("facet", facets, dtype=pl.String))


def rule_effects(concepts: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """One row per rule: rule, action, concept_id, reason, n_concepts (how many it decided), problem (or null).

    `problem` says that the rule met nothing in these concepts, or that the label in the file is not the thesaurus's.
    """
    thesaurus = Thesaurus(concepts)
    decided = Counter(placement.rule.name for placement in place(thesaurus, rules).values() if placement.rule)
    rows: list[dict[str, object]] = [
        {
            "rule": rule.name,
            "action": rule.action,
            "concept_id": rule.concept_id,
            "reason": rule.reason,
            "n_concepts": decided[rule.name],
            "problem": _problem(rule, decided, thesaurus),
        }
        for rule in rules.rules
    ]
    return RULE_EFFECTS.frame(rows)


@dataclass(frozen=True)
class Placement:
    """Where a subject of the AAT falls: its facet (or null), and the rule that decided it (or null)."""

    facet: str | None
    rule: Rule | None


def place(thesaurus: Thesaurus, rules: Rules) -> dict[str, Placement]:
    """The placement of every subject."""
    by_root = {root: facet for facet, root in rules.roots.items()}
    order = {facet: position for position, facet in enumerate(rules.roots)}
    cut, excluded = rules.of("cut"), rules.of("exclude")
    included, reassigned, listed = rules.of("include"), rules.of("reassign"), rules.of("subject")
    headings = [(rule.label_begins, rule) for rule in rules.rules if rule.label_begins]

    def placed(concept_id: str) -> Placement:
        upwards = [concept_id, *thesaurus.preferred_ancestors(concept_id)]
        for table in (cut if concept_id in cut else {}, excluded):
            if rule := next((table[each] for each in upwards if each in table), None):
                return Placement(None, rule)
        label = thesaurus.label(concept_id, "en").text if headings else ""
        if rule := next((rule for begins, rule in headings if label.startswith(begins)), None):
            return Placement(None, rule)
        if rule := next((reassigned[each] for each in upwards if each in reassigned), None):
            return Placement(rule.facet, rule)
        facets = [by_root[each] for each in upwards if each in by_root]
        facet = min(facets, key=order.__getitem__, default=None)
        if facet is None:
            rule = next((included[each] for each in upwards if each in included), None)
            return Placement(rule.facet if rule else None, rule)
        if FACET_OF[facet].only_listed and listed and thesaurus.kinds[concept_id] == "concept":
            return Placement(facet if concept_id in listed else None, listed.get(concept_id))
        return Placement(facet, None)

    return {concept_id: placed(concept_id) for concept_id in thesaurus.kinds}


def _problem(rule: Rule, decided: Mapping[str, int], thesaurus: Thesaurus) -> str | None:
    if rule.concept_id is None or rule.concept_id not in thesaurus.kinds:
        return None if decided[rule.name] else "met nothing: no record reaches such a concept"
    if not decided[rule.name]:
        return "met nothing: another rule or the roots decide every concept it names"
    label = thesaurus.label(rule.concept_id, "en")
    if rule.label and label.fallback is None and _bare(label.text) != _bare(rule.label):
        return f"the thesaurus calls it {label.text!r}, the rules file {rule.label!r}"
    return None


def _bare(label: str) -> str:
    """The term without qualifier, brackets and case; dumps differ in these."""
    return re.sub(r"\s*\(.*\)$", "", label).strip("<>").lower()


def _roots(roots: object, lines: "_Lines") -> dict[str, str]:
    if not isinstance(roots, dict) or set(roots) != set(FACETS):
        raise RulesError(f"{lines.file}: line {lines.of('roots')}: [roots] must name {', '.join(FACETS)}, each once.")
    for facet, root in roots.items():
        try:
            checked_ids([str(root)])
        except NotAnAatId as error:
            raise RulesError(f"{lines.file}: line {lines.of(facet)}: root of {facet}: {error}") from error
    return {facet: str(root) for facet, root in roots.items()}


def _rule(action: str, entry: Mapping[str, object], line: int, file: str) -> Rule:
    where = f"{file}: line {line}: [[{action}]]"
    needed = (*ACTIONS[action], "reason")
    for key in needed:
        if not isinstance(entry.get(key), str) or not str(entry[key]).strip():
            raise RulesError(f"{where} needs {key!r}, a text in quotes.")
    if unknown := sorted(set(entry) - {*needed, *_OPTIONAL}):
        raise RulesError(f"{where} has the unknown key {unknown[0]!r}; it takes {', '.join((*needed, *_OPTIONAL))}.")
    try:
        checked_ids([str(entry["id"])] if "id" in needed else [])
    except NotAnAatId as error:
        raise RulesError(f"{where} {error}") from error
    facet = entry.get("facet")
    if facet is not None and facet not in FACETS:
        raise RulesError(f"{where} names the facet {facet!r}; there are {', '.join(FACETS)}.")
    texts = {key: str(entry[key]) for key in ("label", "facet", "label_begins") if key in entry}
    return Rule(action, str(entry["reason"]), str(entry["id"]) if "id" in needed else None, line=line, **texts)


def _refuse_repetition(rules: list[Rule], file: str) -> None:
    """One concept, one rule: two would hide each other."""
    first: dict[str, Rule] = {}
    for rule in rules:
        subject = rule.concept_id or f"{rule.label_begins!r}"
        earlier = first.setdefault(subject, rule)
        if earlier is not rule:
            raise RulesError(
                f"{file}: line {rule.line}: {subject} has a rule already, in line {earlier.line}; keep one."
            )


class _Lines:
    """Where the entries of a TOML text begin; the parser does not tell."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.splitlines()

    def of(self, name: str) -> int:
        """The first line that defines this table or key, 1 when none does."""
        pattern = re.compile(rf"\s*(?:\[+\s*{re.escape(name)}\s*\]+|{re.escape(name)}\s*=)")
        return next((number for number, line in enumerate(self.lines, 1) if pattern.match(line)), 1)

    def of_entry(self, action: str, index: int) -> int:
        """The line of the n-th `[[action]]`."""
        pattern = re.compile(rf"\s*\[\[\s*{re.escape(action)}\s*\]\]")
        numbers = [number for number, line in enumerate(self.lines, 1) if pattern.match(line)]
        return numbers[index] if index < len(numbers) else self.of(action)

    def entries(self, action: str, entries: object) -> list[Mapping[str, object]]:
        """The entries of `[[action]]`; raises RulesError for an unknown action or a wrong shape."""
        where = f"{self.file}: line {self.of(action)}:"
        if action not in ACTIONS:
            raise RulesError(f"{where} {action!r} is no kind of rule; there are roots, {', '.join(ACTIONS)}.")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise RulesError(f"{where} write each rule as [[{action}]] with its keys below.")
        return entries
