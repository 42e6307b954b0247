"""How many inputs a property test tries: some in every run, ten times as many with `--long`."""

import sys


def examples(few: int) -> int:
    """The number for this run; with `--long` ten times as many."""
    return few * 10 if "--long" in sys.argv else few
