"""Removes secrets from everything that is written, shown or logged."""

import base64
import json
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus

REDACTED = "REDACTED"

# A shorter secret is an ordinary word ("test"): replacing it everywhere would rewrite the data itself.
SHORTEST_REPLACED_EVERYWHERE = 6

# Where Europeana echoes a key (dossier, sections 1.5 and 1.7): envelope, `link`, `guid`; and how requests carry one.
# Nothing wider: providers' own URLs may carry an `apikey=` or `utm_campaign=` that belongs to the data.
# Each with a mark that must be there: marks begin with a letter that is always the same, which is found much quicker.
_ECHOES = (
    (re.compile('"apikey"'), re.compile(r'("apikey"\s*:\s*")(?!REDACTED)[^"]*')),
    (re.compile("wskey"), re.compile(r"(wskey(?:=|%3D|%253D))(?!REDACTED)[^&\"'\s<>\\%]*")),
    (
        re.compile("utm_campaign=(?!REDACTED)"),
        re.compile(r"(europeana\.eu\\?/(?:[^\s\"'<>u]*+u)+?tm_campaign=)(?!REDACTED)[^&\"'\s<>\\]*"),
    ),
    (
        re.compile("-[Aa][Pp][Ii]-[Kk][Ee][Yy]"),
        re.compile(r"([Xx]-[Aa][Pp][Ii]-[Kk][Ee][Yy]['\"]?\s*[:=,]\s*b?['\"]?)[^'\"\s,}]+"),
    ),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with every secret, raw, URL-encoded or in base64, and every place that echoes a key, made `REDACTED`."""
    for spelling in _spellings(tuple(secrets)):
        text = text.replace(spelling, REDACTED)
    for mark, echo in _ECHOES:
        if mark.search(text):
            text = echo.sub(lambda found: found[1] + REDACTED, text)  # a template is expanded in Python, match by match
    return text


@lru_cache(maxsize=64)
def _spellings(secrets: tuple[str, ...]) -> list[str]:
    """Every way a secret may be written, longest first, so that no spelling leaves a part of another behind."""
    spellings: dict[str, None] = {}
    for secret in secrets:
        if len(secret) < SHORTEST_REPLACED_EVERYWHERE:
            continue
        once = quote(secret, safe="")
        plain = (secret, once, once.lower(), quote(secret), quote_plus(secret), quote(once), json.dumps(secret)[1:-1])
        spellings.update(dict.fromkeys((*plain, *_in_base64(secret))))
    return sorted(spellings, key=lambda spelling: (-len(spelling), spelling))


def _in_base64(secret: str) -> list[str]:
    """The base64 of the secret, alone and as it looks inside a longer text, at each of the three alignments."""
    spellings = []
    for data in (secret.encode(), quote(secret, safe="").encode()):
        for skipped in range(3):
            encoded = base64.b64encode(b"\0" * skipped + data).decode().rstrip("=")
            first = (skipped * 8 + 5) // 6  # characters that also hold bits of what stands before
            last = len(encoded) if (skipped + len(data)) % 3 == 0 else len(encoded) - 1
            middle = encoded[first:last]
            if len(middle) >= SHORTEST_REPLACED_EVERYWHERE:
                spellings += [middle, middle.replace("+", "-").replace("/", "_")]
    return spellings


class RedactingFilter(logging.Filter):
    """Redacts the secrets in the records of one logger."""

    def __init__(self, secrets: set[str]) -> None:
        super().__init__()
        self.secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's message; it is always let through."""
        record.msg, record.args = redact(record.getMessage(), self.secrets), ()
        return True


# The loggers that may write a URL or a header; filters are not inherited, so each has its own.
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")
_KNOWN: set[str] = set()


def keep_out_of_logs(secrets: Iterable[str]) -> None:
    """From now on the HTTP libraries' loggers do not write these secrets."""
    _KNOWN.update(secret for secret in secrets if secret)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, RedactingFilter) for present in logger.filters):
            logger.addFilter(RedactingFilter(_KNOWN))
