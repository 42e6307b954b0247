"""The museum's own address of a picture, as the published rows and Europeana's records may spell it."""

from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.images.wanted import source_of_thumbnail
from pipeline.texts import REPLACEMENT

DEFAULT_PORTS = {"http": ":80", "https": ":443"}
OTHER_SCHEME = {"http": "https", "https": "http"}
UNQUOTED = "/?:@!$&'()*+,;=-._~%#[]"  # left as they are where an address is percent-encoded anew


def address_of(thumbnail_url: str) -> str | None:
    """The address behind `uri=` in a thumbnail's URL; None where there is none that can be searched for."""
    address = source_of_thumbnail(thumbnail_url)
    if address is None or not address.isprintable() or REPLACEMENT in address:
        return None
    return address if address.startswith(("http://", "https://")) else None


def spellings(address: str) -> list[str]:
    """Other spellings of the same address, at most seven.

    They differ in the scheme, the case of the host, a default port, a fragment, `&amp;`, a slash at the end, and in
    what is percent-encoded.
    """
    plain = _plain(address)
    encodings = (plain, unquote(plain), quote(unquote(plain), safe=UNQUOTED))
    both = (other for each in encodings if each.isprintable() for other in (each, _with_other_scheme(each)))
    return [each for each in dict.fromkeys((_with_other_scheme(address), *both)) if each != address]


def _plain(address: str) -> str:
    try:
        parts = urlsplit(address.strip().replace("&amp;", "&"))
    except ValueError:  # a bracket in the host
        return address
    host = parts.netloc.lower().removesuffix(DEFAULT_PORTS.get(parts.scheme, "\0"))
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), parts.query, ""))


def _with_other_scheme(address: str) -> str:
    scheme, colon, rest = address.partition(":")
    return OTHER_SCHEME.get(scheme, scheme) + colon + rest
