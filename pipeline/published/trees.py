"""The published label trees, read and matched to AAT ids as far as labels and places in the tree allow."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipeline.published.format import OUTSIDE, PUBLISHED_FACETS, PublishedError
from pipeline.text_files import read_rows, read_text
from pipeline.vocabulary.facets import Rules
from pipeline.vocabulary.identifiers import aat_id
from pipeline.vocabulary.thesaurus import Thesaurus

# The facets that have a published tree, by the name of its file; the file of candidates uses these names too.
_FACET_OF_FILE = {facet.published: facet.key for facet in PUBLISHED_FACETS}
_DEBRIS = frozenset({"ELIMINAR"})  # "to be deleted", left in the published tree
_CANDIDATES = ("facet", "path", "aat_id", "score")  # columns
_INDENT = 4  # characters a level in anytree's rendering
_LINE = re.compile(r"(?P<indent>(?:│   |    )*)(?:├── |└── )(?P<label>.+)")

# Weights of one choice of ids for a whole tree. The candidates' scores run from 0.15 to 4.3.
CATALAN_LABEL = 4.0  # the id's own Catalan label is the node's
BELOW_PARENT = 1.5  # the id stands below its parent's id in the AAT
SURE_SCORE = 2.1  # the least score of the candidates that their makers call high
SMALL_FACET = 1_000  # concepts; among so few the one best candidate is hardly there by chance

# What a kept choice rests on.
SUPPORTS = ("label", "position", "score", "small_facet")


@dataclass
class Node:
    """A node of a published tree."""

    facet: str
    path: tuple[str, ...]
    line: int
    children: list["Node"] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name as written."""
        return self.path[-1]


@dataclass(frozen=True)
class Match:
    """What `match_published_trees` found.

    `matched`: facet, path, label, concept_id, how (one of SUPPORTS). `unmatched`, for a curator: facet, path,
    label, reason, candidate (the best id, or null), candidate_label. `coverage`: facet, n, n_matched, share.
    """

    matched: pl.DataFrame
    unmatched: pl.DataFrame
    coverage: pl.DataFrame


def read_tree(file: Path, facet: str) -> list[Node]:
    """The nodes at the top of a label file, anytree's rendering below a line `Root`. Raises PublishedError."""
    lines = read_text(file, PublishedError).splitlines()
    if not lines or lines[0].strip() != "Root":
        raise PublishedError(f"{file.name}: line 1 is not `Root`, so this is no published label tree.")
    tops: list[Node] = []
    open_nodes: list[Node] = []
    for number, line in enumerate(lines[1:], 2):
        branch = _LINE.fullmatch(line)
        depth = len(branch["indent"]) // _INDENT if branch else -1
        if not branch or depth > len(open_nodes):
            raise PublishedError(f"{file.name}: line {number} is no branch of the tree: {line!r}.")
        del open_nodes[depth:]
        above = open_nodes[-1].path if open_nodes else ()
        node = Node(facet, (*above, branch["label"]), number)
        (open_nodes[-1].children if open_nodes else tops).append(node)
        open_nodes.append(node)
    return tops


def read_trees(folder: Path) -> list[Node]:
    """The tops of all published trees, in the paper's order of facets."""
    return [top for name, facet in _FACET_OF_FILE.items() for top in read_tree(folder / f"{name}.txt", facet)]


def all_nodes(tops: Iterable[Node]) -> list[Node]:
    """Every node, parents before children, in the order of the file."""
    nodes: list[Node] = []
    for node in tops:
        nodes.append(node)
        nodes.extend(all_nodes(node.children))
    return nodes


