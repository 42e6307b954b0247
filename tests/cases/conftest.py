"""The cases of ../shared/cases: real inputs of public bug reports, run through the doors that they name."""

from pathlib import Path

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument `case` and no parameters of its own runs every case of its module's `KINDS`."""
    if "case" not in metafunc.fixturenames or metafunc.definition.get_closest_marker("parametrize"):
        return
    from tests.cases.reading import cases_of

    cases = [case for kind in metafunc.module.KINDS for case in cases_of(kind)]
    metafunc.parametrize("case", cases, ids=[f"{case.kind}-{case.name}" for case in cases])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the case's own."""
    return tmp_path
