"""A code version covers what the code imports, and changes when that changes."""

import ast
from pathlib import Path

import pytest

from assets.engine import versions
from assets.engine.versions import ROOT, code_files, code_version


def imported(file: Path) -> set[str]:
    """The files of our own modules that a module imports, by Python's own parser."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = [f"{name.replace('.', '/')}{end}" for name in names for end in (".py", "/__init__.py")]
    return {path for path in paths if path.startswith(("pipeline/", "ml/")) and (ROOT / path).is_file()}


@pytest.mark.parametrize("room", ["pipeline", "ml"])
def test_every_import_is_seen(room: str):
    for file in sorted((ROOT / room).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        assert set(versions._imports(name)) == imported(file), name


def test_what_is_imported_belongs_to_it():
    files = code_files(("ml/experiments/run.py",))
    assert {
        "ml/experiments/run.py",
        "ml/training/train.py",
        "ml/dataset/split.py",
        "ml/models/heads/softmax.py",
        "ml/models/weights.py",
    } <= set(files)
    assert "pipeline/settings.py" not in code_files(("pipeline/images",))


def test_a_changed_import_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "one.py").write_text("def f():\n    from ml.two import (\n        g,\n    )\n")
    (tmp_path / "ml" / "two.py").write_text("def g(): ...\n")
    (tmp_path / "ml" / "three.py").write_text("")
    monkeypatch.setattr(versions, "ROOT", tmp_path)

    def version() -> str:
        versions._content.cache_clear()
        versions._imports.cache_clear()
        return code_version(("ml/one.py",))

    before = version()
    (tmp_path / "ml" / "three.py").write_text("changed = 1\n")
    assert version() == before
    (tmp_path / "ml" / "two.py").write_text("def g(): return 1\n")
    assert version() != before
    versions._content.cache_clear()
    versions._imports.cache_clear()


def test_a_path_that_is_not_there_is_said():
    with pytest.raises(FileNotFoundError, match=r"pipeline/gone\.py"):
        code_version(("pipeline/gone.py",))


def test_a_template_belongs_to_the_module_that_names_it():
    assert "pipeline/release/croissant.json" in code_files(("pipeline/release/croissant.py",))