def read_candidates(*files: Path) -> dict[tuple[str, tuple[str, ...]], dict[str, float]]:
    """Candidates of each node: {(facet, path): {AAT id: score}}, from the columns facet, path, aat_id, score.

    Of several files the last that names an id for a path gives its score.
    """
    candidates: dict[tuple[str, tuple[str, ...]], dict[str, float]] = {}
    lines = ((file, line) for file in files for line in read_rows(file, _CANDIDATES, PublishedError))
    for file, line in lines:
        row = line.fields
        if row["aat_id"] and row["facet"] in _FACET_OF_FILE:
            key = (_FACET_OF_FILE[row["facet"]], tuple(row["path"].split(" | ")))
            try:
                candidates.setdefault(key, {})[aat_id(row["aat_id"], bare=True) or row["aat_id"]] = float(row["score"])
            except ValueError as error:
                raise PublishedError(f"{file}: line {line.number}: {row['score']!r} is no score.") from error
    return candidates


def match_published_trees(
    tops: Sequence[Node],
    concepts: pl.DataFrame,
    rules: Rules,
    candidates: Mapping[tuple[str, tuple[str, ...]], Mapping[str, float]],
    catalan: pl.DataFrame,
) -> Match:
    """An AAT id for each node that labels and tree position support, and the rest for a curator.

    `concepts` are all subjects of the AAT; `catalan` has concept_id and text. Of each node's candidates (those given,
    ids with its Catalan label, for a leading `*` ids with that English label) only those in the node's facet count.
    The choice for a whole tree is the one with the largest sum of scores, agreement with the parent included (exact,
    by dynamic programming). A choice is kept when the label itself says so, when it stands below or above chosen
    neighbours in the AAT and no candidate of the same score does so too, or when no other candidate ties with it and
    its score is high or its facet small.
    """
    thesaurus = Thesaurus(concepts)
    choices = _Choices(thesaurus, rules, candidates, catalan)
    matched: list[tuple[object, ...]] = []
    unmatched: list[tuple[object, ...]] = []
    for top in tops:
        chosen = choices.best(top)
        for node in all_nodes([top]):
            choice, how = choices.judged(node, chosen)
            if how in SUPPORTS:
                matched.append((node.facet, list(node.path), node.label, choice, how))
            else:
                label = thesaurus.label(choice, "en").text if choice else None
                unmatched.append((node.facet, list(node.path), node.label, how, choice, label))
    matches = pl.DataFrame(matched, schema=_schema("concept_id", "how"), orient="row")
    left = pl.DataFrame(unmatched, schema=_schema("reason", "candidate", "candidate_label"), orient="row")
    return Match(matches, left, _coverage(matches, left))


