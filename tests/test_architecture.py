"""The rooms of the house: who may import whom, and what each may not need."""

import ast
import subprocess
import sys

import pytest

from tests.rooms import (
    MAY_IMPORT,
    PACKAGES,
    ROOT,
    allowed,
    arrows,
    circle,
    files_page,
    imported_names,
    imports,
    mermaid,
    modules,
    room,
)

# Work in progress: what still breaks a rule. An entry that no longer does must go, so the lists only shrink.
FORBIDDEN_IMPORTS: set[tuple[str, str]] = set()
TOO_LONG_FUNCTIONS: set[tuple[str, str]] = set()
TOO_LONG_FILES: set[str] = set()

# Functions that stay longer than 50 lines: their order is their meaning, or a compiler wants one piece.
LONG_FUNCTIONS = {
    ("ml/training/train.py", "train"),
    ("ml/evaluation/metrics.py", "rank_images"),  # compiled by numba
    ("ml/assistant/migrations/versions/0001_first.py", "upgrade"),  # a migration does not change
}
LONG_FILES: set[str] = set()
FORBIDDEN = {"pipeline": {"torch", "dagster"}, "ml": {"dagster"}}


def packages_of(module: str) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    return {name.partition(".")[0] for name in imported_names(modules()[module])}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_does_without_what_is_above_it(package: str):
    wrong = {
        module: sorted(packages_of(module) & FORBIDDEN[package])
        for module in modules()
        if module.partition(".")[0] == package
    }
    assert {module: names for module, names in wrong.items() if names} == {}


def test_every_room_stands_in_the_table():
    assert {room(module) for module in modules()} - {"ml"} == set(MAY_IMPORT)
    assert imports()["ml"] == set()


def test_the_table_has_no_circle():
    assert circle({name: set(targets) - {"ml"} for name, targets in MAY_IMPORT.items()}) == []


def test_rooms_import_only_what_the_table_allows():
    assert {edge for edges in arrows().values() for edge in edges if not allowed(edge)} == FORBIDDEN_IMPORTS


def test_no_files_import_each_other_in_a_circle():
    assert circle(imports()) == []


def test_the_page_shows_the_rooms():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{mermaid()}\n```" in page, "print the drawing with `python -m tests.rooms`"


def test_the_page_of_files_is_the_code():
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert page == files_page() + "\n", "write the page with `python -m tests.rooms files > docs/files.md`"


def test_every_file_says_what_it_does():
    lines = [line for line in files_page().splitlines() if line.startswith("- **")]
    assert len(lines) == len(modules())
    assert [line for line in lines if line.endswith(": ") or "**: *" in line] == []


def test_few_files_lie_loose_in_ml():
    assert len(list((ROOT / "ml").glob("*.py"))) <= 8


def test_files_are_short():
    long = {
        str(file.relative_to(ROOT))
        for file in modules().values()
        if len(file.read_text(encoding="utf-8").splitlines()) > 400
    }
    assert long == TOO_LONG_FILES


def test_functions_are_short():
    lengths = {
        (str(file.relative_to(ROOT)), node.name, node.lineno): node.end_lineno - node.lineno + 1
        for file in modules().values()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert {name[:2] for name, length in lengths.items() if length > 50} == LONG_FUNCTIONS | TOO_LONG_FUNCTIONS
    assert sum(length <= 25 for length in lengths.values()) >= 0.9 * len(lengths)


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
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        if "ml.assistant" in file.read_text(encoding="utf-8") and "assistant" not in file.parts
    ]
    assert set(users) <= {"assets/cli/app.py", "assets/curation.py"}


@pytest.mark.parametrize("word", ["pickle.load", "torch.load(", "joblib.load", "allow_pickle=True"])
def test_nothing_is_unpickled(word: str):
    """`torch.load` has one place, with weights_only and a checksum."""
    found = [
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
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


# Runs ask servers through pipeline/connections, and it alone knows the libraries; single requests have a client of
# their own, and SPARQLWrapper judges queries and reads answers.
CONNECTIONS = "pipeline.connections"
CLIENTS = {
    "requests": {"pipeline.single_requests"},
    "SPARQLWrapper": {"pipeline.vocabulary.sparql"},
    "pytorch_fid": {"ml.features.extractors"},
}


@pytest.mark.parametrize("package", CLIENTS)
def test_a_client_has_one_place(package: str):
    assert {module for module in modules() if package in packages_of(module)} == CLIENTS[package]


@pytest.mark.parametrize("package", ["httpx", "httpcore"])
def test_only_the_connections_know_httpx(package: str):
    users = {module for module in modules() if package in packages_of(module)}
    assert users
    assert {module.removesuffix(f".{module.rpartition('.')[2]}") for module in users} == {CONNECTIONS}


def test_the_connections_have_one_front():
    """Others import the package itself, none of its modules."""
    inside = {module for module in modules() if module.startswith(f"{CONNECTIONS}.")}
    others = {module: imports()[module] & inside for module in modules() if module not in {*inside, CONNECTIONS}}
    assert {module: names for module, names in others.items() if names} == {}


CALLERS = [module for module in modules() if module.startswith(CONNECTIONS)]


@pytest.mark.parametrize("module", [*CALLERS, "pipeline.single_requests", "pipeline.vocabulary.sparql"])
def test_a_client_is_called_by_public_names_only(module: str):
    """What begins with an underscore is the module's own: `self._name`."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    private = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__")
        if ast.unparse(node.value) != "self"
    }
    assert private == set()
    imported = {name for name in imported_names(modules()[module]) if name.partition(".")[0] not in PACKAGES}
    assert {name for name in imported if any(part.startswith("_") for part in name.split("."))} == set()
