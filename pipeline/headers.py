"""What strangers say in the headers of their answers: the one place where these are read.

Every reader gives a value of its type, or what stands for none. None of them raises, whatever the bytes are.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time

PRINTABLE = re.compile(r"[\x20-\x7e]+")
SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?")
LENGTH = re.compile(r"[0-9]{1,18}")
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838, section 4.2
LONGEST_VALIDATOR = 1_024  # characters of an ETag or a date: they are stored and sent back
LONGEST_READ = 65_536  # bytes of a header that are looked at; httpcore takes no longer ones
NO_AI = frozenset({"noai", "noimageai"})
NO_MAX_AGE = re.compile(
    r";\s*max-age\s*=(?!\s*-?[0-9]+\s*(?:;|$))[^;]*", re.IGNORECASE
)  # http.cookiejar gives up at it
MOST_COOKIES = 20


class AnswerHeaders:
    """The headers of one answer, by name and value as they came."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in raw:
            self._values.setdefault(name.lower(), []).append(value[:LONGEST_READ])

    def text(self, name: str) -> str | None:
        """A header as text, several of one name joined by commas (RFC 9110, section 5.3)."""
        values = self._values.get(name.lower().encode())
        return None if values is None else b", ".join(values).decode("latin-1")

    @property
    def content_length(self) -> int:
        """The announced length in bytes; 0 if there is none."""
        return content_length(self.text("content-length"))

    @property
    def content_encoding(self) -> str:
        """The codings of the body, as BodyDecoder takes them."""
        return self.text("content-encoding") or "identity"

    @property
    def media_type(self) -> str | None:
        """`type/subtype` in small letters, without parameters."""
        kind = (self.text("content-type") or "").partition(";")[0].strip().lower()
        return kind if MEDIA_TYPE.fullmatch(kind) else None

    @property
    def location(self) -> str | None:
        """Where a redirect leads, as written; bytes beyond ASCII are escaped, in whatever encoding they were meant.

        Of several the first counts, as in browsers.
        """
        values = self._values.get(b"location")
        if values is None:
            return None
        return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in values[0]).strip()

    @property
    def etag(self) -> str | None:
        """The ETag, if it can be sent back."""
        return validator(self.text("etag"))

    @property
    def last_modified(self) -> str | None:
        """The date of the last change, as written, if it can be sent back."""
        return validator(self.text("last-modified"))

    @property
    def retry_after_s(self) -> float | None:
        """The seconds to wait."""
        return retry_after_s(self.text("retry-after"))

    @property
    def rate_limit(self) -> str | None:
        """What is left of a budget; pipeline/rate_limit.py reads it."""
        return self.text("ratelimit")

    @property
    def rate_limit_policy(self) -> str | None:
        """How large that budget is."""
        return self.text("ratelimit-policy")

    @property
    def cookies(self) -> list[str]:
        """The lines that set cookies, as http.cookiejar reads them; those that are not ASCII are left out."""
        lines = [value.decode("latin-1") for value in self._values.get(b"set-cookie", [])]
        return [NO_MAX_AGE.sub("", line) for line in lines if PRINTABLE.fullmatch(line)][:MOST_COOKIES]

    @property
    def opt_out(self) -> str | None:
        """How the publisher opts out: `robots` by X-Robots-Tag `noai` or `noimageai`, `tdm` by `tdm-reservation: 1`.

        W3C TDM Reservation Protocol, section 4. Robots rules that begin with the name of another crawler
        (`otherbot: noai`) do not apply.
        """
        rules = (self.text("x-robots-tag") or "").lower().split(",")
        if any(rule.strip() in NO_AI for rule in rules):
            return "robots"
        return "tdm" if (self.text("tdm-reservation") or "").strip() == "1" else None


def content_length(value: str | None) -> int:
    """A length in bytes; 0 for what is no number."""
    text = (value or "").strip()
    return int(text) if LENGTH.fullmatch(text) else 0


def validator(value: str | None) -> str | None:
    """An ETag or Last-Modified that can be sent back: short and in ASCII; None for any other."""
    return value if value and len(value) <= LONGEST_VALIDATOR and PRINTABLE.fullmatch(value) else None


def retry_after_s(value: str | None) -> float | None:
    """The wait in seconds from a Retry-After header, a number or a date; None without one, or if it is unreadable."""
    text = (value or "").strip()
    if SECONDS.fullmatch(text):
        return float(text)
    with suppress(ValueError, TypeError, ArithmeticError, LookupError, OSError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    return None
