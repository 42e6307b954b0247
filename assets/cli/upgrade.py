"""Before a run: whether another version of the code would make anew what takes hours, and whether that is wanted."""

import sys
from collections.abc import Sequence

import typer

from assets.cli.status import lasted
from assets.engine.console import complain
from assets.engine.status import Due

ASK_ABOVE_S = 3_600  # an hour: less is repeated without a question
SHOWN = 5  # names in the question


def confirm(found: Sequence[Due], profile: str, *, yes: bool) -> None:
    """Ask when what is due because of its code took more than an hour; without a terminal, refuse. `yes` answers it.

    Storages of older versions do not say how long anything took: under the full profile that is a question too.
    """
    changed = [one for one in found if one.because_of_code]
    longest = sum(one.longest or 0.0 for one in changed)
    unknown = profile == "full" and any(one.longest is None for one in changed)
    if yes or not changed or (longest < ASK_ABOVE_S and not unknown):
        return
    names = [one.names[0] for one in changed]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    took = f"took up to {lasted(longest)}" if longest else "can take hours: an older version did not note how long"
    said = f"The code has changed since {', '.join(names[:SHOWN])}{more} were made. Making them anew {took}."
    if not sys.stdin.isatty():
        complain(f"{said} `eufcc status` says why; add --yes to go on, or use the version that made them.")
        raise typer.Exit(1)
    if not typer.confirm(f"{said} Go on?"):
        raise typer.Exit(1)
