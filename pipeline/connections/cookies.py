"""Cookies for one visit: those that redirects set on the way to an image."""

import httpx

from pipeline.headers import PRINTABLE, AnswerHeaders

LONGEST_COOKIES = 8_000  # characters of the header


class Cookies:
    """The cookies of one image and its redirects."""

    def __init__(self) -> None:
        self._kept = httpx.Cookies()

    def keep(self, url: str, said: AnswerHeaders) -> None:
        """Adds the cookies that an answer sets.

        Those of a wrong domain or form are left out (RFC 6265, section 5.3).
        """
        given = [("set-cookie", line) for line in said.cookies]
        if given:
            self._kept.extract_cookies(httpx.Response(302, headers=given, request=httpx.Request("GET", url)))

    def header(self, url: str) -> dict[str, str]:
        """The Cookie header for a URL, if there are cookies for it."""
        if not self._kept.jar:
            return {}
        request = httpx.Request("GET", url)
        self._kept.set_cookie_header(request)
        value = request.headers.get("cookie", "")
        return {"Cookie": value} if PRINTABLE.fullmatch(value) and len(value) <= LONGEST_COOKIES else {}
