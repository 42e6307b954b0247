"""The old name of `python -m ml.experiments.seeds`; it goes with the next version."""

import sys

from ml.experiments.seeds import main

if __name__ == "__main__":
    print("`python -m ml.seeds` is now `python -m ml.experiments.seeds`.", file=sys.stderr)
    raise SystemExit(main())
