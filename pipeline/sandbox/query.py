"""Europeana's query language, the part a harvester writes: words, phrases, fields, ranges, wildcards, AND OR NOT."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""\s+
    | (?P<open>\() | (?P<close>\))
    | (?P<not>-(?=[\w"(])|NOT\b|!)
    | (?P<and>AND\b|&&|\+(?=[\w"(])) | (?P<or>OR\b|\|\|)
    | (?P<field>(?!https?://)[A-Za-z_][\w.]*):(?=\S)
    | (?P<range>[\[{]\s*(?:"[^"]*"|\S+)\s+TO\s+(?:"[^"]*"|[^\s\]}]+)\s*[\]}])
    | (?P<phrase>"(?:[^"\\]|\\.)*")
    | (?P<word>(?:[^\s()"\\]|\\.)+)
    """,
    re.VERBOSE,
)
RANGE = re.compile(r'([\[{])\s*("[^"]*"|\S+)\s+TO\s+("[^"]*"|[^\s\]}]+)\s*([\]}])')
ESCAPED = re.compile(r"\\(.)")


class QueryError(ValueError):
    """Not a query that the search engine could parse."""


@dataclass(frozen=True)
class Everything:
    """`*` and `*:*`."""


@dataclass(frozen=True)
class Term:
    """A word, a phrase or a pattern with `*`, in one field or in all the text."""

    field: str | None
    text: str
    phrase: bool = False


@dataclass(frozen=True)
class Range:
    """`field:[low TO high}`; `*` leaves a side open."""

    field: str
    low: str
    high: str
    low_included: bool
    high_included: bool


@dataclass(frozen=True)
class All:
    """Every part must match."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Some:
    """One of the parts must match."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    """The part must not match."""

    part: "Node"


Node = Everything | Term | Range | All | Some | Not


@dataclass(frozen=True)
class Search:
    """What a search asks for, without paging; equal searches find the same records."""

    query: str = "*"
    refinements: tuple[str, ...] = ()  # qf
    reusability: tuple[str, ...] = ()
    thumbnail: bool | None = None
    media: bool | None = None
    sort: tuple[tuple[str, bool], ...] = ()  # (field, descending)


def parse(text: str) -> Node:
    """The query as a tree; words side by side are joined by AND (`q.op=AND`). Raises QueryError."""
    # api2 rewrites https in field values: the index holds http URIs only.
    tokens = _tokens(text.replace(":https://", ":http://"))
    node, rest = _any_of(tokens, 0, None)
    if rest != len(tokens):
        raise QueryError(f"unexpected {tokens[rest][1]!r}")
    return node


def parse_refinements(refinements: tuple[str, ...]) -> Node:
    """Several `qf`: the same field in two of them means OR, different fields AND (corelib, Query.FacetCollector)."""
    by_field: dict[str, list[Node]] = {}
    for refinement in refinements:
        name, colon, _ = refinement.partition(":")
        by_field.setdefault(name if colon else f"\0{refinement}", []).append(parse(refinement))
    return All(tuple(Some(tuple(nodes)) for nodes in by_field.values()))


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise QueryError(f"cannot read {text[at:]!r}")
        if match.lastgroup is not None:
            tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return tokens


def _any_of(tokens: list[tuple[str, str]], at: int, field: str | None) -> tuple[Node, int]:
    part, at = _all_of(tokens, at, field)
    parts = [part]
    while at < len(tokens) and tokens[at][0] == "or":
        part, at = _all_of(tokens, at + 1, field)
        parts.append(part)
    return (parts[0] if len(parts) == 1 else Some(tuple(parts))), at


def _all_of(tokens: list[tuple[str, str]], at: int, field: str | None) -> tuple[Node, int]:
    part, at = _one(tokens, at, field)
    parts = [part]
    while at < len(tokens) and tokens[at][0] not in ("or", "close"):
        if tokens[at][0] == "and":
            at += 1
        part, at = _one(tokens, at, field)
        parts.append(part)
    return (parts[0] if len(parts) == 1 else All(tuple(parts))), at


def _one(tokens: list[tuple[str, str]], at: int, field: str | None) -> tuple[Node, int]:
    if at >= len(tokens):
        raise QueryError("the query ends too early")
    kind, text = tokens[at]
    if kind == "and" and text == "+":
        return _one(tokens, at + 1, field)
    if kind == "not":
        part, at = _one(tokens, at + 1, field)
        return Not(part), at
    if kind == "open":
        part, at = _any_of(tokens, at + 1, field)
        if at >= len(tokens) or tokens[at][0] != "close":
            raise QueryError("a bracket is not closed")
        return part, at + 1
    if kind == "field":
        return _one(tokens, at + 1, text)
    if kind == "range":
        return _range(text, field), at + 1
    if kind == "phrase":
        return Term(field, ESCAPED.sub(r"\1", text[1:-1]), phrase=True), at + 1
    if kind == "word":
        if text in ("*", "*:*"):
            return (Everything() if field is None else Term(field, "*")), at + 1
        return Term(field, ESCAPED.sub(r"\1", text)), at + 1
    raise QueryError(f"unexpected {text!r}")


def _range(text: str, field: str | None) -> Range:
    match = RANGE.fullmatch(text)
    if match is None or field is None:
        raise QueryError(f"a range needs a field and two ends: {text!r}")
    return Range(field, match[2].strip('"'), match[3].strip('"'), match[1] == "[", match[4] == "]")
