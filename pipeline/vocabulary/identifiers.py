"""AAT URIs and prefixes as records spell them, parsed into the nine-digit id that stands for all."""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, unquote_plus, urlsplit

AAT = "http://vocab.getty.edu/aat/"  # stays http as an identifier; only requests go to https

AAT_ID = re.compile(r"3[0-9]{8}")
BRACKETS = {"<": ">", "‹": "›", "⟨": "⟩", '"': '"', "“": "”"}
ESCAPED = {"&lt;": "<", "&gt;": ">", "&quot;": '"'}
AMPERSAND = re.compile(r"&(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
# Getty's addresses of one subject: the identifier with its pages and files, and the pages of the old website.
SUBJECT_PATH = re.compile(r"/+(?:(?:page|resource)/+)?aat/+(3[0-9]{8})(?:\.[a-z0-9]{1,8})?/*", re.IGNORECASE)
WEBSITE_PATH = re.compile(r"/+(?:[\w.-]+/+)+AAT\w*", re.IGNORECASE)
PREFIXED = re.compile(r"aat[\s:/]+(3[0-9]{8})(?:\.[a-z0-9]{1,8})?/*(?:[?#]\S*)?", re.IGNORECASE)


class NotAnAatId(ValueError):
    """A text that is not a nine-digit AAT id; it must never reach a query."""


def aat_id(text: str, *, bare: bool = False) -> str | None:
    """The nine-digit id if the text names a subject of the AAT, else None; every door of the project reads it here.

    Read are the identifier and its pages, with or without a scheme, `www`, a port, a download suffix, a query or a
    fragment; the full-display and hierarchy pages of Getty's old website, also with `&amp;` between the parameters; the
    prefix `aat:`; all of them in angle brackets too. With `bare` nine digits alone are an id as well.
    """
    if AAT_ID.search(text) is None:  # most texts are words
        return None
    given = AMPERSAND.sub("&", text).strip()
    for escaped, letter in ESCAPED.items():
        given = given.replace(escaped, letter)
    if len(given) > 1 and BRACKETS.get(given[0]) == given[-1]:
        given = given[1:-1].strip()
    if bare and AAT_ID.fullmatch(given):
        return given
    if found := PREFIXED.fullmatch(given):
        return found[1]
    try:
        parts = urlsplit(given if "://" in given else f"http://{given.lstrip('/')}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    if host == "vocab.getty.edu":
        found = SUBJECT_PATH.fullmatch(unquote(parts.path).strip())
        return found[1] if found else None
    if host == "getty.edu" and WEBSITE_PATH.fullmatch(parts.path):
        return _subject_of_query(parts.query)
    return None


def tag_uri(tag_id: str) -> str:
    """The URI of a tag: the AAT's for an id; a tag of the published files is a path, and gets a name of its own."""
    return AAT + tag_id if tag_id.isdigit() else f"urn:eufcc:tag:{quote(tag_id, safe='')}"


def _subject_of_query(query: str) -> str | None:
    """The id behind `subjectid=`; None when the query names no or several subjects."""
    pairs = [pair.partition("=") for pair in re.split("[&;]", query)]
    ids = {unquote_plus(value).strip() for name, _, value in pairs if name.strip().lower() == "subjectid"}
    return next(iter(ids)) if len(ids) == 1 and AAT_ID.fullmatch(next(iter(ids))) else None


def checked_ids(ids: Iterable[str]) -> list[str]:
    """The distinct ids, sorted; raises NotAnAatId for anything that is not nine digits beginning with a 3."""
    distinct = sorted(set(ids))
    for given in distinct:
        if not AAT_ID.fullmatch(given):
            raise NotAnAatId(f"{given!r} is not an AAT id; nine digits such as 300015637 are.")
    return distinct
