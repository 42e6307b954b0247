"""Text that enters from outside: JSON without half surrogates, and the ids of Europeana's records."""

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

# Half of a surrogate pair, written as an escape: JSON allows it (RFC 8259, section 8.2), UTF-8 does not.
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"  # what stands for a letter that did not survive
RECORD_ID = re.compile(r"/[\w.~-]+/[^\s/?#]+")
RECORD_PATH = re.compile(
    r"(?:/[a-z]{2,3})?/(?:item|portal(?:/[a-z]{2,3})?/record|record/v2|record|api/v2/record)"
    r"(?P<id>/[\w.~-]+/[^/?#\s]+)/?",
    re.IGNORECASE,
)
EUROPEANA = re.compile(r"(?:www\.|data\.|api\.|proxy\.)?europeana\.eu", re.IGNORECASE)


def clean(text: str) -> str:
    """The text with U+FFFD in place of half surrogate pairs, so that it can be written as UTF-8."""
    return LONE_SURROGATE.sub(REPLACEMENT, text)


def loads(text: str | bytes) -> Any:
    """JSON whose texts can all be written as UTF-8.

    Raises ValueError for what is no JSON: NaN and Infinity, which Python reads, among them, and brackets nested too
    deeply to be read.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
        return _cleaned(content) if ESCAPED_SURROGATE.search(text) else content
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, dict):
        return {clean(name): _cleaned(each) for name, each in value.items()}
    return value


def record_id(text: str) -> str | None:
    """The id, `/dataset/local`, of the Europeana record that the text names; None if it names none.

    The text is an id, with or without the slash at its start and with one at its end, or an address: of the item's
    page in any language, of the old portal, of the linked data or of the Record API, with or without a scheme, `www`,
    a query and a fragment.
    """
    given = text.strip()
    parts = urlsplit(given if "://" in given else f"https://{given}")
    if parts.hostname and EUROPEANA.fullmatch(parts.hostname):
        found = RECORD_PATH.fullmatch(parts.path)
        return _without_suffix(unquote(found["id"])) if found else None
    if "://" in given:
        return None
    bare = "/" + given.strip("/")
    return bare if RECORD_ID.fullmatch(bare) and (given.startswith("/") or bare[1].isdecimal()) else None


def _without_suffix(record: str) -> str | None:
    record = re.sub(r"\.(?:html?|json(?:ld)?|rdf|ttl|xml|schema\.jsonld)$", "", record, flags=re.IGNORECASE)
    return record if RECORD_ID.fullmatch(record) else None
