"""The error of a harvest; those of single requests are in `pipeline.http`."""


class HarvestError(Exception):
    """A harvest that cannot be used; the message is one sentence that says what to do.

    `transient`: running it again may help, and resumes where it stopped.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
