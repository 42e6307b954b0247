"""Text that enters from outside: JSON without half surrogates, and the ids of Europeana's records."""

import json
import math
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic_core import SchemaValidator, ValidationError

# Half of a surrogate pair, written as an escape: JSON allows it (RFC 8259, section 8.2), UTF-8 does not.
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
DEEPEST = 100  # brackets inside brackets; the deepest recorded answers, records and IIIF manifests, have 12
ORDINARY_DEPTH = 12
TOO_DEEP = "its brackets are nested too deeply"
REPLACEMENT = "\ufffd"  # what stands for a letter that did not survive
RECORD_ID = re.compile(r"/[\w.~-]+/[^\s/?#]+")
LANGUAGE = r"(?:/[a-z]{2,3}(?:[-_][a-z0-9]{2,8})*)?"
RECORD_PATH = re.compile(
    rf"{LANGUAGE}/(?:item|portal{LANGUAGE}/record|resolve/record|(?:api/)?(?:v2/)?record(?:/v\d+)?"
    r"|(?:aggregation|proxy)/(?:europeana|provider))"
    r"(?P<id>/(?!v\d+/)[\w.~-]+/[^/?#\s]+)/?",
    re.IGNORECASE,
)
EUROPEANA = re.compile(r"(?:www\.|data\.|api\.|proxy\.|classic\.)?europeana\.eu", re.IGNORECASE)
# What may follow the id in an address: the session of an old portal, the suffix of a format.
BEHIND_ID = re.compile(r"(?:\.(?:html?|json|jsonld|rdf|ttl|xml|schema\.jsonld))?(?:;[^/]*)?$", re.IGNORECASE)


def clean(text: str) -> str:
    """The text with U+FFFD in place of half surrogate pairs, so that it can be written as UTF-8."""
    return LONE_SURROGATE.sub(REPLACEMENT, text)


def loads(text: str | bytes, most_values: int | None = None) -> Any:
    """JSON whose texts can all be written as UTF-8.

    Raises ValueError for what is no JSON: NaN and Infinity, which Python reads, among them, numbers that would become
    infinite; for brackets nested deeper than DEEPEST; and before parsing if there may be more than `most_values`.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    # Each value but the first stands behind a comma, a colon or a bracket. Those inside of texts are counted too, and
    # are not counted where the text has fewer characters than that.
    if most_values is not None and len(text) > most_values and sum(map(text.count, ",:[{")) > most_values:
        raise ValueError(f"it has more than {most_values} values")
    try:
        content = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if not _ordinarily_deep(text):
            _refuse_depth(content)
        return _cleaned(content) if "\\" in text and ESCAPED_SURROGATE.search(text) else content
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"'))


def loads_only(content: bytes, form: SchemaValidator, most_values: int | None = None) -> Any:
    """Of JSON what a form names, as `loads` gives it; all of it where the JSON has another form.

    The rest is read, but made into nothing, as that takes most of the time of `loads`. Raises ValueError where `loads`
    does.
    """
    if most_values is None or len(content) <= most_values:
        try:
            found = form.validate_json(content)
        except ValidationError:
            return loads(content, most_values)
        if _read_alike(content):
            return found
    return loads(content, most_values)


# A name of what is no number, or a number with an exponent or so long that it may become infinite; each mark stands for
# what _MARKS keeps of it. The e of true and false stands behind their u and s.
_ODD = (b"N", b"I", b"E", b"0e", b"0" * 300)
_MARKS = bytes.maketrans(b"{}123456789", b"[]000000000")
_NO_MARKS = bytes(set(range(256)) - set(b"[]{}NIEeus0123456789"))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]"))


def _read_alike(content: bytes) -> bool:
    """Whether JSON that pydantic reads is certain to be read by `loads`, which refuses more."""
    marks = b"".join(_without_escapes(content).split(b'"')[::2]).translate(_MARKS, _NO_MARKS)
    return not any(odd in marks for odd in _ODD) and _shallow(marks.translate(None, _NO_BRACKETS))


def _ordinarily_deep(text: str) -> bool:
    """Whether a text that is JSON has no brackets nested deeper than ORDINARY_DEPTH.

    It looks at the brackets alone, which takes half as long as to look at every value.
    """
    content = _without_escapes(text.encode("utf-8", "surrogatepass"))
    marks = content.translate(_TO_SQUARE, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"")
    return _shallow(b"".join(marks.split(b'"')[::2]))


def _without_escapes(content: bytes) -> bytes:
    """JSON without the quotes that do not end a text."""
    return content.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in content else content


def _shallow(brackets: bytes) -> bool:
    """Whether square brackets, given without anything between them, are nested no deeper than ORDINARY_DEPTH."""
    for _ in range(ORDINARY_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost, of everything
    return not brackets


def _refuse_depth(content: Any) -> None:
    """Raises ValueError for what Python could read but what later readers, which call themselves, could not."""
    level = [content]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in level:  # one in ten is a bracket; to look for them first would take three times as long
            if type(value) is dict:
                inner.extend(value.values())
            elif type(value) is list:
                inner.extend(value)
        if not inner:
            return
        level = inner
    if any(isinstance(value, dict | list) for value in level):
        raise ValueError(TOO_DEEP)


def _decoded(content: bytes) -> str:
    """The text of JSON in UTF-8, UTF-16 or UTF-32, as its first bytes say; half surrogates become U+FFFD here too."""
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        try:
            return clean(content.decode(encoding, "surrogatepass"))
        except UnicodeDecodeError:
            pass  # something else is wrong with it, and the first error says what
        raise


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large for a number")
    return value


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
    given = text.strip().strip("<>").strip()
    address = given if "://" in given else f"https://{given.lstrip('/')}"
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:  # brackets or letters that no host has
        return None
    if re.search(r"[\t\r\n]", given):  # which urlsplit leaves out, as browsers do
        return None
    if EUROPEANA.fullmatch(host):
        found = RECORD_PATH.fullmatch(parts.path)
        return _checked(BEHIND_ID.sub("", unquote(found["id"]), count=1)) if found else None
    if "://" in given:
        return None
    bare = "/" + given.strip("/")
    return _checked(bare) if given.startswith("/") or bare[1:2].isdecimal() else None


def _checked(record: str) -> str | None:
    """The id, unless it is none or came damaged."""
    damaged = REPLACEMENT in record or LONE_SURROGATE.search(record)
    return record if RECORD_ID.fullmatch(record) and not damaged else None
