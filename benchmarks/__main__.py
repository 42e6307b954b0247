"""`python -m benchmarks [NAME]`: every benchmark, each in a process of its own, one JSON line each."""

import subprocess
import sys
from pathlib import Path

NO_BENCHMARK = {"__init__", "__main__", "cataloguers", "first_paint", "loss_size", "page", "peer", "served"}


def names() -> list[str]:
    """Every benchmark of this folder, by name."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in NO_BENCHMARK)


def main() -> int:
    """Run the named benchmark, or all of them; the exit code says whether all ran."""
    asked = sys.argv[1:] or names()
    unknown = sorted(set(asked) - set(names()))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(names())}.", file=sys.stderr)
        return 2
    return max(subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) for name in asked)


if __name__ == "__main__":
    sys.exit(main())
