"""What stands in our modules: their units with a hash each, and what a unit names.

A unit is a function, a class or a variable at the top of a module. Comments, docstrings, the layout and the annotations
of parameters are not part of its hash.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.files import write_text
from pipeline.home import ROOT

OURS = ("pipeline", "ml", "assets")
REST = "<module>"  # what a module does when it is imported, beside definitions
LONGEST_NAME = 200  # characters of a text that may name a module or a file
# Parsing everything takes a second at each start of Dagster, so what was parsed is kept, by the hash of the file.
KEPT = "~/.cache/eufcc/code"
FORMAT = 1  # of the kept file, and of the hashes of units


@dataclass
class Unit:
    """A definition: a hash of its code, and what it names."""

    digest: str = ""
    names: list[str] = field(default_factory=list)
    attributes: list[list[str]] = field(default_factory=list)  # of names: `module.function`
    texts: list[str] = field(default_factory=list)  # those that may name a module or a file


@dataclass
class Module:
    """A file with its units, and the dotted names of ours behind the names that it imports."""

    units: dict[str, Unit] = field(default_factory=dict)
    imports: dict[str, list[str]] = field(default_factory=dict)


@cache
def content(file: str) -> bytes:
    """The bytes of a source file of ours."""
    return (ROOT / file).read_bytes()


@cache
def module(file: str) -> Module:
    """The units and imports of a source file of ours."""
    sha256, kept = hashlib.sha256(content(file)).hexdigest(), _kept()
    if kept.get(file, {}).get("sha256") != sha256:
        kept[file] = asdict(_parsed(ast.parse(content(file)))) | {"sha256": sha256}
        _new.add(file)
    units = {name: Unit(**unit) for name, unit in kept[file]["units"].items()}
    return Module(units, kept[file]["imports"])


def keep() -> None:
    """Write what was parsed anew, for the next start; where the home cannot be written, nothing is kept."""
    if _new:
        _new.clear()
        with suppress(OSError):
            write_text(json.dumps(_kept()), _file())


_new: set[str] = set()  # files that were parsed since the last writing


@cache
def _kept() -> dict[str, dict[str, Any]]:
    with suppress(OSError, ValueError):
        return json.loads(_file().read_text(encoding="utf-8"))
    return {}


def _file() -> Path:
    where = hashlib.sha256(f"{FORMAT} {ROOT}".encode()).hexdigest()[:16]
    return Path(os.path.expanduser(KEPT)) / f"{where}.json"


def _parsed(tree: ast.Module) -> Module:
    made = Module({REST: Unit()})
    for statement in tree.body:
        for name in _defined(statement):
            _add(made.units.setdefault(name, Unit()), statement)
    for node in ast.walk(tree):
        for name, dotted in _imports(node):
            if dotted.partition(".")[0] in OURS and dotted not in made.imports.setdefault(name, []):
                made.imports[name].append(dotted)
    return made


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that an import gives, each with what is behind it."""
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names)


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module defines; none for imports and docstrings."""
    if isinstance(statement, ast.Import | ast.ImportFrom) or _is_text(statement):
        return []
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)] or [REST]
    return [REST]


def _add(unit: Unit, statement: ast.stmt) -> None:
    """Add a statement to a unit; what is defined in several statements is one unit."""
    said = [unit.digest]
    _say(statement, unit, said)
    unit.digest = hashlib.sha256("".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _say(node: ast.AST, unit: Unit, said: list[str]) -> None:
    """Say a node's kind and values in order, as far as Python heeds them, and note the names in it."""
    said.append(f"({type(node).__name__}")
    if isinstance(node, ast.Name) and node.id not in unit.names:
        unit.names.append(node.id)
    if isinstance(node, ast.Constant):
        said.append(f" {node.value!r}")
        if isinstance(node.value, str) and "." in node.value and len(node.value) <= LONGEST_NAME:
            unit.texts.append(node.value)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        unit.attributes.append([node.value.id, node.attr])
        said.append(f" {node.value.id}.{node.attr}")
    else:
        for name, value in _values(node):
            said.append(f" {name}=")
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    _say(one, unit, said)
                else:
                    said.append(f" {one!r}")
    said.append(")")


def _values(node: ast.AST) -> Iterator[tuple[str, object]]:
    """The values of a node that say something; empty ones differ between versions of Python."""
    for name in node._fields:
        value = getattr(node, name, None)
        typed = name in ("ctx", "returns", "type_comment") or (name == "annotation" and isinstance(node, ast.arg))
        if name == "body" and isinstance(value, list) and value and _is_text(value[0]):
            value = value[1:]
        if not typed and value is not None and value != []:
            yield name, value


def _is_text(statement: ast.AST) -> bool:
    """Whether a statement is a docstring."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
