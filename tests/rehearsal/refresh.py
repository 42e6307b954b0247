"""`python -m tests.rehearsal.refresh`: what the weekly schedule and its sensors start, one job after the other."""

import os
import sys

os.environ["EUFCC_LINES"] = "1"

from assets.automation import CANDIDATE_CONFIG, REFRESH_PAGES, TAGS
from assets.definitions import defs
from assets.engine.console import QUIET
from assets.engine.executors import execute
from assets.engine.instance import opened
from assets.engine.project import home

JOBS = {
    "harvest": {"ops": {**REFRESH_PAGES, "make_tombstones": {"config": {"compare": True}}}},
    "dataset": {},
    "release_candidate": CANDIDATE_CONFIG,
}


def main() -> int:
    """Run the three jobs; exit code 1 when one fails."""
    with opened(home()) as (instance, mine):
        for job, config in JOBS.items():
            given = {"run_config": {**QUIET, **config}, "tags": TAGS.get(job, {}) | mine}
            if not execute(job, defs, instance=instance, raise_on_error=False, **given).success:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
