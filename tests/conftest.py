"""What every test may use; tests that need ../shared are counted when it is not there."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("EUFCC_SHARED") or Path(__file__).parents[2] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded payloads, the real thesaurus and the real museum."""
    return SHARED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for, and count it: the summary says how many tests did not run and why."""
    not_run: dict[str, list[pytest.Item]] = {"shared": [], "long": []}
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            not_run["shared"].append(item)
        elif item.get_closest_marker("long") and not config.getoption("--long"):
            not_run["long"].append(item)
    left_out = {id(item) for group in not_run.values() for item in group}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]
    config.stash[NOT_RUN] = {marker: len(group) for marker, group in not_run.items()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs the kills, the fuzzing, the soak and the other engines too."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Say what did not run."""
    counts = config.stash.get(NOT_RUN, {})
    if counts.get("shared"):
        terminalreporter.write_line(f"not run: {counts['shared']} tests that need ../shared (not found at {SHARED})")
    if counts.get("long"):
        terminalreporter.write_line(f"not run: {counts['long']} tests marked long (make test-long)")


NOT_RUN = pytest.StashKey[dict[str, int]]()
