"""The old name of `python -m ml.experiments`; it goes with the next version."""

import sys

from ml.experiments.run import main

if __name__ == "__main__":
    print("`python -m ml.run` is now `python -m ml.experiments`.", file=sys.stderr)
    raise SystemExit(main())
