"""Europeana's query language, the part a harvester writes: words, phrases, fields, ranges, wildcards, AND OR NOT."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""\s+
    | (?P<open>\() | (?P<close>\))
    | (?P<not>-(?=[\w"(])|NOT\b|!)
    | (?P<and>AND\b|&&|\+(?=[\w"(])) | (?P<or>OR\b|\|\|)
    | (?P<field>(?!https?://)[A-Za-z_][\w.]*):(?=\S)
    | (?P<range>(?P<left>[\[{])\s*(?P<low>"[^"]*"|\S+)\s+TO\s+(?P<high>"[^"]*"|[^\s\]}]+)\s*(?P<right>[\]}]))
    | (?P<phrase>"(?:[^"\\]|\\.)*")
    | (?P<word>(?:[^\s()"\\]|\\.)+) | (?P<unreadable>(?s:.+))
    """,
    re.VERBOSE,
)
ESCAPED = re.compile(r"\\(.)")


class QueryError(ValueError):
    """The search engine cannot parse the query."""


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
    sort: tuple[tuple[str, bool], ...] = ()  # (field, descending)


def parse(text: str) -> Node:
    """The query as a tree; words side by side are joined by AND (`q.op=AND`). Raises QueryError."""
    # api2 rewrites https in field values: the index holds http URIs only.
    parser = _Parser(text.replace(":https://", ":http://"))
    node = parser.any_of(None)
    if parser.kind is not None:
        raise QueryError(f"unexpected {parser.text!r}")
    return node


def parse_refinements(refinements: tuple[str, ...]) -> Node:
    """Several `qf`: the same field in two of them means OR, different fields AND (corelib, Query.FacetCollector)."""
    by_field: dict[str, list[Node]] = {}
    for refinement in refinements:
        name, colon, _ = refinement.partition(":")
        by_field.setdefault(name if colon else f"\0{refinement}", []).append(parse(refinement))
    return All(tuple(Some(tuple(nodes)) for nodes in by_field.values()))


class _Parser:
    """A recursive descent over the tokens of a query; `field` is the field that a bracket was opened in."""

    def __init__(self, text: str) -> None:
        self.tokens = [token for token in TOKEN.finditer(text) if token.lastgroup is not None]
        self.at = 0

    @property
    def kind(self) -> str | None:
        """The kind of the next token; None at the end."""
        return self.tokens[self.at].lastgroup if self.at < len(self.tokens) else None

    @property
    def text(self) -> str:
        """The text of the next token."""
        return self.tokens[self.at][self.kind or 0]

    def any_of(self, field: str | None) -> Node:
        """Parts joined by OR, which binds weaker than AND."""
        parts = [self.all_of(field)]
        while self.kind == "or":
            self.at += 1
            parts.append(self.all_of(field))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def all_of(self, field: str | None) -> Node:
        """Parts joined by AND or by nothing."""
        parts = [self.one(field)]
        while self.kind not in ("or", "close", None):
            self.at += self.kind == "and"
            parts.append(self.one(field))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def one(self, field: str | None) -> Node:
        """A term, a range, a bracket, or one of them after NOT, + or a field's name."""
        if self.kind is None:
            raise QueryError("the query ends too early")
        kind, text, token = self.kind, self.text, self.tokens[self.at]
        self.at += 1
        if kind == "and" and text == "+":
            return self.one(field)
        if kind == "not":
            return Not(self.one(field))
        if kind == "open":
            node = self.any_of(field)
            if self.kind != "close":
                raise QueryError("a bracket is not closed")
            self.at += 1
            return node
        if kind == "field":
            return self.one(text)
        if kind == "range":
            if field is None:
                raise QueryError(f"a range needs a field: {text!r}")
            low, high = token["low"].strip('"'), token["high"].strip('"')
            return Range(field, low, high, token["left"] == "[", token["right"] == "]")
        if kind == "phrase":
            return Term(field, ESCAPED.sub(r"\1", text[1:-1]), phrase=True)
        if kind == "word" and text in ("*", "*:*"):
            return Everything() if field is None else Term(field, "*")
        if kind == "word":
            return Term(field, ESCAPED.sub(r"\1", text))
        raise QueryError(f"unexpected {text!r}")