class _Choices:
    """The candidates of each node with their weights, and the best choice for a tree."""

    def __init__(
        self,
        thesaurus: Thesaurus,
        rules: Rules,
        candidates: Mapping[tuple[str, tuple[str, ...]], Mapping[str, float]],
        catalan: pl.DataFrame,
    ) -> None:
        self._thesaurus = thesaurus
        self._rules = rules
        self._candidates = candidates
        self._by_label = {
            "ca": _index(catalan.select("text", "concept_id").iter_rows()),
            "en": _index((thesaurus.label(each, "en").text, each) for each in thesaurus.kinds),
        }
        self._above: dict[str, frozenset[str]] = {}
        self._n_in_facet = {
            facet: sum(self._in_facet(each, facet) for each in thesaurus.kinds) for facet in rules.roots
        }

    def of(self, node: Node) -> dict[str, float]:
        """The candidates of a node in its facet, with their scores."""
        scores = dict(self._candidates.get((node.facet, node.path), {}))
        for each in self.of_label(node):
            scores[each] = scores.get(each, 0.0) + CATALAN_LABEL
        return {each: score for each, score in sorted(scores.items()) if self._in_facet(each, node.facet)}

    def of_label(self, node: Node) -> list[str]:
        """The ids whose own label is the node's: Catalan, or English after a leading `*`."""
        language = "en" if node.label.startswith(OUTSIDE) else "ca"
        return self._by_label[language].get(_folded(node.label.removeprefix(OUTSIDE)), [])

    def below(self, lower: str, upper: str) -> bool:
        """Whether the first id stands below the second in the AAT, by any parents."""
        if lower not in self._above:
            self._above[lower] = frozenset(self._thesaurus.ancestors(lower))
        return upper in self._above[lower]

    def best(self, top: Node) -> dict[tuple[str, ...], str | None]:
        """The id of each node of the tree in the choice with the largest sum; ties go to the smaller id."""
        sums: dict[tuple[str, ...], dict[str | None, float]] = {}
        for node in reversed(all_nodes([top])):  # children before parents
            sums[node.path] = {
                choice: score + sum(self._best_child(child, choice, sums)[1] for child in node.children)
                for choice, score in [(None, 0.0), *self.of(node).items()]
            }
        chosen: dict[tuple[str, ...], str | None] = {top.path: _largest(sums[top.path])}
        for node in all_nodes([top]):
            for child in node.children:
                chosen[child.path] = self._best_child(child, chosen[node.path], sums)[0]
        return chosen

    def judged(self, node: Node, chosen: Mapping[tuple[str, ...], str | None]) -> tuple[str | None, str]:
        """The chosen id, and what supports it, of SUPPORTS; else why nothing does."""
        choice, options = chosen[node.path], self.of(node)
        if node.label in _DEBRIS:
            return None, "debris of the published tree"
        if choice is None:
            return None, "no candidate in its facet"
        if choice in self.of_label(node):
            return choice, "label"
        place = self._neighbours(node, chosen, choice)
        equal = [each for each, score in options.items() if score == options[choice]]
        if place and all(each == choice or self._neighbours(node, chosen, each) < place for each in equal):
            return choice, "position"
        ties = len(equal)
        if ties == 1 and options[choice] >= SURE_SCORE:
            return choice, "score"
        if ties == 1 and self._n_in_facet[node.facet] <= SMALL_FACET:
            return choice, "small_facet"
        return choice, "several candidates alike" if ties > 1 else "uncertain candidate"

    def _neighbours(self, node: Node, chosen: Mapping[tuple[str, ...], str | None], choice: str) -> int:
        """How many of the chosen neighbours stand above or below the id in the AAT, as they do in the tree."""
        above = chosen.get(node.path[:-1])
        below = [each for child in node.children if (each := chosen[child.path])]
        return bool(above and self.below(choice, above)) + sum(self.below(each, choice) for each in below)

    def _best_child(
        self, child: Node, above: str | None, sums: Mapping[tuple[str, ...], Mapping[str | None, float]]
    ) -> tuple[str | None, float]:
        with_place = {
            choice: score + (BELOW_PARENT if choice and above and self.below(choice, above) else 0.0)
            for choice, score in sums[child.path].items()
        }
        best = _largest(with_place)
        return best, with_place[best]

    def _in_facet(self, concept_id: str, facet: str) -> bool:
        if self._thesaurus.kinds.get(concept_id) != "concept":
            return False
        return self._rules.roots[facet] in self._thesaurus.preferred_ancestors(concept_id)


def _schema(*further: str) -> pl.Schema:
    """Facet, path and label of a node, then further texts."""
    return pl.Schema(
        {
            "facet": pl.String(),
            "path": pl.List(pl.String()),
            "label": pl.String(),
            **dict.fromkeys(further, pl.String()),
        }
    )


def _largest(sums: Mapping[str | None, float]) -> str | None:
    return min(sums, key=lambda choice: (-sums[choice], choice is None, choice or ""))


def _index(labels: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for text, concept_id in labels:
        ids = index.setdefault(_folded(text), [])
        if concept_id not in ids:
            ids.append(concept_id)
    return index


def _folded(label: str) -> str:
    """The bare term in lower case, without a qualifier."""
    return re.sub(r"\s*\(.*\)$", "", label).strip().lower()


def _coverage(matched: pl.DataFrame, unmatched: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for facet in _FACET_OF_FILE.values():
        hits, misses = matched.filter(facet=facet).height, unmatched.filter(facet=facet).height
        rows.append((facet, hits + misses, hits, hits / (hits + misses) if hits + misses else None))
    schema = {"facet": pl.String, "n": pl.Int64, "n_matched": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
