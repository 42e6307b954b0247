"""`python -m tests.rehearsal`: rehearses a run of the paper's size on this machine; what was done is not done again."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from tests.rehearsal.parts import PARTS, Rehearsal, RehearsalError
from tests.rehearsal.report import printed, write_page

PAPER = 346_324


def _end(signal_number: int, frame: object) -> NoReturn:
    """A stopped rehearsal ends what it has started."""
    raise SystemExit(128 + signal_number)


def main() -> int:
    """Every part that is not done yet, in order; the table after each. Exit code 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=PAPER, help="records of the first day")
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept; a stopped one goes on")
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS), help="by default all")
    parser.add_argument("--kills", type=int, default=6, help="kill -9 during the part `killed`")
    parser.add_argument("--page", action="store_true", help="only write the table into docs/scaling.md")
    asked = parser.parse_args()
    rehearsal = Rehearsal(asked.folder.resolve(), asked.size, asked.kills)
    if asked.page:
        write_page(rehearsal.result)
        return 0
    try:
        for name in asked.parts:
            rehearsal.do(name)
    except RehearsalError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    print(printed(rehearsal.result))
    print(f"  all of it: {rehearsal.file}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
