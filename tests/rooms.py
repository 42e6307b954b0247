"""`python -m tests.rooms`: the imports between the rooms, as Mermaid for docs/architecture.md.

`python -m tests.rooms files > docs/files.md`: every file with the first line of its docstring.

Every import counts, also one inside a function or under TYPE_CHECKING.
"""

import ast
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("assets", "ml", "pipeline")
BELOW_REGISTRY = ("ml.experiments", "ml.training", "ml.models", "ml.dataset", "ml.baselines")
# What each room may import besides itself and `pipeline`. A room is a package of `ml` or `assets`, or a loose module.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "pipeline": (),
    "ml.dataset": (),
    "ml.models": ("ml.dataset",),
    "ml.features": ("ml.models",),
    "ml.training": ("ml.models", "ml.dataset"),
    "ml.baselines": ("ml.models", "ml.training"),
    "ml.evaluation": ("ml.dataset", "ml.baselines"),
    "ml.experiments": ("ml.training", "ml.models", "ml.dataset", "ml.baselines", "ml.evaluation"),
    "ml.suites": ("ml.evaluation", "ml.models", "ml.dataset"),
    "ml.registry": (*BELOW_REGISTRY, "ml.evaluation"),
    "ml.report": ("ml.evaluation", "ml.suites", "ml.dataset", "ml.baselines"),
    "ml.assistant": ("ml.registry", "ml.dataset", "ml.features"),
    "assets.engine": (),
    "assets": ("assets.engine", "ml"),
    "assets.cli": ("assets", "ml"),
    # The old paths of two commands, kept for one version.
    "ml.run": ("ml.experiments",),
    "ml.seeds": ("ml.experiments",),
}
# Imports between two rooms that only these modules may make: (importing room, imported room): modules.
ONLY_FROM = {
    ("ml.experiments", "ml.evaluation"): {"ml.experiments.seeds"},
    ("ml.registry", "ml.evaluation"): {"ml.registry.champion"},
}
ONLY_OF = {
    ("ml.baselines", "ml.models"): {"ml.models.architectures", "ml.models.prompts"},
    ("ml.baselines", "ml.training"): {"ml.training.recipe"},
}
OLD_PATHS = ("ml.run", "ml.seeds")

Edge = tuple[str, str]


@cache
def modules() -> dict[str, Path]:
    """Every module of the three packages with its file."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return dict(zip(names, files, strict=True))


def room(module: str) -> str:
    """`ml.training` for `ml.training.train`, `assets` for `assets.checks`, `pipeline` for all of pipeline."""
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    if package == "ml":
        return f"ml.{first}" if first else "ml"
    return f"assets.{first}" if package == "assets" and first in ("cli", "engine") else package


@cache
def imported_names(file: Path) -> frozenset[str]:
    """The full names that a file imports: `pipeline.tables.RECORDS`, `torch.nn`, `torch`."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def imports() -> dict[str, set[str]]:
    """For every module, the modules of the three packages that it imports."""
    graph = {}
    for module, file in modules().items():
        targets = set()
        for name in imported_names(file):
            parent = name.rpartition(".")[0]
            targets |= {name} if name in modules() else {parent} & modules().keys()
        graph[module] = targets - {module}
    return graph


def arrows() -> dict[Edge, list[Edge]]:
    """The imports between two rooms, with the modules that make them."""
    found = defaultdict(list)
    for module, targets in sorted(imports().items()):
        for target in sorted(targets):
            if room(module) != room(target):
                found[room(module), room(target)].append((module, target))
    return dict(found)


def allowed(edge: Edge) -> bool:
    """Whether the table lets this module import that one."""
    importer, imported = room(edge[0]), room(edge[1])
    table = MAY_IMPORT.get(importer, ())
    return (
        (imported == "pipeline" or imported in table or imported.partition(".")[0] in table)
        and edge[0] in ONLY_FROM.get((importer, imported), {edge[0]})
        and edge[1] in ONLY_OF.get((importer, imported), {edge[1]})
    )


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The names along one circle of the graph; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def mermaid() -> str:
    """The rooms above what they import. `pipeline`, and an arrow that a longer way implies, are left out."""
    graph: dict[str, set[str]] = defaultdict(set)
    for (importer, imported), edges in arrows().items():
        if not {importer, imported} & {"pipeline", *OLD_PATHS} and any(map(allowed, edges)):
            graph[importer].add(imported)
    order = list(TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).static_order())
    reach: dict[str, set[str]] = {}
    for name in order:
        reach[name] = graph[name] | {far for near in graph[name] for far in reach[near]}
    lines = ["flowchart TD"]
    for name in reversed(order):
        implied = {far for near in graph[name] for far in reach[near]}
        lines += [f"  {name} --> {near}" for near in sorted(graph[name] - implied)]
    return "\n".join(lines)


FILES_PAGE = """# Which file does what

Every Python file of the product with the first line of its docstring, and the functions and classes that it defines.
`python -m tests.rooms files` writes this page, and `tests/test_architecture.py` compares it with the code.
[Architecture](architecture.md) shows the rooms and their imports.
"""


def files_page() -> str:
    """The page docs/files.md: a section per folder, a line per file."""
    folders: dict[Path, list[str]] = defaultdict(list)
    for file in modules().values():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        sentence = (ast.get_docstring(tree) or "").partition("\n")[0]
        defined = [f"`{node.name}`" for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        names = f" *{', '.join(defined)}*" if defined else ""
        folders[file.parent.relative_to(ROOT)].append(f"- **{file.name}**: {sentence}{names}")
    sections = (f"## {folder}/\n\n" + "\n".join(lines) + "\n" for folder, lines in sorted(folders.items()))
    return "\n".join((FILES_PAGE, *sections)).rstrip("\n")


if __name__ == "__main__":
    print(files_page() if sys.argv[1:] == ["files"] else mermaid())
