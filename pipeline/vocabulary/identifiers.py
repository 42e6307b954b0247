"""The spellings of AAT concepts in records, and the nine-digit id that stands for all of them."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

AAT = "http://vocab.getty.edu/aat/"  # stays http as an identifier; only requests go to https

AAT_ID = re.compile(r"3\d{8}")
BRACKETS = {"<": ">", "‹": "›", "⟨": "⟩"}
# Getty's addresses of one subject: the identifier with its pages and files, and the pages of the old website.
SUBJECT_PATH = re.compile(r"/{1,2}(?:page/|resource/)?aat/+(3\d{8})(?:\.[a-z0-9]{1,8})?/*", re.IGNORECASE)
WEBSITE_PATH = re.compile(r"/+(?:vow|aat)/+AAT\w*", re.IGNORECASE)
PREFIXED = re.compile(r"aat[:/]\s*(3\d{8})", re.IGNORECASE)


class NotAnAatId(ValueError):
    """A text that is not a nine-digit AAT id; it must never reach a query."""


def aat_id(text: str, *, bare: bool = False) -> str | None:
    """The nine-digit id if the text names a subject of the AAT, else None; every door of the project reads it here.

    Read are the identifier and its pages, with or without a scheme, `www`, a port, a download suffix, a query or a
    fragment; the full-display and hierarchy pages of Getty's old website, also with `&amp;` between the parameters; the
    prefix `aat:`; all of them in angle brackets too. With `bare` nine digits alone are an id as well.
    """
    given = text.replace("&amp;", "&").strip()
    if len(given) > 1 and BRACKETS.get(given[0]) == given[-1]:
        given = given[1:-1].strip()
    if bare and AAT_ID.fullmatch(given):
        return given
    if found := PREFIXED.fullmatch(given):
        return found[1]
    try:
        parts = urlsplit(given if "://" in given else f"http://{given.lstrip('/')}")
        host = parts.hostname or ""
    except ValueError:
        return None
    if host == "vocab.getty.edu":
        found = SUBJECT_PATH.fullmatch(parts.path)
        return found[1] if found else None
    if host in ("getty.edu", "www.getty.edu") and WEBSITE_PATH.fullmatch(parts.path):
        named = {name.lower(): values for name, values in parse_qs(parts.query).items()}
        ids = [each for each in named.get("subjectid", []) if AAT_ID.fullmatch(each)]
        return ids[0] if len(set(ids)) == 1 else None
    return None


def checked_ids(ids: Iterable[str]) -> list[str]:
    """The distinct ids, sorted; raises NotAnAatId for anything that is not nine digits beginning with a 3."""
    distinct = sorted(set(ids))
    for given in distinct:
        if not AAT_ID.fullmatch(given):
            raise NotAnAatId(f"{given!r} is not an AAT id; nine digits such as 300015637 are.")
    return distinct
