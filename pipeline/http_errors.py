"""What a request of pipeline/http.py raises."""


class HttpError(Exception):
    """A request that failed; the message is one sentence for people, without any API key.

    `transient`: the same request may succeed later.
    """

    transient = False


class Unreachable(HttpError):
    """No attempt got a response."""

    transient = True


class NoFirstAnswer(Unreachable):
    """A server that has not answered once in this run, within the time of a Patience; to ask again does not help."""

    transient = False


class GaveUp(HttpError):
    """No attempt got a usable response: server errors, truncated bodies, or a rate limit that does not end."""

    transient = True


class WrongKey(HttpError):
    """The API key is missing, unknown or disabled."""


class Refused(HttpError):
    """The server refuses this request for good."""

    def __init__(self, status: int, code: str | None, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.location = location
