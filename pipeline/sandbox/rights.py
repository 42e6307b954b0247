"""Europeana's four kinds of reusability, by prefixes of the rights URI (RightReusabilityCategorizer of corelib)."""

from pathlib import Path

from pipeline.sandbox.data import read_csv

KINDS = ("open", "restricted", "permission", "uncategorized")
PREFIXES = [(row["prefix"], row["kind"]) for row in read_csv(Path(__file__).with_name("rights.csv"))]


def reusability(rights_uri: str, more_open: tuple[str, ...] = ()) -> str:
    """Which kind of reuse a rights URI allows; `more_open` are further prefixes that this museum counts as open."""
    right = _bare(rights_uri)
    if right.startswith(tuple(map(_bare, more_open))):
        return "open"
    return next((kind for prefix, kind in PREFIXES if right.startswith(prefix)), "uncategorized")


def _bare(uri: str) -> str:
    return uri.strip().removeprefix("https://").removeprefix("http://")
