"""A code version covers what the code names, changes when that changes, and with nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assets.engine import code_units, versions
from assets.engine.versions import code_files, code_version

FILES = {
    "pipeline/__init__.py": "from pipeline.four import exported\n",
    "pipeline/one.py": '''"""Begins."""

from pipeline import two
from pipeline.two import Kind as Sort
from pipeline.two import helper

LIMIT = 3


def start(rows: int) -> int:
    """Starts."""
    from pipeline import exported
    from pipeline.three import inside

    # a remark
    return helper(rows) + inside() + two.by_module() + LIMIT + exported() + Sort().method()


def other():
    return render("page.html"), "pipeline.worker"
''',
    "pipeline/two.py": (
        "FACTOR = 2\n\n\ndef helper(rows):\n    return rows * FACTOR\n\n\ndef by_module():\n    return 1\n\n\n"
        "def unused():\n    return 0\n\n\nclass Kind:\n    def method(self):\n        return 1\n"
    ),
    "pipeline/three.py": "def inside():\n    return 1\n\n\nif True:\n    LEVEL = 1\n",
    "pipeline/four.py": "def exported():\n    return 1\n",
    "pipeline/worker.py": "print(1)\n",
    "pipeline/page.html": "{% include 'page.css' %}",
    "pipeline/page.css": "p {}",
    "pipeline/http.py": "def get(): ...\n",
}
CACHES = (
    code_units.content,
    code_units.module,
    code_units._kept,
    versions._code_units,
    versions._data_files,
    versions._data_below,
    versions._file_of,
)


def forget() -> None:
    for cache in CACHES:
        cache.cache_clear()
    code_units._new.clear()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A small tree of modules in place of ours; tree(file, before, after) changes one of them."""
    for file, text in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    for module in (code_units, versions):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(code_units, "KEPT", str(tmp_path / "kept"))
    forget()

    def change(file: str, before: str, after: str) -> None:
        text = (tmp_path / file).read_text()
        assert before in text
        (tmp_path / file).write_text(text.replace(before, after))
        forget()

    yield change
    forget()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("pipeline/one.py", "LIMIT = 3", "LIMIT = 4"),
        ("pipeline/one.py", "+ inside()", "- inside()"),
        ("pipeline/two.py", "rows * FACTOR", "rows + FACTOR"),
        ("pipeline/two.py", "FACTOR = 2", "FACTOR = 3"),
        ("pipeline/two.py", "by_module():\n    return 1", "by_module():\n    return 2"),
        ("pipeline/two.py", "(self):\n        return 1", "(self):\n        return 2"),
        ("pipeline/three.py", "return 1", "return 2"),
        ("pipeline/three.py", "if True", "if False"),
        ("pipeline/four.py", "return 1", "return 2"),
    ],
)
def test_what_is_reached_counts(tree: Callable[..., None], file: str, before: str, after: str):
    version = code_version(["pipeline/one.py:start"])
    tree(file, before, after)
    assert code_version(["pipeline/one.py:start"]) != version


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("pipeline/one.py", "Starts.", "Begins."),
        ("pipeline/one.py", "    # a remark\n", ""),
        ("pipeline/one.py", "rows: int) -> int", "rows: float) -> float"),
        ("pipeline/one.py", "page.html", "page.htm"),
        ("pipeline/one.py", "\n\n\ndef other", "\n\ndef other"),
        ("pipeline/two.py", "return 0", "return 9"),
        ("pipeline/page.css", "p {}", "a {}"),
        ("pipeline/worker.py", "1", "2"),
        ("pipeline/http.py", "...", "return 1"),
    ],
)
def test_nothing_else_counts(tree: Callable[..., None], file: str, before: str, after: str):
    version = code_version(["pipeline/one.py:start"])
    tree(file, before, after)
    assert code_version(["pipeline/one.py:start"]) == version


@pytest.mark.parametrize(
    ("file", "before", "after"), [("pipeline/page.css", "p {}", "a {}"), ("pipeline/worker.py", "1", "2")]
)
def test_templates_and_processes_are_found_by_their_names(
    tree: Callable[..., None], file: str, before: str, after: str
):
    version = code_version(["pipeline/one.py:other"])
    tree(file, before, after)
    assert code_version(["pipeline/one.py:other"]) != version


def test_the_files_say_where_it_changed(tree: Callable[..., None]):
    before = code_files(["pipeline/one.py:start"])
    assert set(before) == {f"pipeline/{name}.py" for name in ("one", "two", "three", "four")}
    tree("pipeline/three.py", "return 1", "return 2")
    after = code_files(["pipeline/one.py:start"])
    assert [file for file in after if after[file] != before[file]] == ["pipeline/three.py"]


def test_what_was_parsed_is_kept_until_the_file_changes(tree: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    version = code_version(["pipeline/one.py"])
    forget()
    parsed: list[bytes] = []
    parse = code_units.ast.parse
    monkeypatch.setattr(code_units.ast, "parse", lambda source: parsed.append(source) or parse(source))
    assert code_version(["pipeline/one.py"]) == version
    assert parsed == []
    tree("pipeline/two.py", "FACTOR = 2", "FACTOR = 3")
    assert code_version(["pipeline/one.py"]) != version
    assert len(parsed) == 1


def test_nothing_needs_to_be_kept(tree: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    version = code_version(["pipeline/one.py"])
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(code_units, "KEPT", str(tmp_path / "file" / "kept"))  # cannot be made
    forget()
    assert code_version(["pipeline/one.py"]) == version


def test_an_entry_that_is_not_there_is_said():
    with pytest.raises(FileNotFoundError, match=r"pipeline/gone\.py"):
        code_version(("pipeline/gone.py",))


def test_every_step_names_its_code():
    from assets.steps import steps_in_order

    for step in steps_in_order():
        assert step.plan.code, step.plan.writes
        assert len(code_files(step.plan.code)) > 1, step.plan.writes
