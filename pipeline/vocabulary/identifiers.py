"""The spellings of AAT concepts in records, and the nine-digit id that stands for all of them."""

import re
from collections.abc import Iterable

AAT = "http://vocab.getty.edu/aat/"  # stays http as an identifier; only requests go to https

# The spellings seen in records: the identifier, its page, a download suffix, the old full-display page, the prefix.
_AAT_SPELLINGS = (
    re.compile(
        r"https?://vocab\.getty\.edu/(?:page/|resource/)?aat/(3\d{8})(?:\.(?:html|json|jsonld|nt|rdf|ttl))?[/#]?", re.I
    ),
    re.compile(r"https?://(?:www\.)?getty\.edu/vow/AATFullDisplay\?(?:.*&)?subjectid=(3\d{8})(?:&.*)?", re.I),
    re.compile(r"aat:(3\d{8})", re.I),
)
_AAT_ID = re.compile(r"3\d{8}")


class NotAnAatId(ValueError):
    """A text that is not a nine-digit AAT id; it must never reach a query."""


def aat_id(uri: str) -> str | None:
    """The nine-digit id when the URI names a subject of the AAT, in whatever spelling, else None."""
    text = uri.strip()
    for spelling in _AAT_SPELLINGS:
        if match := spelling.fullmatch(text):
            return match.group(1)
    return None


def checked_ids(ids: Iterable[str]) -> list[str]:
    """The distinct ids, sorted; raises NotAnAatId for anything that is not nine digits beginning with a 3."""
    distinct = sorted(set(ids))
    for given in distinct:
        if not _AAT_ID.fullmatch(given):
            raise NotAnAatId(f"{given!r} is not an AAT id; nine digits such as 300015637 are.")
    return distinct
