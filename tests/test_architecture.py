"""The rooms of the house: who may import whom, and what each may not need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room imports itself and the rooms to its right: tests → assets → ml → pipeline.
ROOMS = ("assets", "ml", "pipeline")
FORBIDDEN = {"pipeline": {"torch", "dagster", "ml", "assets"}, "ml": {"dagster", "assets"}, "assets": set()}


def imports_of(file: Path) -> set[str]:
    """The top-level names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_left(room: str):
    wrong = {
        str(file.relative_to(ROOT)): sorted(imports_of(file) & FORBIDDEN[room])
        for file in sorted((ROOT / room).rglob("*.py"))
    }
    assert {file: names for file, names in wrong.items() if names} == {}


def test_assets_never_postpone_annotations():
    """Dagster reads annotations at run time."""
    postponed = [
        file.name
        for file in sorted((ROOT / "assets").rglob("*.py"))
        if "from __future__ import annotations" in file.read_text(encoding="utf-8")
    ]
    assert postponed == []


def test_only_its_start_up_imports_the_assistant():
    users = [
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        if "ml.assistant" in file.read_text(encoding="utf-8") and "assistant" not in file.parts
    ]
    assert set(users) <= {"assets/cli/app.py", "assets/curation.py"}


@pytest.mark.parametrize("word", ["pickle.load", "torch.load(", "joblib.load", "allow_pickle=True"])
def test_nothing_is_unpickled(word: str):
    """`torch.load` has one place, with weights_only and a checksum."""
    found = [
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        if word in file.read_text(encoding="utf-8")
    ]
    assert found == (["ml/models/weights.py"] if word == "torch.load(" else [])


def test_the_definitions_load_without_torch():
    """A code location that imports torch takes Dagster's server many seconds to start."""
    script = "import sys; import assets.definitions; print('torch' in sys.modules, 'timm' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.split() == ["False", "False"]
