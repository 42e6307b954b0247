"""Torch takes a second to import: the tests of rooms that do without it do not import it.

Read from the code: the imports at the top of a test, of its conftests, and of all that these import.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.rooms import ROOT

HEAVY = {"torch", "torchvision", "timm", "open_clip", "pytorch_fid"}
FOLDERS = ("tests/ml/assistant", "tests/ml/dataset", "tests/ml/evaluation", "tests/ml/report", "tests/pipeline")
WITH_TORCH = {
    "tests/ml/assistant/remembering/test_page_remembering.py",  # these two train a row with a memory
    "tests/ml/assistant/remembering/test_remembering.py",
    "tests/ml/assistant/test_trained.py",
    "tests/ml/dataset/test_batches.py",
    "tests/ml/dataset/test_random_part.py",
    "tests/ml/evaluation/test_device_metrics.py",
    "tests/pipeline/images/duplicates/test_near_duplicates.py",  # these two plant copies as the benchmark does
    "tests/pipeline/images/duplicates/test_pixel_verification.py",
}


def file_of(module: str) -> Path | None:
    """The file of a module of this project."""
    path = ROOT.joinpath(*module.split("."))
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return found[0] if found else None


def run_at_import(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module that an import runs, but for those under TYPE_CHECKING."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.Try) or (
            isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.dump(statement)
        ):
            yield from run_at_import(statement.body)


@cache
def imported_by(file: Path) -> frozenset[str]:
    """What importing a file imports: `ml.dataset`, `ml.dataset.split`, `torch`."""
    names = set()
    for node in run_at_import(ast.parse(file.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2))


def imports_torch(test: Path) -> bool:
    """Whether collecting the test imports torch."""
    waiting = [test, *(folder / "conftest.py" for folder in test.parents if (folder / "conftest.py").is_file())]
    seen = set(waiting)
    while waiting:
        names = imported_by(waiting.pop())
        if names & HEAVY:
            return True
        found = {file for name in names if (file := file_of(name))} - seen
        seen |= found
        waiting += sorted(found)
    return False


@pytest.mark.parametrize("folder", FOLDERS)
def test_only_these_tests_import_torch(folder: str):
    found = {str(test.relative_to(ROOT)) for test in (ROOT / folder).rglob("test_*.py") if imports_torch(test)}
    assert found == {test for test in WITH_TORCH if test.startswith(f"{folder}/")}
